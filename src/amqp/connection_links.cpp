#include "amqp/connection_state.hpp"

namespace millrace::amqp {

void Connection::forget(Link& gone) {
    Session& owner = *gone.session;
    if (gone.partial) partial_bytes_ -= gone.partial->delivery.payload.size();
    owner.by_handle.erase(gone.handle);
    if (gone.remote_handle) {
        const auto named = owner.by_remote_handle.find(*gone.remote_handle);
        if (named != owner.by_remote_handle.end() && named->second == &gone)
            owner.by_remote_handle.erase(named);
    }
    // A delivery of which the peer has seen the beginning cannot be taken back; the rest are not begun.
    for (Outgoing& waiting : owner.outgoing) {
        if (waiting.link == gone.id) queued_bytes_ -= waiting.payload.size() - waiting.written;
    }
    std::erase_if(owner.outgoing, [&](const Outgoing& one) { return one.link == gone.id; });
    std::erase_if(owner.sent, [&](const auto& one) { return one.second.link == gone.id; });
    std::erase_if(owner.arrived, [&](const auto& one) { return one.second == gone.id; });
    links_.erase(gone.id);
}

void Connection::forget(Session& gone) {
    while (!gone.by_handle.empty()) forget(*gone.by_handle.begin()->second);
    while (!gone.by_remote_handle.empty()) forget(*gone.by_remote_handle.begin()->second);
    if (gone.remote_channel) by_remote_channel_.erase(*gone.remote_channel);
    by_channel_.erase(gone.channel);
    sessions_.erase(gone.id);
}

void Connection::on_end(Session& ended, End& end) {
    const SessionId id = ended.id;
    if (!ended.end_sent) frame(ended.channel, End{});
    forget(ended);
    events_.push_back(event::SessionEnded{id, std::move(end.error)});
}

void Connection::end_with(Session& broken, const char* condition, std::string description) {
    const SessionId id = broken.id;
    Condition error{condition, std::move(description), {}};
    frame(broken.channel, End{error});
    broken.end_sent = true;
    events_.push_back(event::SessionEnded{id, std::move(error)});
}

LinkId Connection::attach(SessionId id, Attach attach) {
    const LinkId name = next_id_++;
    Session* const owner = session(id);
    if (owner == nullptr || owner->end_sent || closed_ || close_sent_) return name;
    auto made = std::make_unique<Link>();
    Link& link = *made;
    link.id = name;
    link.session = owner;
    link.name = attach.name;
    link.sender = !attach.receiver;
    link.confirm_mode = attach.confirm_mode;
    link.stage = Link::Stage::asking;
    while (owner->by_handle.contains(link.handle)) link.handle += 1;
    owner->by_handle.emplace(link.handle, &link);
    links_.emplace(name, std::move(made));
    attach.handle = link.handle;
    if (link.sender) attach.initial_delivery_count = 0;
    frame(owner->channel, attach);
    return name;
}

// The answer to a link of ours is told by name and role.
void Connection::on_attach(Session& owner, Attach& attach) {
    if (owner.by_remote_handle.contains(attach.handle)) {
        return end_with(owner, "amqp:session:handle-in-use", "the handle is in use");
    }
    for (const auto& [handle, link] : owner.by_handle) {
        if (options_.server) break;  // which asks for none
        if (link->stage != Link::Stage::asking || link->name != attach.name ||
            link->sender != attach.receiver)
            continue;
        link->remote_handle = attach.handle;
        owner.by_remote_handle.emplace(attach.handle, link);
        const bool refused = link->sender ? !attach.target : !attach.source;
        link->stage = Link::Stage::attached;
        if (!link->sender) link->delivery_count = attach.initial_delivery_count.value_or(0);
        events_.push_back(event::LinkAnswered{link->id, std::move(attach), refused});
        return;
    }
    if (links_.size() >= options_.links_max) {
        return end_with(owner, "amqp:resource-limit-exceeded", "too many links on one connection");
    }
    auto made = std::make_unique<Link>();
    Link& link = *made;
    link.id = next_id_++;
    link.session = &owner;
    link.name = attach.name;
    link.sender = attach.receiver;
    link.confirm_mode = attach.confirm_mode;
    link.remote_handle = attach.handle;
    if (!link.sender) link.delivery_count = attach.initial_delivery_count.value_or(0);
    owner.by_remote_handle.emplace(attach.handle, &link);
    while (owner.by_handle.contains(link.handle)) link.handle += 1;
    owner.by_handle.emplace(link.handle, &link);
    const LinkId id = link.id;
    links_.emplace(id, std::move(made));
    events_.push_back(event::LinkAsked{id, owner.id, std::move(attach)});
}

void Connection::accept(LinkId id, Attach answer) {
    Link* const accepted = link(id);
    if (accepted == nullptr || accepted->stage != Link::Stage::asked || accepted->session->end_sent ||
        closed_)
        return;
    accepted->stage = Link::Stage::attached;
    answer.name = accepted->name;
    answer.handle = accepted->handle;
    answer.receiver = !accepted->sender;
    if (accepted->sender) answer.initial_delivery_count = 0;
    frame(accepted->session->channel, answer);
    if (accepted->credit > 0 || accepted->drain) events_.push_back(event::CreditChanged{id});
}

void Connection::refuse(LinkId id, Condition error) {
    Link* const refused = link(id);
    if (refused == nullptr) return;
    if (refused->stage == Link::Stage::asked) {
        Attach answer;
        accept(id, std::move(answer));
    }
    detach(id, std::move(error));
}

void Connection::detach(LinkId id, std::optional<Condition> error, bool closed) {
    Link* const leaving = link(id);
    if (leaving == nullptr || closed_ || close_sent_ || leaving->session->end_sent) return;
    if (leaving->stage == Link::Stage::detach_sent) return;
    const bool answered = leaving->stage == Link::Stage::detach_received;
    frame(leaving->session->channel, Detach{leaving->handle, closed, std::move(error)});
    leaving->stage = Link::Stage::detach_sent;
    if (answered) forget(*leaving);
}

void Connection::on_detach(Session& owner, Detach& detach) {
    Link* const leaving = link_by_remote(owner, detach.handle);
    if (leaving == nullptr)
        return end_with(owner, "amqp:session:unattached-handle", "no link has this handle");
    events_.push_back(event::LinkDetached{leaving->id, detach.closed, std::move(detach.error)});
    owner.by_remote_handle.erase(detach.handle);  // which the peer may use anew
    leaving->remote_handle.reset();
    if (leaving->stage == Link::Stage::detach_sent) return forget(*leaving);
    leaving->stage = Link::Stage::detach_received;
    leaving->credit = 0;
}

Connection::Link* Connection::link_by_remote(Session& owner, std::uint32_t handle) {
    const auto found = owner.by_remote_handle.find(handle);
    return found == owner.by_remote_handle.end() ? nullptr : found->second;
}

void Connection::write_flow(Session& owner, Link* about, bool echo) {
    owner.incoming_window = kIncomingWindow;
    Flow flow;
    if (owner.remote_channel) flow.next_incoming_id = owner.next_incoming_id;
    flow.incoming_window = owner.incoming_window;
    flow.next_outgoing_id = owner.next_outgoing_id;
    flow.outgoing_window = kIncomingWindow;
    flow.echo = echo;
    if (about != nullptr) {
        flow.handle = about->handle;
        flow.delivery_count = about->delivery_count;
        flow.link_credit = about->credit;
        flow.drain = about->drain;
    }
    frame(owner.channel, flow);
}

void Connection::on_flow(Session& owner, const Flow& flow) {
    // Part 2, 2.5.6: what the peer takes, less what is on its way to it.
    const std::uint32_t from = flow.next_incoming_id.value_or(0);
    owner.remote_window = from + flow.incoming_window - owner.next_outgoing_id;
    if (flow.incoming_window == 0 || owner.remote_window > UINT32_MAX / 2) owner.remote_window = 0;
    Link* about = nullptr;
    if (flow.handle) {
        about = link_by_remote(owner, *flow.handle);
        if (about == nullptr)
            return end_with(owner, "amqp:session:unattached-handle", "no link has this handle");
        on_link_flow(*about, flow);
    }
    pump(owner);
    if (flow.echo) write_flow(owner, about);
}

void Connection::on_link_flow(Link& about, const Flow& flow) {
    if (about.sender) {
        const std::uint32_t credit =
            flow.delivery_count.value_or(0) + flow.link_credit.value_or(0) - about.delivery_count;
        about.credit = credit > UINT32_MAX / 2 ? 0 : credit;
        about.drain = flow.drain;
        if (about.stage == Link::Stage::attached) events_.push_back(event::CreditChanged{about.id});
        return;
    }
    if (!flow.delivery_count) return;
    const std::uint32_t advanced = *flow.delivery_count - about.delivery_count;
    if (advanced > about.credit) return;  // it counts what was never granted
    about.delivery_count += advanced;
    about.credit -= advanced;
    if (about.drain && about.credit == 0) {
        about.drain = false;
        events_.push_back(event::Drained{about.id});
    }
}

void Connection::grant(LinkId id, std::uint32_t credit, bool drain) {
    Link* const granted = link(id);
    if (granted == nullptr || granted->sender || granted->stage != Link::Stage::attached || closed_ ||
        granted->session->end_sent || close_sent_)
        return;
    granted->credit = credit;
    granted->drain = drain;
    write_flow(*granted->session, granted);
}

std::uint32_t Connection::granted(LinkId id) const {
    const Link* const found = link(id);
    return found == nullptr ? 0 : found->credit;
}

}  // namespace millrace::amqp
