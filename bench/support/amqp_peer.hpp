// Peers of an AMQP server, for benchmarks: ones that speak the protocol, and ones that only write bytes.
#pragma once

#include "amqp/connection.hpp"
#include "base/async.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace millrace::bench {

namespace asio = boost::asio;

/// One connection. `on_event` sees every event; commands go to `engine`, followed by `flush`. The coroutines
/// share it: let go of it by `cut`.
class AmqpPeer : public std::enable_shared_from_this<AmqpPeer> {
  public:
    AmqpPeer(asio::io_context& io, unsigned short port) : io_(io), socket_(io), changed_(io.get_executor()) {
        socket_.connect({asio::ip::address_v4::loopback(), port});
        socket_.set_option(asio::ip::tcp::no_delay(true));
    }

    /// Speaks AMQP; `on_event` is set before.
    void speak() {
        amqp::ConnectionOptions options;
        options.container_id = "bench";
        options.mechanisms = {"ANONYMOUS"};
        engine = std::make_unique<amqp::Connection>(std::move(options));
        engine->start();
        asio::co_spawn(io_, read(shared_from_this()), asio::detached);
        flush();
    }
    /// Speaks nothing: writes `bytes` and takes note of the end.
    void write_raw(std::string bytes) {
        asio::co_spawn(io_, read(shared_from_this()), asio::detached);
        raw_ = std::move(bytes);
        flush();
    }
    void write_more(const std::string& bytes) {
        raw_ += bytes;
        flush();
    }
    void flush() {
        if (!std::exchange(writing_, true)) asio::co_spawn(io_, write(shared_from_this()), asio::detached);
    }
    void reads(bool on) {
        reads_ = on;
        changed_.notify();
    }
    void cut() {
        boost::system::error_code ignored;
        socket_.close(ignored);
        ended_ = true;
        reads(true);
    }
    /// By the server.
    bool was_ended() const { return ended_by_server_; }

    std::unique_ptr<amqp::Connection> engine;
    std::function<void(amqp::Event&)> on_event = [](amqp::Event&) {};

  private:
    static constexpr auto kToken = asio::as_tuple(asio::use_awaitable);

    static asio::awaitable<void> read(std::shared_ptr<AmqpPeer> self) {
        std::vector<char> room(8192);
        while (!self->ended_) {
            if (!self->reads_) {
                co_await self->changed_.wait();
                continue;
            }
            const auto buffer = asio::buffer(room);
            auto [error, size] = co_await self->socket_.async_read_some(buffer, kToken);
            if (error) {
                self->ended_by_server_ = !self->ended_;
                break;
            }
            if (self->engine) self->take(std::string_view(room.data(), size));
        }
        self->ended_ = true;
    }
    void take(std::string_view bytes) {
        engine->receive(bytes, 0);
        while (auto next = engine->poll()) on_event(*next);
        flush();
    }
    static asio::awaitable<void> write(std::shared_ptr<AmqpPeer> self) {
        while (!self->ended_) {
            const std::string bytes =
                self->engine ? self->engine->take_output() : std::exchange(self->raw_, {});
            if (bytes.empty()) break;
            const auto buffer = asio::buffer(bytes);
            auto [error, size] = co_await asio::async_write(self->socket_, buffer, kToken);
            (void)size;
            if (error) break;
        }
        self->writing_ = false;
    }

    asio::io_context& io_;
    asio::ip::tcp::socket socket_;
    Signal changed_;
    std::string raw_;
    bool reads_ = true, writing_ = false, ended_ = false, ended_by_server_ = false;
};

inline amqp::Attach sender_to(std::string queue, std::string name) {
    amqp::Attach attach;
    attach.name = std::move(name);
    attach.settle_mode = amqp::SettleMode::unsettled;
    attach.source = amqp::Source{.address = "bench"};
    attach.target = amqp::Target{.address = std::move(queue)};
    return attach;
}

inline amqp::Attach receiver_from(std::string queue, std::string name) {
    amqp::Attach attach;
    attach.name = std::move(name);
    attach.receiver = true;
    attach.settle_mode = amqp::SettleMode::unsettled;
    attach.source = amqp::Source{.address = std::move(queue)};
    attach.target = amqp::Target{.address = "bench"};
    return attach;
}

inline std::string amqp_frame(const amqp::Performative& performative, std::string_view payload = {}) {
    std::string body;
    amqp::append(body, performative);
    body += payload;
    std::string frame;
    amqp::Writer writer(frame);
    writer.number(body.size() + 8, 4);
    writer.byte(2);
    writer.byte(0);
    writer.number(0, 2);
    return frame + body;
}

}  // namespace millrace::bench
