// The AMQP server over an embedded broker, and a client of it, in one process.
#pragma once

#include "amqp/remote_queue.hpp"
#include "amqp/server.hpp"
#include "tests/broker/harness.hpp"

namespace millrace::amqp::test {

using broker::test::EmbeddedBroker;
using broker::test::Loop;

inline constexpr char kKeyName[] = "RootManageSharedAccessKey";
inline constexpr char kKey[] = "k3y/with+signs=";

class LiveServer {
  public:
    explicit LiveServer(broker::Broker::Options options = {}) : embedded(options) { start(0); }
    ~LiveServer() {
        if (server) loop.await(server->stop(Duration::zero()));
    }

    EmbeddedBroker embedded;
    Loop& loop = embedded.loop;
    ManualClock& clock = embedded.clock;
    std::unique_ptr<Server> server;

    broker::Broker& broker() { return *embedded.broker; }

    /// Runs what can run now on both sides and in the database, which works on a thread of its own.
    void settle() {
        for (int round = 0; round < 3; ++round) {
            loop.settle();
            auto nothing = [](store::Connection&) { return true; };
            loop.await(embedded.database->write(std::move(nothing)));
        }
        loop.settle();
    }
    void pass(Duration time) {
        settle();
        embedded.pass(time);
        settle();
    }

    void start(unsigned short port) {
        AccessKey key{kKeyName, kKey, {true, true, true}, ""};
        const auto keys = std::make_shared<AccessKeys>(std::vector<AccessKey>{key});
        ServerOptions options;
        options.port = port;
        auto started = Server::start(loop.io().get_executor(), broker(), clock, keys, options);
        if (!started) throw std::runtime_error(started.error().detail);
        server = std::move(*started);
    }

    RemoteOptions options_for_client() const {
        RemoteOptions options;
        options.target.endpoint.host = "127.0.0.1";
        options.target.endpoint.port = server->port();
        options.target.endpoint.tls = false;
        options.target.user = kKeyName;
        options.target.secret = kKey;
        options.backoff_first = Duration(10);
        options.operation_time = std::chrono::seconds(10);
        options.connect_wait = std::chrono::seconds(10);
        return options;
    }
    std::unique_ptr<RemoteQueue> client(RemoteOptions options) {
        return make_service_bus_queue(loop.io().get_executor(), clock, std::move(options));
    }
    std::unique_ptr<RemoteQueue> client() { return client(options_for_client()); }
};

}  // namespace millrace::amqp::test
