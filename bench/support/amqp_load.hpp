// One client of AMQP 1.0 that sends, or receives and completes, as fast as its peer answers. Knows no broker.
#pragma once

#include "amqp/connection.hpp"
#include "amqp/transport.hpp"
#include "base/async.hpp"
#include "bench/support/samples.hpp"

#include <boost/asio/io_context.hpp>

#include <unistd.h>
#include <fstream>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <variant>
#include <vector>

namespace millrace::bench {

namespace asio = boost::asio;

struct AmqpShape {
    bool receives = false;
    unsigned short port = 0;
    std::string address;
    std::size_t connections = 1;
    std::size_t in_flight = 100;  ///< deliveries without an answer, of all connections together
    std::size_t messages = 10'000;
    std::size_t body_bytes = 256;
    int server = 0;  ///< process id
};

struct AmqpResult {
    double seconds = 0;  ///< from the first message to the last answer; connecting does not count
    double client_cpu_seconds = 0;
    double server_cpu_seconds = 0;
};

/// Processor time that process `id` has used, all threads, in seconds; in steps of 10 ms.
inline double cpu_seconds_of(int id) {
    std::ifstream file("/proc/" + std::to_string(id) + "/stat");
    std::string line;
    std::getline(file, line);
    std::istringstream fields(line.substr(line.rfind(')') + 1));  // a name may hold anything
    std::string skipped;
    for (int field = 3; field < 14; ++field) fields >> skipped;
    double user = 0;
    double system = 0;
    if (!(fields >> user >> system)) throw std::runtime_error("no process " + std::to_string(id));
    return (user + system) / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

/// What the connections of one run share.
struct AmqpRun {
    AmqpShape shape;
    std::string payload;  ///< of each message sent
    std::size_t begun = 0;  ///< messages sent or asked for
    std::size_t answered = 0;
    std::string failure;
    Signal changed;

    explicit AmqpRun(const asio::any_io_executor& io) : changed(io) {}
    bool over() const noexcept { return answered >= shape.messages || !failure.empty(); }
    void fail(std::string why) {
        if (failure.empty()) failure = std::move(why);
        changed.notify();
    }
};

/// One connection with one link.
class AmqpPeer : public std::enable_shared_from_this<AmqpPeer> {
  public:
    AmqpPeer(asio::any_io_executor io, AmqpRun& run)
        : io_(io),
          run_(run),
          in_flight_max_(run.shape.in_flight / run.shape.connections),
          engine_(options()),
          output_(io) {}

    /// Returns when the link is open.
    static asio::awaitable<void> open(std::shared_ptr<AmqpPeer> self) {
        amqp::Endpoint endpoint{"127.0.0.1", self->run_.shape.port, false, false};
        auto connected = co_await amqp::connect_transport(self->io_, std::move(endpoint), nullptr);
        if (!connected) co_return self->run_.fail(connected.error().detail);
        self->transport_ = std::move(*connected);
        self->engine_.start();
        spawn(self->io_, read(self));
        spawn(self->io_, write(self));
        while (!self->attached_ && !self->run_.over()) co_await self->run_.changed.wait();
    }

    /// Sends, or asks for, what it may now.
    void work() {
        run_.shape.receives ? ask() : send();
        output_.notify();
    }

    void close() {
        if (transport_) transport_->close();
        output_.notify();
    }

  private:
    static amqp::ConnectionOptions options() {
        amqp::ConnectionOptions options;
        options.container_id = "millrace-bench";
        options.hostname = "localhost";
        options.mechanisms = {"ANONYMOUS"};
        return options;
    }

    static std::int64_t now() {
        const auto time = std::chrono::steady_clock::now().time_since_epoch();
        return std::chrono::duration_cast<Duration>(time).count();
    }

    static asio::awaitable<void> read(std::shared_ptr<AmqpPeer> self) {
        std::string buffer(64 * limits::kKiB, '\0');
        const auto room = asio::buffer(buffer);
        while (!self->run_.over()) {
            const auto got = co_await self->transport_->read_some(room);
            if (self->run_.over()) break;
            if (!got) co_return self->run_.fail(got.error().detail);
            self->engine_.receive(std::string_view(buffer).substr(0, *got), now());
            while (auto event = self->engine_.poll()) {
                std::visit([&](auto& one) { self->on(one); }, *event);
            }
            if (self->working_) self->work();
            self->output_.notify();
        }
    }

    static asio::awaitable<void> write(std::shared_ptr<AmqpPeer> self) {
        while (!self->run_.over()) {
            const std::string bytes = self->engine_.take_output();
            if (bytes.empty()) {
                co_await self->output_.wait();
                continue;
            }
            const auto written = co_await self->transport_->write(bytes);
            if (!written && !self->run_.over()) self->run_.fail(written.error().detail);
        }
    }

    void send() {
        working_ = true;
        const AmqpShape& shape = run_.shape;
        while (in_flight_ < in_flight_max_ && run_.begun < shape.messages && engine_.credit(link_) > 0) {
            std::string tag = std::to_string(next_tag_++);
            if (!engine_.send(link_, std::move(tag), 0, run_.payload, false)) break;
            in_flight_ += 1;
            run_.begun += 1;
        }
    }

    void ask() {
        working_ = true;
        const std::size_t wanted = in_flight_max_ - std::min(in_flight_, in_flight_max_);
        if (engine_.granted(link_) <= wanted / 2) engine_.grant(link_, static_cast<std::uint32_t>(wanted));
    }

    void on(amqp::event::Opened&) { session_ = engine_.begin(); }
    void on(amqp::event::SessionBegun&) {
        amqp::Attach attach;
        attach.name = "bench-" + std::to_string(::getpid()) + "-" + std::to_string(now());
        attach.receiver = run_.shape.receives;
        attach.settle_mode = amqp::SettleMode::unsettled;
        attach.source = amqp::Source{};
        attach.target = amqp::Target{};
        auto& address = attach.receiver ? attach.source->address : attach.target->address;
        address = run_.shape.address;
        attach.source->durable = attach.target->durable = 2;  // RabbitMQ makes the queue durable
        link_ = engine_.attach(session_, std::move(attach));
    }
    void on(amqp::event::LinkAnswered& answered) {
        attached_ = !answered.refused;
        run_.changed.notify();
    }
    void on(amqp::event::LinkDetached& detached) { end(detached.error); }
    void on(amqp::event::SessionEnded& ended) { end(ended.error); }
    void on(amqp::event::Closed& closed) { end(closed.error); }
    /// Completes it and waits for the answer, as clients of Service Bus do.
    void on(amqp::event::Arrived& arrived) {
        in_flight_ += 1;
        engine_.tell(link_, arrived.delivery.id, amqp::Accepted{}, false);
    }
    void on(amqp::event::StateChanged& changed) {
        if (!std::holds_alternative<amqp::Accepted>(changed.state)) return run_.fail("not accepted");
        if (!changed.settled) return;
        in_flight_ -= 1;
        run_.answered += 1;
        if (run_.over()) run_.changed.notify();
    }
    template <class Other>
    void on(Other&) {}

    void end(const std::optional<amqp::Condition>& error) {
        run_.fail(error ? error->name + ": " + error->description : "the link has ended");
    }

    asio::any_io_executor io_;
    AmqpRun& run_;
    std::size_t in_flight_max_;
    amqp::Connection engine_;
    Signal output_;
    std::unique_ptr<amqp::Transport> transport_;
    amqp::SessionId session_ = 0;
    amqp::LinkId link_ = 0;
    bool attached_ = false;
    bool working_ = false;
    std::size_t in_flight_ = 0;
    std::uint64_t next_tag_ = 0;
};

/// Opens the connections, then measures. Throws where the peer breaks off or refuses.
inline asio::awaitable<void> play_amqp(asio::any_io_executor io, AmqpRun& run, AmqpResult& result) {
    std::vector<std::shared_ptr<AmqpPeer>> peers;
    for (std::size_t i = 0; i < run.shape.connections; ++i) {
        peers.push_back(std::make_shared<AmqpPeer>(io, run));
        co_await AmqpPeer::open(peers.back());
    }
    const double client = cpu_seconds();
    const double server = cpu_seconds_of(run.shape.server);
    const auto begin = SteadyClock::now();
    for (const auto& peer : peers) peer->work();
    while (!run.over()) co_await run.changed.wait();
    result.seconds = seconds_since(begin);
    result.client_cpu_seconds = cpu_seconds() - client;
    result.server_cpu_seconds = cpu_seconds_of(run.shape.server) - server;
    for (const auto& peer : peers) peer->close();
}

}  // namespace millrace::bench
