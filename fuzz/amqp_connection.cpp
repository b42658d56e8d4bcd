// A whole AMQP connection, server or client, whose peer writes what it likes.
#include "amqp/connection.hpp"
#include "fuzz/fuzz.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <set>

namespace millrace::fuzz {
namespace {

using namespace amqp;

constexpr std::size_t kSessionsMax = 4, kLinksMax = 8, kUnsettledMax = 16;
constexpr std::size_t kMessageBytesMax = 3'000, kPartialBytesMax = 5'000;
constexpr std::uint32_t kFrameBytesMax = 4'096;

ConnectionOptions options_for(bool server) {
    ConnectionOptions options;
    options.server = server;
    options.frame_bytes_max = kFrameBytesMax;
    options.sessions_max = kSessionsMax;
    options.links_max = kLinksMax;
    options.message_bytes_max = kMessageBytesMax;
    options.partial_bytes_max = kPartialBytesMax;
    options.unsettled_max = kUnsettledMax;
    options.mechanisms = {"ANONYMOUS", "PLAIN"};
    options.first_id = UINT32_MAX - 5;
    return options;
}

/// Answers every event, always in the same way, and checks that events come in an order that makes sense.
class Application {
  public:
    explicit Application(bool server) : server_(server), connection_(options_for(server)) {
        if (!server) connection_.start();
    }

    std::string give(std::string_view bytes) {
        const bool was_closed = connection_.closed() && !connection_.has_output();
        connection_.receive(bytes, ++now_);
        poll();
        require(connection_.tick(now_) > now_, "time goes on");
        check_limits();
        std::string out = connection_.take_output();
        require(!was_closed || out.empty(), "nothing is written after the end");
        require(!connection_.has_output(), "all output was taken");
        return out;
    }
    /// Everything that a program may still ask for.
    void ask_for_all() {
        begins_ = true;
        for (LinkId id = 0; id < 20; ++id) {
            connection_.accept(id, Attach{});
            connection_.grant(id, 3, id % 2 == 0);
            if (connection_.credit(id) > 0) connection_.send(id, "t", 0, std::string(700, 'x'), id % 2 == 0);
            connection_.drained(id);
            connection_.tell(id, id, Accepted{}, true);
            connection_.detach(id, {});
            connection_.end(id, {});
        }
        connection_.close({});
        poll();
        const bool closed = connection_.closed();
        connection_.take_output();
        connection_.tell(1, 1, Released{}, true);
        connection_.begin();
        require(connection_.take_output().empty(), "nothing is written after the close");
        poll();
        require(!closed || connection_.closed(), "what is closed stays closed");
    }
    Connection& connection() { return connection_; }

  private:
    void poll() {
        int events = 0;
        while (auto next = connection_.poll()) {
            require(!ended_, "the end is the last event");
            require(++events < 2'000'000, "events come to an end");
            std::visit([this](auto& one) { on(one); }, *next);
        }
    }
    void check_limits() const {
        require(connection_.sessions() <= kSessionsMax + 1, "sessions have a limit");
        require(connection_.links() <= kLinksMax + 2, "links have a limit");
        require(connection_.partial_bytes() <= kPartialBytesMax, "partial bytes have a limit");
        require(connection_.backlog_bytes() < (std::size_t{64} << 20), "no flood comes out");
    }

