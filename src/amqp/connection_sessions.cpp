#include "amqp/connection_state.hpp"

namespace millrace::amqp {

SessionId Connection::begin() {
    const SessionId id = next_id_;
    Session* const begun = opened_ && !is_over() ? new_session() : nullptr;
    if (begun == nullptr) {
        next_id_ += 1;
        if (!closed_) {
            events_.push_back(
                event::SessionEnded{id, Condition{"amqp:not-allowed", "the peer takes no session", {}}});
        }
        return id;
    }
    write_begin(*begun, std::nullopt);
    return id;
}

/// Null if the peer knows no channel for another.
Connection::Session* Connection::new_session() {
    // RabbitMQ 4 loses what comes over a channel again right after its session has ended.
    const std::uint32_t channel = channels_.take_rested(remote_channel_max_);
    if (channel > remote_channel_max_) {
        channels_.give_back(channel);
        return nullptr;
    }
    auto made = std::make_unique<Session>();
    Session& fresh = *made;
    fresh.id = next_id_++;
    fresh.channel = static_cast<std::uint16_t>(channel);
    fresh.next_outgoing_id = options_.first_id;
    fresh.next_delivery_id = options_.first_id;
    by_channel_.emplace(fresh.channel, &fresh);
    sessions_.emplace(fresh.id, std::move(made));
    return &fresh;
}

void Connection::write_begin(const Session& about, std::optional<std::uint16_t> remote_channel) {
    Begin begin;
    begin.remote_channel = remote_channel;
    begin.next_outgoing_id = about.next_outgoing_id;
    begin.incoming_window = kIncomingWindow;
    begin.outgoing_window = kIncomingWindow;
    begin.handle_max = static_cast<std::uint32_t>(options_.links_max - 1);
    frame(about.channel, begin);
}

void Connection::on_begin(std::uint16_t channel, const Begin& begin) {
    if (by_remote_channel_.contains(channel)) return fail("amqp:not-allowed", "the channel is in use");
    Session* begun = nullptr;
    if (begin.remote_channel) {
        const auto found = by_channel_.find(*begin.remote_channel);
        begun = found == by_channel_.end() ? nullptr : found->second;
        if (begun == nullptr || begun->remote_channel) {
            return fail("amqp:not-allowed", "a begin answers a session that was not begun");
        }
    } else {
        const bool room = sessions_.size() < options_.sessions_max && channel < options_.sessions_max;
        begun = room ? new_session() : nullptr;
        if (begun == nullptr) return fail("amqp:resource-limit-exceeded", "too many sessions");
        write_begin(*begun, channel);
    }
    begun->remote_channel = channel;
    begun->next_incoming_id = begin.next_outgoing_id;
    begun->remote_window = begin.incoming_window;
    begun->remote_handle_max = begin.handle_max;
    by_remote_channel_.emplace(channel, begun);
    if (!begun->end_sent) events_.push_back(event::SessionBegun{begun->id});
    pump(*begun);
}

void Connection::end(SessionId id, std::optional<Condition> error) {
    Session* const ended = session(id);
    if (ended == nullptr || ended->end_sent || is_over()) return;
    frame(ended->channel, End{std::move(error)});
    silence(*ended);
}

void Connection::end_with(Session& broken, const char* condition, std::string description) {
    Condition error{condition, std::move(description), {}};
    frame(broken.channel, End{error});
    silence(broken);
    broken.end_told = true;
    events_.push_back(event::SessionEnded{broken.id, std::move(error)});
}

void Connection::on_end(Session& ended, End& end) {
    if (!ended.end_sent) frame(ended.channel, End{});
    if (!ended.end_told) events_.push_back(event::SessionEnded{ended.id, std::move(end.error)});
    forget(ended);
}

/// Nothing more is written or read of a session but the peer's end: what it holds is let go.
void Connection::silence(Session& ended) {
    ended.end_sent = true;
    ended.sent.clear();
    ended.arrived.clear();
    for (const Outgoing& one : ended.outgoing) queued_bytes_ -= one.payload.size() - one.written;
    ended.outgoing.clear();
    for (const auto& [handle, one] : ended.by_handle) {
        one->unsettled = one->waiting = 0;
        silence(*one);
    }
}

void Connection::forget(Session& gone) {
    silence(gone);
    while (!gone.by_handle.empty()) forget(*gone.by_handle.begin()->second);
    if (gone.remote_channel) by_remote_channel_.erase(*gone.remote_channel);
    by_channel_.erase(gone.channel);
    channels_.give_back(gone.channel);
    sessions_.erase(gone.id);
}

/// Part 2, 2.5.6: the frames that the peer takes are those it tells, less those on their way to it.
void Connection::on_session_flow(Session& owner, const Flow& flow) {
    const std::uint32_t seen = flow.next_incoming_id.value_or(options_.first_id);
    owner.remote_window = less_on_the_way(flow.incoming_window, owner.next_outgoing_id, seen);
}

void Connection::write_flow(Session& owner, const Link* about) {
    owner.incoming_window = kIncomingWindow;
    Flow flow;
    if (owner.remote_channel) flow.next_incoming_id = owner.next_incoming_id;
    flow.incoming_window = owner.incoming_window;
    flow.next_outgoing_id = owner.next_outgoing_id;
    flow.outgoing_window = kIncomingWindow;
    if (about != nullptr) {
        flow.handle = about->handle;
        flow.delivery_count = about->delivery_count;
        flow.link_credit = about->credit + about->queued;
        flow.drain = about->drain;
    }
    frame(owner.channel, flow);
}

}  // namespace millrace::amqp
