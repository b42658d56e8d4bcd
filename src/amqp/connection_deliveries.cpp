#include "amqp/connection_state.hpp"

#include <cassert>

namespace millrace::amqp {

namespace {

bool is_plain(const DeliveryState& state) {
    return std::holds_alternative<Accepted>(state) || std::holds_alternative<Released>(state);
}

/// Received says how far a delivery has come, other states belong to what is not spoken here; none of these
/// end it.
bool is_outcome(const DeliveryState& state) {
    return !std::holds_alternative<std::monostate>(state) && !std::holds_alternative<Received>(state) &&
           !std::holds_alternative<OtherState>(state);
}

}  // namespace

std::uint32_t Connection::credit(LinkId id) const {
    const Link* const found = live_link(id);
    if (found == nullptr || !found->sender || found->stage != Link::Stage::attached) return 0;
    if (found->settle_mode == SettleMode::settled) return found->credit;
    const Session& owner = *found->session;
    const std::size_t room = owner.full ? 0 : options_.unsettled_max - owner.sent.size();
    return static_cast<std::uint32_t>(std::min<std::size_t>(found->credit, room));
}

bool Connection::draining(LinkId id) const {
    const Link* const found = link(id);
    return found != nullptr && found->sender && found->drain;
}

std::optional<std::uint32_t> Connection::send(LinkId id, std::string tag, std::uint32_t format,
                                              std::string payload, bool settled) {
    assert(tag.size() <= kTagMax);
    Link* const sender = live_link(id);
    if (sender == nullptr || !sender->sender || sender->stage != Link::Stage::attached) return std::nullopt;
    Session& owner = *sender->session;
    if (sender->credit == 0 || (owner.full && !settled)) return std::nullopt;
    sender->credit -= 1;
    sender->queued += 1;
    sender->waiting += 1;
    const std::uint32_t delivery = owner.next_delivery_id++;
    if (!settled) {
        owner.sent.emplace_hint(owner.sent.end(), delivery, Session::Unsettled{sender, tag});
        owner.full = owner.sent.size() >= options_.unsettled_max;
        sender->unsettled += 1;
    }
    Outgoing& outgoing = owner.outgoing.emplace_back();
    outgoing.link = sender;
    outgoing.head.handle = sender->handle;
    outgoing.head.delivery_id = delivery;
    outgoing.head.delivery_tag = std::move(tag);
    outgoing.head.message_format = format;
    outgoing.head.settled = settled;
    outgoing.payload = std::move(payload);
    queued_bytes_ += outgoing.payload.size();
    if (owner.outgoing.size() == 1) pump(owner);
    return delivery;
}

/// Writes what the peer's window lets through.
void Connection::pump(Session& owner) {
    if (!owner.remote_channel || owner.end_sent || is_over()) return;
    while (!owner.outgoing.empty() && owner.remote_window > 0) {
        if (!write_some(owner, owner.outgoing.front())) continue;
        Link& sender = *owner.outgoing.front().link;
        owner.outgoing.pop_front();
        sender.waiting -= 1;
        if (sender.give_back) drained(sender.id);
    }
}

/// Writes one frame; true if it was the last of its delivery.
bool Connection::write_some(Session& owner, Outgoing& outgoing) {
    flush_disposition();
    const std::size_t mark = out_.size();
    out_.append(kFrameHead, '\0');
    const std::size_t more = append(out_, outgoing.head);
    const std::size_t left = outgoing.payload.size() - outgoing.written;
    const std::size_t room = remote_frame_max_ - (out_.size() - mark);
    const std::size_t part = std::min(left, room);
    if (part < left) set_more(out_, more);
    out_.append(outgoing.payload, outgoing.written, part);
    frame_around(mark, kAmqpFrame, owner.channel);
    queued_bytes_ -= part;
    owner.next_outgoing_id += 1;
    owner.remote_window -= 1;
    if (outgoing.head.delivery_id) {  // the first frame
        outgoing.link->queued -= 1;
        outgoing.link->delivery_count += 1;
    }
    if (part == left) return true;
    outgoing.written += part;
    outgoing.head.delivery_id.reset();
    outgoing.head.delivery_tag.reset();
    outgoing.head.message_format.reset();
    return false;
}

void Connection::tell(LinkId id, std::uint32_t delivery, DeliveryState state, bool settled) {
    Link* const about = live_link(id);
    if (about == nullptr) return;
    Session& owner = *about->session;
    auto& known = about->sender ? owner.sent : owner.arrived;
    const auto found = known.find(delivery);
    if (found == known.end() || found->second.link != about) return;
    if (settled) {
        known.erase(found);
        about->unsettled -= 1;
        make_room(owner);
    }
    if (pending_disposition_) {
        auto& [channel, pending] = *pending_disposition_;
        if (channel == owner.channel && pending.receiver == !about->sender && pending.settled == settled &&
            pending.last + 1 == delivery && pending.state == state) {
            pending.last = delivery;
            return;
        }
    }
    flush_disposition();
    Disposition told{!about->sender, delivery, delivery, settled, std::move(state)};
    if (is_plain(told.state))
        pending_disposition_.emplace(owner.channel, std::move(told));
    else
        frame(owner.channel, told);
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
    if (!transfer.delivery_id || !transfer.delivery_tag || transfer.delivery_tag->size() > kTagMax) {
        fail("amqp:invalid-field",
             "the first transfer of a delivery has no id, or no tag of at most 32 bytes");
        return false;
    }
    if (to.allowed == to.delivery_count && !options_.server) to.allowed += 1;  // RabbitMQ 3 may err there
    if (to.allowed == to.delivery_count) {
        detach(to.id, Condition{"amqp:link:transfer-limit-exceeded", "more was sent than asked for", {}});
        return false;
    }
    if (owner.arrived.contains(*transfer.delivery_id)) {
        fail("amqp:invalid-field", "a delivery's id is that of another one");
        return false;
    }
    to.credit -= std::min(to.credit, 1U);
    to.delivery_count += 1;
    to.partial.emplace();
    to.partial->id = *transfer.delivery_id;
    to.partial->tag = std::move(*transfer.delivery_tag);
    to.partial->format = transfer.message_format.value_or(0);
    return true;
}

void Connection::on_transfer(Session& owner, Transfer& transfer, std::string_view payload) {
    owner.next_incoming_id += 1;
    owner.incoming_window -= 1;
    if (owner.incoming_window < kIncomingWindow / 2) write_flow(owner, nullptr);
    Link* const to = link_by_remote(owner, transfer.handle);
    if (to == nullptr) return end_with(owner, "amqp:session:unattached-handle", "no link has this handle");
    if (to->sender) return end_with(owner, "amqp:not-allowed", "a transfer on a link that sends");
    if (to->stage == Link::Stage::detach_sent) return;  // it was on its way
    if (!to->partial && !begin_delivery(owner, *to, transfer)) return;
    Incoming& delivery = *to->partial;
    if (transfer.delivery_id.value_or(delivery.id) != delivery.id) {
        return fail("amqp:invalid-field", "a delivery begins before the end of another one");
    }
    delivery.settled = delivery.settled || transfer.settled.value_or(false);
    if (transfer.aborted) {
        partial_bytes_ -= delivery.payload.size();
        to->partial.reset();
        return tell_drained(*to);
    }
    if (delivery.too_large || delivery.payload.size() + payload.size() > options_.message_bytes_max) {
        partial_bytes_ -= std::exchange(delivery.payload, {}).size();
        delivery.too_large = true;
        payload = {};
    }
    const std::size_t most = std::min(options_.partial_bytes_max, options_.partial_bytes_at_first);
    if (transfer.more && partial_bytes_ + payload.size() > most) {
        return fail("amqp:resource-limit-exceeded", "too many messages are begun and not ended");
    }
    delivery.payload.append(payload);
    partial_bytes_ += payload.size();
    if (!transfer.more) arrive(owner, *to);
}

/// The delivery that `to` waited for is whole.
void Connection::arrive(Session& owner, Link& to) {
    Incoming delivery = std::move(*to.partial);
    to.partial.reset();
    partial_bytes_ -= delivery.payload.size();
    if (!delivery.settled) {
        if (owner.arrived.size() >= options_.unsettled_max) {
            return end_with(owner, "amqp:resource-limit-exceeded", "too many deliveries are unsettled");
        }
        const bool fresh = owner.arrived.emplace(delivery.id, Session::Unsettled{&to, {}}).second;
        if (!fresh) return fail("amqp:invalid-field", "a delivery's id is that of another one");
        to.unsettled += 1;
    }
    events_.push_back(event::Arrived{to.id, std::move(delivery)});
    tell_drained(to);
}

/// Enough of the session's deliveries are settled: its links may go on. Not for each one: a thousand links
/// that wait would be woken for the room of one delivery.
void Connection::make_room(Session& owner) {
    const std::size_t most = options_.unsettled_max;
    if (!owner.full || owner.sent.size() >= most || owner.sent.size() > most - most / 4) return;
    owner.full = false;
    for (const auto& [handle, about] : owner.by_handle) {
        if (about->sender && about->credit > 0) tell_credit(*about);
    }
}

void Connection::on_disposition(const Session& owner, Disposition& told) {
    // It changes nothing, and may be repeated for ever: it makes no events.
    if (!told.settled && !is_outcome(told.state)) return;
    const std::uint32_t first = told.first;
    spread_ = Spread{owner.id, std::move(told), first};
    spread();
}

/// Tells the deliveries of a disposition one by one, as many as may become events now.
void Connection::spread() {
    Session* const owner = session(spread_->session);
    if (owner == nullptr || owner->end_sent) return spread_.reset();
    const Disposition& told = spread_->told;
    auto& known = told.receiver ? owner->sent : owner->arrived;
    std::uint32_t& next = spread_->next;
    for (auto at = known.lower_bound(next);;) {
        if (at == known.end() && next > told.last) {  // the ids wrap around
            next = 0;
            at = known.begin();
        }
        if (at == known.end() || (next <= told.last && at->first > told.last)) break;
        if (must_wait()) {
            next = at->first;
            return;
        }
        Session::Unsettled& delivery = at->second;
        if (!told.settled && told.receiver && std::exchange(delivery.told, true)) {
            next = at->first + 1;
            ++at;
            continue;
        }
        events_.push_back(event::StateChanged{delivery.link->id, at->first,
                                              told.settled ? std::move(delivery.tag) : delivery.tag,
                                              told.state, told.settled});
        if (told.settled) {
            delivery.link->unsettled -= 1;
            at = known.erase(at);
        } else {
            ++at;
        }
    }
    spread_.reset();
    make_room(*owner);
}

}  // namespace millrace::amqp