    void on(event::SaslAsked&) {
        require(server_, "only a server is asked");
        connection_.answer_sasl(true);
    }
    void on(event::Opened&) {
        require(!opened_, "a connection opens once");
        opened_ = true;
        if (!server_) connection_.begin();
    }
    void on(event::SessionBegun& begun) {
        require(opened_ && sessions_.insert(begun.session).second, "a session begins once");
        if (server_) return;
        Attach attach;
        for (const bool receiver : {true, false}) {
            attach.name = receiver ? "down" : "up";
            attach.receiver = receiver;
            attach.source = Source{.address = "queue"};
            attach.target = Target{.address = "queue"};
            connection_.attach(begun.session, attach);
        }
    }
    void on(event::SessionEnded& ended) {
        require(sessions_.erase(ended.session) == 1 || begins_, "a session that has begun ends once");
    }
    void on(event::LinkAsked& asked) {
        require(sessions_.contains(asked.session), "a link has a session");
        receives_[asked.link] = !asked.attach.receiver;
        if (asked.attach.name == "no") return connection_.refuse(asked.link, {"amqp:not-found", "no", {}});
        connection_.accept(asked.link, asked.attach);
        if (receives_[asked.link]) connection_.grant(asked.link, 5);
    }
    void on(event::LinkAnswered& answered) {
        receives_[answered.link] = !answered.attach.receiver;
        if (receives_[answered.link]) connection_.grant(answered.link, 5, true);
    }
    void on(event::LinkDetached& detached) {
        receives_.erase(detached.link);
        connection_.detach(detached.link, {});
        connection_.grant(detached.link, 1);
    }
    void on(event::CreditChanged& changed) {
        int sent = 0;
        for (; connection_.credit(changed.link) > 0 && sent < 3; ++sent) {
            const bool done =
                connection_.send(changed.link, "tag", 0, std::string(900, 'p'), sent == 1).has_value();
            require(done, "what has credit may be sent");
        }
        if (connection_.draining(changed.link)) connection_.drained(changed.link);
    }
    void on(event::Drained& drained) { connection_.grant(drained.link, 5); }
    void on(event::Arrived& arrived) {
        require(receives_.contains(arrived.link) && receives_[arrived.link],
                "it came over a link that receives");
        require(arrived.delivery.payload.size() <= kMessageBytesMax, "messages have a limit");
        require(arrived.delivery.tag.size() <= 32, "tags have a limit");
        if (!arrived.delivery.settled)
            connection_.tell(arrived.link, arrived.delivery.id, Accepted{}, arrived.delivery.id % 2 == 0);
        if (connection_.granted(arrived.link) == 0) connection_.grant(arrived.link, 5);
    }
    void on(event::StateChanged& changed) {
        if (changed.settled) return;
        connection_.tell(changed.link, changed.delivery, std::move(changed.state), true);
    }
    void on(event::Closed&) {
        require(connection_.closed(), "it is closed");
        ended_ = true;
    }

    bool server_;
    bool begins_ = !server_;  ///< a session that this side begins may end before it has begun
    Connection connection_;
    std::int64_t now_ = 0;
    bool opened_ = false, ended_ = false;
    std::set<SessionId> sessions_;
    std::map<LinkId, bool> receives_;
};

void check_as(bool server, std::string_view input, std::size_t step) {
    Application application(server);
    for (std::size_t at = 0; at < input.size(); at += step) application.give(input.substr(at, step));
    application.ask_for_all();
}

}  // namespace

/// What each side of real exchanges has written; first what the official clients have, as it was recorded.
std::vector<std::string> seeds() {
    std::vector<std::string> bytes;
    for (const auto& entry : std::filesystem::directory_iterator(MILLRACE_SOURCE_DIR "/fuzz/corpus/amqp")) {
        std::ifstream file(entry.path(), std::ios::binary);
        bytes.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
    }
    std::sort(bytes.begin(), bytes.end());
    require(!bytes.empty(), "the recorded streams are there");
    for (const int rounds : {4, 8, 40}) {
        Application client(false), server(true);
        std::string from_client = client.give(""), from_server, next = from_client;
        for (int round = 0; round < rounds; ++round) {
            if (round == 20) client.connection().end(1, {});
            if (round == 30) client.connection().close(Condition{"amqp:connection:forced", "bye", {}});
            const std::string answer = server.give(next);
            from_server += answer;
            next = client.give(answer);
            from_client += next;
        }
        bytes.push_back(from_client);
        bytes.push_back(from_server);
    }
    return bytes;
}

void check(std::string_view input) {
    for (const bool server : {true, false}) {
        check_as(server, input, input.size() + 1);
        if (input.size() < 8'000) check_as(server, input, 1 + input.size() % 97);
    }
}

}  // namespace millrace::fuzz
