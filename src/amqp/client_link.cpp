#include "amqp/client_link.hpp"

namespace millrace::amqp {

void ClientLink::attach(std::shared_ptr<Wire> wire) {
    if (is_gone()) return;
    wire_ = std::move(wire);
    channel_ = wire_->open_channel(shared_from_this());
    if (is_gone()) return;
    missing_ = attach_links(channel_);
}

asio::awaitable<void> ClientLink::until_answered() {
    while (stage_ == Stage::opening) co_await changed_.wait();
}

asio::awaitable<void> ClientLink::until_gone() {
    while (stage_ != Stage::gone) co_await changed_.wait();
}

asio::awaitable<Result<void>> ClientLink::opened(Duration time_max) {
    const auto self = shared_from_this();
    if (stage_ == Stage::opening) {
        auto waiting = until_answered();
        co_await with_deadline(std::move(waiting), time_max);
    }
    if (stage_ == Stage::open) co_return Result<void>();
    if (stage_ == Stage::gone) co_return error_;
    drop(Error{Errc::unavailable, "the link was not answered in time"});
    co_return error_;
}

void ClientLink::close() {
    if (is_gone()) return;
    if (wire_)
        wire_->close_channel(channel_);
    else
        on_gone(Error{Errc::unavailable, "the link was closed"});
}

void ClientLink::drop(Error why) {
    if (is_gone()) return;
    if (wire_) wire_->close_channel(channel_);
    on_gone(why);
}

asio::awaitable<void> ClientLink::closed(Duration time_max) {
    const auto self = shared_from_this();
    if (is_gone()) co_return;
    auto waiting = until_gone();
    co_await with_deadline(std::move(waiting), time_max);
}

void ClientLink::on_attached(LinkId link, const Attach& answer) {
    on_link(link, answer);
    if (missing_ > 0) missing_ -= 1;
    if (missing_ > 0 || stage_ != Stage::opening) return;
    stage_ = Stage::open;
    on_open();
    changed_.notify();
}

void ClientLink::on_gone(const Error& why) {
    if (stage_ == Stage::gone) return;
    stage_ = Stage::gone;
    error_ = why;
    const auto self = shared_from_this();
    on_end();
    changed_.notify();
}

}  // namespace millrace::amqp
