#include "amqp/client_requests.hpp"

#include "base/ids.hpp"

namespace millrace::amqp {

namespace {

constexpr std::uint32_t kAnswerCredit = 200;

}  // namespace

std::size_t RequestLinks::attach_links(SessionId channel) {
    reply_to_ = "millrace-" + to_hex(random_uuid());
    Attach out;
    out.name = reply_to_ + "-ask";
    out.settle_mode = SettleMode::unsettled;
    out.source = Source{};
    out.source->address = reply_to_;
    out.target = Target{};
    out.target->address = node_;
    Attach in;
    in.name = reply_to_;
    in.receiver = true;
    if (pairing_ == Pairing::by_name) {
        out.name = in.name;
        for (Attach* half : {&out, &in}) {
            half->settle_mode = SettleMode::settled;
            half->properties.set_symbol("paired", true);
        }
    }
    sender_ = wire_->attach(channel, std::move(out));
    in.source = Source{};
    in.source->address = node_;
    in.target = Target{};
    in.target->address = reply_to_;
    receiver_ = wire_->attach(channel, std::move(in));
    return 2;
}

void RequestLinks::on_link(LinkId link, const Attach& answer) {
    if (link == sender_) bytes_max_ = answer.max_message_size;
}

void RequestLinks::on_open() {
    granted_ = kAnswerCredit;
    wire_->grant(receiver_, granted_, false);
}

asio::awaitable<void> RequestLinks::until_credit() {
    while (is_open() && (wire_->credit(sender_) == 0 || !wire_->has_room())) {
        if (wire_->credit(sender_) == 0)
            co_await credit_.wait();
        else
            co_await wire_->written().wait();
    }
}

asio::awaitable<Result<Answer>> RequestLinks::ask(Request request, Duration time_max) {
    const auto self = shared_from_this();
    auto waiting = until_credit();
    const bool ready = co_await with_deadline(std::move(waiting), time_max);
    if (!is_open()) co_return error();
    if (!ready) co_return Error{Errc::unavailable, node_ + " takes no requests at the moment"};
    const std::string tag = std::to_string(next_id_++);
    const std::string id = reply_to_ + "-" + tag;
    request.message_id = id;
    request.reply_to = pairing_ == Pairing::by_name ? "$me" : reply_to_;
    std::string payload = write_request(request);
    if (bytes_max_ > 0 && payload.size() > bytes_max_) {
        co_return Error{Errc::invalid_input, "a request of " + std::to_string(payload.size()) +
                                                 " bytes is larger than the queue takes"};
    }
    const auto reply = std::make_shared<Reply>(io_);
    pending_.emplace(id, reply);
    if (!wire_->send(sender_, tag, 0, std::move(payload), pairing_ == Pairing::by_name)) {
        pending_.erase(id);
        co_return Error{Errc::unavailable, node_ + " takes no requests at the moment"};
    }
    co_await wait_for(reply, time_max);
    pending_.erase(id);
    if (reply->value) co_return *reply->value;
    co_return Error{Errc::unavailable, node_ + " does not answer"};
}

void RequestLinks::on_arrived(LinkId, Incoming delivery) {
    if (!delivery.settled) wire_->tell(receiver_, delivery.id, Accepted{}, true);
    if (--granted_ <= kAnswerCredit / 2) on_open();
    auto answer = read_answer(delivery.payload);
    if (!answer) return;  // nobody can be told
    const auto id = text_of(&answer->correlation_id);
    const auto found = id ? pending_.find(std::string(*id)) : pending_.end();
    if (found == pending_.end()) return;
    const auto reply = found->second;
    pending_.erase(found);
    reply->set(std::move(*answer));
}

void RequestLinks::on_state(LinkId link, event::StateChanged& changed) {
    if (!changed.settled) wire_->tell(link, changed.delivery, changed.state, true);
}

void RequestLinks::on_end() {
    credit_.notify();
    const auto pending = std::exchange(pending_, {});
    for (const auto& [id, reply] : pending) reply->set(error());
}

}  // namespace millrace::amqp
