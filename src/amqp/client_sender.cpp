#include "amqp/client_sender.hpp"

#include "base/ids.hpp"

namespace millrace::amqp {

std::size_t SenderLink::attach_links(SessionId channel) {
    Attach attach;
    attach.name = "millrace-send-" + to_hex(random_uuid());
    attach.settle_mode = SettleMode::unsettled;
    attach.source = Source{};
    attach.target = Target{};
    attach.target->address = address_;
    link_ = wire_->attach(channel, std::move(attach));
    return 1;
}

asio::awaitable<void> SenderLink::until_credit() {
    while (is_open() && (wire_->credit(link_) == 0 || !wire_->has_room())) {
        if (wire_->credit(link_) == 0)
            co_await credit_.wait();
        else
            co_await wire_->written().wait();
    }
}

asio::awaitable<Result<DeliveryState>> SenderLink::send(std::string payload, std::uint32_t format,
                                                        Duration time_max, bool& sent) {
    const auto self = shared_from_this();
    if (bytes_max_ > 0 && payload.size() > bytes_max_) {
        co_return Error{Errc::invalid_input, "what is sent at once has " + std::to_string(payload.size()) +
                                                 " bytes; the queue takes " + std::to_string(bytes_max_)};
    }
    auto waiting = until_credit();
    const bool ready = co_await with_deadline(std::move(waiting), time_max);
    if (!is_open()) co_return error();
    if (!ready) co_return Error{Errc::unavailable, "the queue takes no messages at the moment"};
    const auto id = wire_->send(link_, std::to_string(next_tag_++), format, std::move(payload));
    if (!id) co_return Error{Errc::unavailable, "the queue takes no messages at the moment"};
    sent = true;
    const auto outcome = std::make_shared<Outcome>(io_);
    pending_.emplace(*id, outcome);
    co_await wait_for(outcome, time_max);
    if (outcome->value) co_return *outcome->value;
    pending_.erase(*id);
    co_return Error{Errc::unavailable, "the queue does not answer"};
}

void SenderLink::on_state(LinkId, event::StateChanged& changed) {
    if (!changed.settled) wire_->tell(link_, changed.delivery, changed.state, true);
    const auto found = pending_.find(changed.delivery);
    if (found == pending_.end()) return;
    const auto outcome = found->second;
    pending_.erase(found);
    outcome->set(std::move(changed.state));
}

void SenderLink::on_end() {
    credit_.notify();
    const auto pending = std::exchange(pending_, {});
    for (const auto& [id, outcome] : pending) outcome->set(error());
}

}  // namespace millrace::amqp
