// The AMQP server on a real broker and a real socket, and a client whose every step the test writes.
#pragma once

#include "amqp/conditions.hpp"
#include "amqp/message.hpp"
#include "amqp/request.hpp"
#include "amqp/server.hpp"
#include "base/async.hpp"
#include "tests/amqp/pair.hpp"
#include "tests/broker/harness.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include <gmock/gmock.h>

namespace millrace::amqp::testing {

using broker::test::Loop;

/// Runs `loop` until `done`; the test fails if that takes longer than any machine needs.
template <class Done>
bool run_until(Loop& loop, Done done) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!done()) {
        if (loop.io().run_one_until(end) == 0) return false;
    }
    return true;
}

/// Bytes to and from a port, on the test's loop.
class Wire {
  public:
    Wire(Loop& loop, unsigned short port) : loop_(loop), shared_(std::make_shared<Shared>(loop.io())) {
        shared_->socket.connect({boost::asio::ip::address_v4::loopback(), port});
        boost::asio::co_spawn(loop.io(), read(shared_), boost::asio::detached);
    }
    ~Wire() { cut(); }
    Wire(const Wire&) = delete;

    void write(std::string bytes) {
        if (bytes.empty()) return;
        shared_->out += bytes;
        if (!std::exchange(shared_->writing, true))
            boost::asio::co_spawn(loop_.io(), write(shared_), boost::asio::detached);
    }
    std::string take() { return std::exchange(shared_->in, {}); }
    bool ended() const { return shared_->ended; }
    bool written() const { return !shared_->writing; }
    /// Stops reading after what is under way, or goes on.
    void read(bool on) {
        shared_->reads = on;
        shared_->changed.notify();
    }
    void cut() {
        boost::system::error_code ignored;
        shared_->socket.close(ignored);
    }
    Loop& loop() { return loop_; }

  private:
    struct Shared {
        explicit Shared(boost::asio::io_context& io) : socket(io), changed(io.get_executor()) {}
        boost::asio::ip::tcp::socket socket;
        Signal changed;
        std::string in, out;
        bool reads = true, writing = false, ended = false;
    };
    static constexpr auto kToken = boost::asio::as_tuple(boost::asio::use_awaitable);

    static boost::asio::awaitable<void> read(std::shared_ptr<Shared> shared) {
        std::vector<char> room(65536);
        while (!shared->ended) {
            while (!shared->reads) co_await shared->changed.wait();
            const auto buffer = boost::asio::buffer(room);
            auto [error, size] = co_await shared->socket.async_read_some(buffer, kToken);
            shared->in.append(room.data(), size);
            if (error) shared->ended = true;
        }
    }
    static boost::asio::awaitable<void> write(std::shared_ptr<Shared> shared) {
        while (!shared->out.empty()) {
            const std::string bytes = std::exchange(shared->out, {});
            const auto buffer = boost::asio::buffer(bytes);
            auto [error, size] = co_await boost::asio::async_write(shared->socket, buffer, kToken);
            (void)size;
            if (error) break;
        }
        shared->writing = false;
    }

    Loop& loop_;
    std::shared_ptr<Shared> shared_;
};

/// What became of a link that was asked for.
struct Attached {
    LinkId link = 0;
    Attach answer;
    std::optional<Condition> refused;
};

class Client {
  public:
    Client(Loop& loop, unsigned short port, ConnectionOptions options = client_options())
        : side(std::move(options)), wire(loop, port) {
        side->start();
        flush();
    }

    void flush() { wire.write(side->take_output()); }
    /// Looks at what has come and answers it.
    void step() {
        const std::string bytes = wire.take();
        if (!bytes.empty()) side->receive(bytes, 1000);
        side.poll();
        flush();
    }
    template <class Done>
    bool until(Done done) {
        return run_until(wire.loop(), [&] {
            step();
            return done();
        });
    }
    /// The next event of this kind, of this link if one is named.
    template <class E>
    E next() {
        EXPECT_TRUE(until([&] { return side.count<E>() > 0; })) << "no " << typeid(E).name();
        return side.take<E>();
    }

    void open() {
        next<event::Opened>();
        session = begin();
    }
    SessionId begin() {
        side->begin();
        return next<event::SessionBegun>().session;
    }

    LinkId ask(Attach attach) {
        const LinkId link = side->attach(session, std::move(attach));
        flush();
        return link;
    }
    Attached answer_of(LinkId link) {
        auto answered = next<event::LinkAnswered>();
        EXPECT_EQ(answered.link, link);
        Attached attached{link, std::move(answered.attach), {}};
        if (!answered.refused) return attached;
        auto detached = next<event::LinkDetached>();
        attached.refused = detached.error.value_or(Condition{});
        side->detach(link, std::nullopt);
        flush();
        return attached;
    }
    Attached attach(Attach attach) { return answer_of(ask(std::move(attach))); }

    static Attach sender_to(std::string address) {
        Attach attach;
        attach.name = "to " + address;
        attach.settle_mode = SettleMode::unsettled;
        attach.source = Source{.address = "here"};
        attach.target = Target{.address = std::move(address)};
        return attach;
    }
    static Attach receiver_from(std::string address, bool deletes = false) {
        Attach attach;
        attach.name = "from " + address;
        attach.receiver = true;
        attach.settle_mode = deletes ? SettleMode::settled : SettleMode::unsettled;
        attach.confirm_mode = deletes ? ConfirmMode::first : ConfirmMode::second;
        attach.source = Source{.address = std::move(address)};
        attach.target = Target{.address = "here"};
        return attach;
    }
    static Attach session_of(std::string address, Value id, std::optional<std::uint32_t> wait = {}) {
        Attach attach = receiver_from(std::move(address));
        attach.source->filter.set_symbol("com.microsoft:session-filter", std::move(id));
        if (wait) attach.properties.set_symbol("com.microsoft:timeout", *wait);
        return attach;
    }

