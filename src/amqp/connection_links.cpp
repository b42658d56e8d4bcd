#include "amqp/connection_state.hpp"

namespace millrace::amqp {

LinkId Connection::attach(SessionId id, Attach attach) {
    Session* const owner = session(id);
    if (owner == nullptr || owner->end_sent || is_over()) return next_id_++;
    Link* const asking = new_link(*owner, attach, !attach.receiver);
    if (asking == nullptr) {
        events_.push_back(event::LinkDetached{
            next_id_, true, Condition{"amqp:not-allowed", "the peer takes no link in this session", {}}});
        return next_id_++;
    }
    asking->stage = Link::Stage::asking;
    write_attach(*asking, std::move(attach));
    return asking->id;
}

/// Null if the peer knows no handle for another.
Connection::Link* Connection::new_link(Session& owner, const Attach& attach, bool sender) {
    const std::uint32_t handle = owner.handles.take();
    if (handle > owner.remote_handle_max) {
        owner.handles.give_back(handle);
        return nullptr;
    }
    auto made = std::make_unique<Link>();
    Link& fresh = *made;
    fresh.id = next_id_++;
    fresh.session = &owner;
    fresh.name = attach.name;
    fresh.sender = sender;
    fresh.settle_mode = attach.settle_mode;
    fresh.confirm_mode = attach.confirm_mode;
    fresh.handle = handle;
    owner.by_handle.emplace(handle, &fresh);
    links_.emplace(fresh.id, std::move(made));
    return &fresh;
}

void Connection::write_attach(Link& about, Attach attach) {
    attach.name = about.name;
    attach.handle = about.handle;
    attach.receiver = !about.sender;
    if (about.sender) attach.initial_delivery_count = 0;
    frame(about.session->channel, attach);
    about.named = true;
}

// The answer to a link of ours is told by name and role.
void Connection::on_attach(Session& owner, Attach& attach) {
    if (owner.by_remote_handle.contains(attach.handle)) {
        return end_with(owner, "amqp:session:handle-in-use", "the handle is in use");
    }
    if (attach.name.size() > limits::amqp_name_bytes_max) {
        return end_with(owner, "amqp:invalid-field", "a link's name is too long");
    }
    Link* answered = nullptr;
    for (const auto& [handle, one] : owner.by_handle) {
        if (options_.server) break;  // which asks for none
        const bool waits = one->named && !one->remote_handle &&
                           (one->stage == Link::Stage::asking || one->stage == Link::Stage::detach_sent);
        if (!waits || one->sender != attach.receiver || one->name != attach.name) continue;
        if (answered == nullptr || one->id < answered->id) answered = one;
    }
    if (answered != nullptr) return on_answer(*answered, attach);
    Link* const asked = links_.size() < std::min(options_.links_max, options_.links_at_first)
                            ? new_link(owner, attach, attach.receiver)
                            : nullptr;
    if (asked == nullptr) {
        return end_with(owner, "amqp:resource-limit-exceeded", "too many links on one connection");
    }
    asked->remote_handle = attach.handle;
    asked->delivery_count = asked->allowed = asked->sender ? 0 : attach.initial_delivery_count.value_or(0);
    owner.by_remote_handle.emplace(attach.handle, asked);
    events_.push_back(event::LinkAsked{asked->id, owner.id, std::move(attach)});
}

void Connection::on_answer(Link& answered, Attach& attach) {
    answered.remote_handle = attach.handle;
    answered.session->by_remote_handle.emplace(attach.handle, &answered);
    if (answered.stage == Link::Stage::detach_sent) return;  // before it was answered
    answered.stage = Link::Stage::attached;
    if (!answered.sender) {
        answered.delivery_count = answered.allowed = attach.initial_delivery_count.value_or(0);
    }
    const bool refused = answered.sender ? !attach.target : !attach.source;
    events_.push_back(event::LinkAnswered{answered.id, std::move(attach), refused});
}

void Connection::accept(LinkId id, Attach answer) {
    Link* const accepted = live_link(id);
    if (accepted == nullptr || accepted->stage != Link::Stage::asked) return;
    accepted->stage = Link::Stage::attached;
    write_attach(*accepted, std::move(answer));
    if (accepted->credit > 0 || accepted->drain) tell_credit(*accepted);
}

void Connection::refuse(LinkId id, Condition error) { detach(id, std::move(error)); }

void Connection::detach(LinkId id, std::optional<Condition> error, bool closed) {
    Link* const leaving = live_link(id);
    if (leaving == nullptr || leaving->stage == Link::Stage::detach_sent) return;
    if (!leaving->named) {
        Attach refusal;  // with null source and target
        refusal.settle_mode = leaving->settle_mode;
        refusal.confirm_mode = leaving->confirm_mode;
        write_attach(*leaving, std::move(refusal));
    }
    const bool answers = leaving->stage == Link::Stage::detach_received;
    frame(leaving->session->channel, Detach{leaving->handle, closed, std::move(error)});
    leaving->stage = Link::Stage::detach_sent;
    silence(*leaving);
    if (answers) forget(*leaving);
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
    silence(*leaving);
}

/// No more deliveries go over a link: lets go of those that are not whole.
void Connection::silence(Link& leaving) {
    if (leaving.partial) partial_bytes_ -= leaving.partial->payload.size();
    leaving.partial.reset();
    leaving.credit = 0;
    leaving.drain = leaving.give_back = false;
    if (leaving.waiting > 0) {
        std::erase_if(leaving.session->outgoing, [&](const Outgoing& one) {
            if (one.link != &leaving) return false;
            queued_bytes_ -= one.payload.size() - one.written;
            return true;
        });
    }
    leaving.waiting = leaving.queued = 0;
}

void Connection::forget(Link& gone) {
    Session& owner = *gone.session;
    silence(gone);
    if (gone.unsettled > 0) {
        const auto of_it = [&](const auto& one) { return one.second.link == &gone; };
        std::erase_if(owner.sent, of_it);
        std::erase_if(owner.arrived, of_it);
        make_room(owner);
    }
    owner.by_handle.erase(gone.handle);
    owner.handles.give_back(gone.handle);
    if (gone.remote_handle) owner.by_remote_handle.erase(*gone.remote_handle);
    links_.erase(gone.id);
}

Connection::Link* Connection::link_by_remote(Session& owner, std::uint32_t handle) {
    const auto found = owner.by_remote_handle.find(handle);
    return found == owner.by_remote_handle.end() ? nullptr : found->second;
}

void Connection::on_flow(Session& owner, const Flow& flow) {
    on_session_flow(owner, flow);
    Link* about = nullptr;
    if (flow.handle) {
        about = link_by_remote(owner, *flow.handle);
        if (about == nullptr)
            return end_with(owner, "amqp:session:unattached-handle", "no link has this handle");
        on_link_flow(*about, flow);
    }
    pump(owner);
    if (flow.echo)
        write_flow(owner, about != nullptr && about->stage == Link::Stage::attached ? about : nullptr);
}

void Connection::on_link_flow(Link& about, const Flow& flow) {
    if (about.stage != Link::Stage::attached && about.stage != Link::Stage::asked) return;
    if (about.sender) {
        const std::uint32_t left = less_on_the_way(flow.link_credit.value_or(0), about.delivery_count,
                                                   flow.delivery_count.value_or(0));
        const std::uint32_t credit = left - std::min(left, about.queued);
        const bool changed = credit != about.credit || flow.drain != about.drain;
        about.credit = credit;
        about.drain = flow.drain;
        about.give_back = false;
        if (changed || flow.drain) tell_credit(about);
        return;
    }
    if (!flow.delivery_count) return;
    const std::uint32_t advanced = *flow.delivery_count - about.delivery_count;
    if (advanced > about.allowed - about.delivery_count) return;  // it counts what was never granted
    about.delivery_count += advanced;
    about.credit -= std::min(about.credit, advanced);
    tell_drained(about);
}

void Connection::tell_credit(Link& about) {
    if (about.stage != Link::Stage::attached || about.credit_told) return;
    about.credit_told = true;
    events_.push_back(event::CreditChanged{about.id});
}

void Connection::tell_drained(Link& about) {
    if (!about.drain || about.credit > 0) return;
    about.drain = false;
    events_.push_back(event::Drained{about.id});
}

void Connection::drained(LinkId id) {
    Link* const sender = live_link(id);
    if (sender == nullptr || !sender->sender || !sender->drain || sender->stage != Link::Stage::attached)
        return;
    sender->give_back = sender->waiting > 0;  // what was sent before must come before
    if (sender->give_back) return;
    sender->delivery_count += sender->credit;
    sender->credit = 0;
    write_flow(*sender->session, sender);
    sender->drain = false;
}

void Connection::grant(LinkId id, std::uint32_t credit, bool drain) {
    Link* const granted = live_link(id);
    if (granted == nullptr || granted->sender || granted->stage != Link::Stage::attached) return;
    granted->credit = credit;
    granted->allowed = granted->delivery_count + std::max(credit, granted->allowed - granted->delivery_count);
    granted->drain = drain;
    write_flow(*granted->session, granted);
}

std::uint32_t Connection::granted(LinkId id) const {
    const Link* const found = link(id);
    return found == nullptr || found->sender ? 0 : found->credit;
}

}  // namespace millrace::amqp
