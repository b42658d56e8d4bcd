#include "amqp/connection_state.hpp"

namespace millrace::amqp {

namespace {

constexpr std::size_t kFrameHead = 8;

bool is_plain(const DeliveryState& state) {
    return std::holds_alternative<Accepted>(state) || std::holds_alternative<Released>(state);
}

}  // namespace

std::uint32_t Connection::credit(LinkId id) const {
    const Link* const found = link(id);
    if (found == nullptr || !found->sender || found->stage != Link::Stage::attached || closed_ || close_sent_)
        return 0;
    const Session& owner = *found->session;
    if (owner.end_sent) return 0;
    const std::size_t room = options_.unsettled_max - std::min(options_.unsettled_max, owner.sent.size());
    return static_cast<std::uint32_t>(std::min<std::size_t>(found->credit, room));
}

bool Connection::draining(LinkId id) const {
    const Link* const found = link(id);
    return found != nullptr && found->sender && found->drain;
}

std::optional<std::uint32_t> Connection::send(LinkId id, std::string tag, std::uint32_t format,
                                              std::string payload, bool settled) {
    Link* const sender = link(id);
    if (sender == nullptr || credit(id) == 0) return std::nullopt;
    Session& owner = *sender->session;
    sender->credit -= 1;
    sender->delivery_count += 1;
    const std::uint32_t delivery = owner.next_delivery_id++;
    if (!settled) owner.sent.emplace(delivery, Session::Sent{id, tag});
    Outgoing outgoing;
    outgoing.link = id;
    outgoing.head.handle = sender->handle;
    outgoing.head.delivery_id = delivery;
    outgoing.head.delivery_tag = std::move(tag);
    outgoing.head.message_format = format;
    outgoing.head.settled = settled;
    outgoing.payload = std::move(payload);
    queued_bytes_ += outgoing.payload.size();
    owner.outgoing.push_back(std::move(outgoing));
    pump(owner);
    return delivery;
}

void Connection::drained(LinkId id) {
    Link* const sender = link(id);
    if (sender == nullptr || !sender->sender || !sender->drain || sender->stage != Link::Stage::attached ||
        sender->session->end_sent || closed_ || close_sent_)
        return;
    sender->delivery_count += sender->credit;
    sender->credit = 0;
    write_flow(*sender->session, sender);
    sender->drain = false;
}

/// Writes what the peer's window lets through.
void Connection::pump(Session& owner) {
    if (!owner.remote_channel || owner.end_sent) return;
    while (!owner.outgoing.empty() && owner.remote_window > 0) {
        if (write_some(owner, owner.outgoing.front())) owner.outgoing.pop_front();
    }
}

/// Writes one frame; true if it was the last of its delivery.
bool Connection::write_some(Session& owner, Outgoing& outgoing) {
    flush_disposition();
    const std::size_t mark = out_.size();
    out_.append(kFrameHead, '\0');
    const std::size_t left = outgoing.payload.size() - outgoing.written;
    append(out_, outgoing.head);
    std::size_t room = remote_frame_max_ - std::min<std::size_t>(remote_frame_max_, out_.size() - mark);
    if (left > room) {
        out_.resize(mark + kFrameHead);
        outgoing.head.more = true;
        append(out_, outgoing.head);
        outgoing.head.more = false;
        room = remote_frame_max_ - std::min<std::size_t>(remote_frame_max_, out_.size() - mark);
    }
    const std::size_t part = std::min(left, room);
    out_.append(outgoing.payload, outgoing.written, part);
    frame_around(mark, 0, owner.channel);
    outgoing.written += part;
    queued_bytes_ -= part;
    owner.next_outgoing_id += 1;
    owner.remote_window -= 1;
    const std::uint32_t handle = outgoing.head.handle;
    const bool settled = outgoing.head.settled.value_or(false);
    if (part == left) return true;
    outgoing.head = Transfer();
    outgoing.head.handle = handle;
    outgoing.head.settled = settled;
    return false;
}

void Connection::tell(LinkId id, std::uint32_t delivery, DeliveryState state, bool settled) {
    Link* const about = link(id);
    if (about == nullptr || closed_ || close_sent_ || about->session->end_sent) return;
    Session& owner = *about->session;
    const bool full = owner.sent.size() >= options_.unsettled_max;
    if (settled) about->sender ? owner.sent.erase(delivery) : owner.arrived.erase(delivery);
    if (settled && full) make_room(owner);
    Disposition told{!about->sender, delivery, delivery, settled, std::move(state)};
    if (pending_disposition_) {
        auto& [channel, pending] = *pending_disposition_;
        if (channel == owner.channel && pending.receiver == told.receiver && pending.settled == settled &&
            pending.last + 1 == delivery && pending.state == told.state) {
            pending.last = delivery;
            return;
        }
    }
    flush_disposition();
    if (is_plain(told.state)) {
        pending_disposition_.emplace(owner.channel, std::move(told));
        return;
    }
    frame(owner.channel, std::move(told));
}

void Connection::flush_disposition() {
    if (!pending_disposition_) return;
    const auto [channel, disposition] = *std::exchange(pending_disposition_, std::nullopt);
    const std::size_t mark = out_.size();
    out_.append(kFrameHead, '\0');
    append(out_, disposition);
    frame_around(mark, 0, channel);
}

/// Begins a delivery with its first frame; false if it must not be.
bool Connection::begin_delivery(Session& owner, Link& to, Transfer& transfer) {
    if (!transfer.delivery_id || !transfer.delivery_tag) {
        fail("amqp:invalid-field", "the first transfer of a delivery has neither id nor tag");
        return false;
    }
    if (to.credit == 0) {
        detach(to.id, Condition{"amqp:link:transfer-limit-exceeded", "more was sent than asked for", {}});
        return false;
    }
    if (owner.arrived.size() >= options_.unsettled_max) {
        end_with(owner, "amqp:resource-limit-exceeded", "too many deliveries are unsettled");
        return false;
    }
    to.credit -= 1;
    to.delivery_count += 1;
    to.partial.emplace();
    to.partial->delivery.id = *transfer.delivery_id;
    to.partial->delivery.tag = std::move(*transfer.delivery_tag);
    to.partial->delivery.format = transfer.message_format.value_or(0);
    return true;
}

void Connection::on_transfer(Session& owner, Transfer& transfer, std::string_view payload) {
    owner.next_incoming_id += 1;
    if (owner.incoming_window == 0)
        return end_with(owner, "amqp:session:window-violation", "the window is closed");
    owner.incoming_window -= 1;
    if (owner.incoming_window < kIncomingWindow / 2) write_flow(owner, nullptr);
    Link* const to = link_by_remote(owner, transfer.handle);
    if (to == nullptr) return end_with(owner, "amqp:session:unattached-handle", "no link has this handle");
    if (to->sender) return end_with(owner, "amqp:not-allowed", "a transfer on a link that sends");
    if (to->stage != Link::Stage::attached) return;  // it was detached meanwhile
    if (!to->partial && !begin_delivery(owner, *to, transfer)) return;
    Incoming& delivery = to->partial->delivery;
    if (transfer.aborted) {
        partial_bytes_ -= delivery.payload.size();
        to->partial.reset();
        return;
    }
    delivery.settled = delivery.settled || transfer.settled.value_or(false);
    if (delivery.payload.size() + payload.size() > options_.message_bytes_max) {
        return detach(to->id, Condition{"amqp:link:message-size-exceeded",
                                        "the message is larger than " +
                                            std::to_string(options_.message_bytes_max) + " bytes",
                                        {}});
    }
    if (transfer.more && partial_bytes_ + payload.size() > options_.partial_bytes_max) {
        return fail("amqp:resource-limit-exceeded", "too many messages are begun and not ended");
    }
    delivery.payload.append(payload);
    partial_bytes_ += payload.size();
    if (transfer.more) return;
    partial_bytes_ -= delivery.payload.size();
    if (!delivery.settled) owner.arrived.emplace(delivery.id, to->id);
    events_.push_back(event::Arrived{to->id, std::move(delivery)});
    to->partial.reset();
    if (to->drain && to->credit == 0) {
        to->drain = false;
        events_.push_back(event::Drained{to->id});
    }
}

/// Some deliveries were settled: who could not send for their number may be able to now.
void Connection::make_room(const Session& owner) {
    if (owner.sent.size() >= options_.unsettled_max) return;
    for (const auto& [handle, about] : owner.by_handle) {
        if (about->sender && about->credit > 0) events_.push_back(event::CreditChanged{about->id});
    }
}

void Connection::on_disposition(Session& owner, const Disposition& told) {
    const std::uint32_t span = told.last - told.first;
    if (told.receiver) {
        const bool full = owner.sent.size() >= options_.unsettled_max;
        // Ids wrap around; those that are known lie close together.
        for (auto at = owner.sent.begin(); at != owner.sent.end();) {
            if (at->first < told.first && told.last >= told.first) {
                at = owner.sent.lower_bound(told.first);
                continue;
            }
            if (at->first - told.first > span) {
                if (told.last >= told.first) break;
                ++at;
                continue;
            }
            events_.push_back(event::StateChanged{at->second.link, at->first,
                                                  told.settled ? std::move(at->second.tag) : at->second.tag,
                                                  told.state, told.settled});
            at = told.settled ? owner.sent.erase(at) : std::next(at);
        }
        if (full) make_room(owner);
        return;
    }
    for (auto at = owner.arrived.lower_bound(told.first); at != owner.arrived.end();) {
        if (at->first - told.first > span) break;
        events_.push_back(event::StateChanged{at->second, at->first, {}, told.state, told.settled});
        at = told.settled ? owner.arrived.erase(at) : std::next(at);
    }
}

}  // namespace millrace::amqp