    /// Sends one message's sections and waits for what became of it.
    DeliveryState send(LinkId link, std::string sections, std::uint32_t format = kPlainFormat) {
        EXPECT_TRUE(until([&] { return side->credit(link) > 0; }));
        side->send(link, std::to_string(next_tag_++), format, std::move(sections), false);
        flush();
        return next<event::StateChanged>().state;
    }
    DeliveryState send_text(LinkId link, std::string body) {
        return send(link, write_message(broker::test::text_message(std::move(body))));
    }
    void grant(LinkId link, std::uint32_t credit, bool drain = false) {
        side->grant(link, credit, drain);
        flush();
    }
    broker::Delivery receive() { return read(next<event::Arrived>().delivery); }
    static broker::Delivery read(const Incoming& incoming) {
        auto read = read_message(incoming.payload);
        EXPECT_TRUE(read);
        return read ? std::move(*read) : broker::Delivery{};
    }
    /// Tells an outcome as JS does, unsettled, and answers what the server makes of it.
    DeliveryState settle(LinkId link, std::uint32_t delivery, DeliveryState state) {
        side->tell(link, delivery, std::move(state), false);
        flush();
        auto answer = next<event::StateChanged>();
        EXPECT_EQ(answer.delivery, delivery);
        EXPECT_TRUE(answer.settled);
        return answer.state;
    }
    void detach(LinkId link) {
        side->detach(link, std::nullopt);
        flush();
        next<event::LinkDetached>();
    }

    Answer call(LinkId requests, Map properties, Value body) {
        Request request;
        request.message_id = std::string("id ") + std::to_string(next_tag_);
        request.reply_to = "answers";
        request.properties = std::move(properties);
        request.body = std::move(body);
        side->send(requests, std::to_string(next_tag_++), kPlainFormat, write_request(request), true);
        flush();
        auto answer = read_answer(next<event::Arrived>().delivery.payload);
        EXPECT_TRUE(answer);
        return answer ? std::move(*answer) : Answer{};
    }
    struct Node {
        LinkId requests, answers;
    };
    Node node(const std::string& address) {
        Node node{};
        node.requests = attach(sender_to(address)).link;
        Attach answers = receiver_from(address);
        answers.settle_mode = SettleMode::settled;
        answers.target->address = "answers";
        node.answers = attach(std::move(answers)).link;
        grant(node.answers, 1000);
        EXPECT_TRUE(until([&] { return side->credit(node.requests) > 0; }));
        return node;
    }
    /// The status of the answer.
    std::int64_t put_token(const Node& cbs, std::string token) {
        Map properties;
        properties.set("operation", std::string("put-token"));
        properties.set("type", std::string("servicebus.windows.net:sastoken"));
        properties.set("name", std::string("sb://test/"));
        const Answer answer = call(cbs.requests, std::move(properties), std::move(token));
        return integer_of(answer.properties.find("status-code")).value_or(0);
    }

    Side side;
    Wire wire;
    SessionId session = 0;

  private:
    int next_tag_ = 1;
};

class ServerTest : public ::testing::Test {
  protected:
    ServerTest() { options.port = 0; }
    ~ServerTest() override {
        if (server) loop.await(server->stop(std::chrono::seconds(5)));
    }
    void serve() {
        auto started =
            Server::start(loop.io().get_executor(), *embedded.broker, embedded.clock, keys, options);
        ASSERT_TRUE(started) << started.error().detail;
        server = std::move(*started);
    }
    /// A client with an open session.
    std::unique_ptr<Client> client(ConnectionOptions wanted = client_options()) {
        if (!server) serve();
        auto made = std::make_unique<Client>(loop, server->port(), std::move(wanted));
        made->open();
        return made;
    }
    void put(const std::string& name, broker::EntityOptions wanted = {}) { embedded.put(name, wanted); }
    void put_sessions(const std::string& name) {
        broker::EntityOptions wanted;
        wanted.requires_session = true;
        put(name, wanted);
    }
    void store(const std::string& queue, std::string body, std::optional<std::string> session = {}) {
        broker::Message message = broker::test::text_message(std::move(body));
        message.session_id = std::move(session);
        std::vector<broker::Message> messages{std::move(message)};
        auto sent = loop.await(embedded.broker->send(queue, std::move(messages)));
        ASSERT_TRUE(sent) << sent.error().detail;
    }
    broker::EntityCounts counts(const std::string& name) { return *embedded.broker->counts(name); }
    bool until(const std::function<bool()>& done) { return run_until(loop, done); }

    broker::test::EmbeddedBroker embedded;
    Loop& loop = embedded.loop;
    std::shared_ptr<const AccessKeys> keys = std::make_shared<AccessKeys>();
    ServerOptions options;
    std::unique_ptr<Server> server;
};

inline std::string refusal_of(const Attached& attached) {
    return attached.refused ? attached.refused->name : "accepted";
}
inline std::string error_of(const DeliveryState& state) {
    const auto* rejected = std::get_if<Rejected>(&state);
    return rejected == nullptr || !rejected->error ? "" : rejected->error->name;
}

}  // namespace millrace::amqp::testing
