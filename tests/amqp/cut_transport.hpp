// A transport that breaks when a test wants it to.
#pragma once

#include "amqp/remote_queue.hpp"
#include "amqp/transport.hpp"

#include <functional>
#include <memory>
#include <string>

namespace millrace::amqp::test {

/// Counts the steps of all connections of a client and breaks the connection at one of them.
struct Cut {
    int steps_left = 0;
    bool done = false;
    bool now() { return !done && --steps_left == 0 && (done = true); }
};

/// Each read and each write is two steps: before and after it was done.
class CutTransport final : public Transport {
  public:
    CutTransport(std::unique_ptr<Transport> inner, Cut& cut) : inner_(std::move(inner)), cut_(cut) {}

    asio::awaitable<Result<std::size_t>> read_some(asio::mutable_buffer room) override {
        if (cut_.now()) co_return broken();
        auto reading = inner_->read_some(room);
        auto got = co_await std::move(reading);
        if (got && cut_.now()) co_return broken();
        co_return got;
    }
    asio::awaitable<Result<void>> write(std::string_view bytes) override {
        if (cut_.now()) co_return broken();
        auto writing = inner_->write(bytes);
        auto written = co_await std::move(writing);
        if (written && cut_.now()) co_return broken();
        co_return written;
    }
    asio::awaitable<void> shut_down() override { return inner_->shut_down(); }
    void close() noexcept override { inner_->close(); }

  private:
    Error broken() {
        inner_->close();
        return Error{Errc::unavailable, "cut by the test"};
    }
    std::unique_ptr<Transport> inner_;
    Cut& cut_;
};

/// Connects to `to` and puts what `wrap` makes around the stream.
using Wrap = std::function<std::unique_ptr<Transport>(std::unique_ptr<Transport>)>;
inline asio::awaitable<Result<std::unique_ptr<Transport>>> connect_wrapped(asio::any_io_executor io,
                                                                           Endpoint to, Wrap wrap) {
    auto connecting = connect_transport(io, std::move(to), nullptr);
    auto opened = co_await std::move(connecting);
    if (!opened) co_return opened.error();
    co_return wrap(std::move(*opened));
}

/// Lets `options` connect through what `wrap` makes.
inline void put_around(RemoteOptions& options, asio::any_io_executor io, Wrap wrap) {
    options.connect = [io, to = options.target.endpoint, wrap = std::move(wrap)] {
        return connect_wrapped(io, to, wrap);
    };
}

inline Wrap cutting(Cut& cut) {
    return [&cut](std::unique_ptr<Transport> inner) {
        return std::make_unique<CutTransport>(std::move(inner), cut);
    };
}

}  // namespace millrace::amqp::test
