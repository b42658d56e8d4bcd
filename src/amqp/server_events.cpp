// What a client's connection does about each event of the protocol.
#include "amqp/server_links.hpp"
#include "telemetry/log.hpp"

namespace millrace::amqp {

namespace {

/// The parts of a PLAIN response: [authorization id] NUL user NUL password (RFC 4616).
std::pair<std::string_view, std::string_view> plain_parts(std::string_view response) {
    const std::size_t first = response.find('\0');
    const std::size_t second = first == std::string_view::npos ? first : response.find('\0', first + 1);
    if (second == std::string_view::npos) return {};
    return {response.substr(first + 1, second - first - 1), response.substr(second + 1)};
}

bool has_session_filter(const Attach& attach) {
    return attach.source && attach.source->filter.find("com.microsoft:session-filter") != nullptr;
}

bool is_dead_letter_queue(std::string_view entity) {
    constexpr std::string_view kSuffix = "/$deadletterqueue";
    if (entity.size() < kSuffix.size()) return false;
    std::string end(entity.substr(entity.size() - kSuffix.size()));
    std::transform(end.begin(), end.end(), end.begin(), [](unsigned char c) { return std::tolower(c); });
    return end == kSuffix;
}

}  // namespace

void ServerConnection::handle_events() {
    while (!over_ && !is_busy()) {
        auto next = engine_.poll();
        if (!next) break;
        std::visit([this](auto& one) { on(one); }, *next);
    }
    const auto gathering = std::exchange(gathering_, {});
    for (const auto& link : gathering) link->on_gathered();
}

void ServerConnection::on(event::SaslAsked& asked) {
    const std::string& mechanism = asked.init.mechanism;
    bool welcome =
        mechanism.empty() || mechanism == "ANONYMOUS" || mechanism == "MSSBCBS" || mechanism == "EXTERNAL";
    if (mechanism == "PLAIN") {
        const auto [user, password] = plain_parts(asked.init.response);
        auto grant = context_->keys->check_plain(user, password);
        welcome = grant.has_value();
        if (grant) welcome = add_grant(std::move(*grant));
    }
    if (!welcome)
        telemetry::log_warning("amqp connection", peer_, "SASL " + mechanism.substr(0, 32) + " was refused");
    engine_.answer_sasl(welcome);
}

void ServerConnection::on(event::Opened& opened) {
    const auto product = text_of(opened.open.properties.find("product")).value_or("");
    telemetry::log_debug("amqp connection", peer_, "opened by " + std::string(product.substr(0, 64)));
    timer_.cancel();  // the watch learns when this client wants heartbeats
}

void ServerConnection::refuse(const event::LinkAsked& asked, const Address& address,
                              std::string_view condition, std::string_view why) {
    engine_.refuse(asked.link, make_condition(condition, why, address.entity, context_->clock.now()));
}

void ServerConnection::on(event::LinkAsked& asked) {
    if (leaving_) return;
    const Attach& attach = asked.attach;
    if (attach.target && attach.target->coordinator) {
        return refuse(asked, {}, condition::kNotImplemented, "transactions are not supported");
    }
    const auto& wanted = attach.receiver ? (attach.source ? attach.source->address : std::nullopt)
                                         : (attach.target ? attach.target->address : std::nullopt);
    const bool dynamic =
        (attach.source && attach.source->dynamic) || (attach.target && attach.target->dynamic);
    if (dynamic || !wanted) {
        return refuse(asked, {}, condition::kNotImplemented, "a link needs the address of an entity");
    }
    for (const auto& address : {attach.source ? attach.source->address : std::nullopt,
                                attach.target ? attach.target->address : std::nullopt}) {
        if (address && address->size() > limits::amqp_name_bytes_max)
            return refuse(asked, {}, condition::kNotAllowed, "the address is too long");
    }
    Address address = parse_address(*wanted);
    address.node == Node::entity ? open_entity(asked, std::move(address))
                                 : open_node(asked, std::move(address));
}

template <class L>
void ServerConnection::open_link(const event::LinkAsked& asked, Address address) {
    context_->stats.links += 1;
    auto link = std::make_shared<L>(*this, asked, std::move(address));
    links_.emplace(asked.link, link);
    links_of_[asked.session].insert(asked.link);
    link->open();
}

/// "$cbs" and "<entity>/$management".
void ServerConnection::open_node(const event::LinkAsked& asked, Address address) {
    if (address.node == Node::management) {
        const Rights rights = rights_on(address.entity);
        if (!rights.send && !rights.listen && !rights.manage) {
            return refuse(asked, address, condition::kUnauthorized, "no token for this entity was shown");
        }
        const auto counts = context_->broker.counts(address.entity);
        if (!counts) return refuse(asked, address, condition::kNotFound, counts.error().detail);
    }
    asked.attach.receiver ? open_link<ReplyLink>(asked, std::move(address))
                          : open_link<RequestLink>(asked, std::move(address));
}

bool ServerConnection::is_disabled(std::string_view entity, bool receives) const {
    using broker::EntityStatus;
    const EntityStatus closed = receives ? EntityStatus::receive_disabled : EntityStatus::send_disabled;
    const auto status = context_->broker.status(entity);
    return status && (*status == EntityStatus::disabled || *status == closed);
}

void ServerConnection::open_entity(const event::LinkAsked& asked, Address address) {
    const bool receives = asked.attach.receiver;
    const Rights rights = rights_on(address.entity);
    if (receives ? !rights.listen : !rights.send) {
        return refuse(asked, address, condition::kUnauthorized,
                      std::string("the token that was shown does not give the right to ") +
                          (receives ? "listen" : "send"));
    }
    const auto counts = context_->broker.counts(address.entity);
    if (!counts) return refuse(asked, address, condition::kNotFound, counts.error().detail);
    const broker::EntityOptions& options = counts->options;
    if (is_disabled(address.entity, receives)) {
        return refuse(asked, address, condition::kEntityDisabled, "the entity is disabled");
    }
    if (!receives) {
        if (options.kind == broker::EntityKind::subscription || is_dead_letter_queue(address.entity)) {
            return refuse(asked, address, condition::kNotAllowed, "only queues and topics can be sent to");
        }
        return open_link<ProducerLink>(asked, std::move(address));
    }
    if (options.kind == broker::EntityKind::topic || !options.forward_to.empty()) {
        return refuse(asked, address, condition::kNotAllowed,
                      "the entity passes its messages on: receive where they go");
    }
    const bool sessions = options.requires_session && !is_dead_letter_queue(address.entity);
    if (sessions != has_session_filter(asked.attach)) {
        return refuse(asked, address, condition::kNotAllowed,
                      sessions ? "It is not possible for an entity that requires sessions to create a "
                                 "non-sessionful message receiver."
                               : "A sessionful message receiver cannot be created on an entity that does not "
                                 "require sessions.");
    }
    open_link<ConsumerLink>(asked, std::move(address));
}

void ServerConnection::on(event::LinkDetached& detached) {
    const auto found = links_.find(detached.link);
    if (found == links_.end()) return engine_.detach(detached.link, std::nullopt);
    const auto link = found->second;
    link->on_end(true);
}

void ServerConnection::on(event::SessionEnded& ended) {
    const auto found = links_of_.find(ended.session);
    if (found == links_of_.end()) return;
    const std::vector<LinkId> ids(found->second.begin(), found->second.end());
    for (const LinkId id : ids) {
        const auto known = links_.find(id);
        if (known == links_.end()) continue;  // the end of one may have ended the connection
        const auto link = known->second;
        link->on_end(false);
    }
}

void ServerConnection::on(event::CreditChanged& changed) {
    const auto found = links_.find(changed.link);
    if (found != links_.end()) found->second->on_credit();
}

void ServerConnection::on(event::Arrived& arrived) {
    const auto found = links_.find(arrived.link);
    if (found == links_.end() || leaving_) return;
    const auto link = found->second;
    link->on_arrived(std::move(arrived.delivery));
}

void ServerConnection::on(event::StateChanged& changed) {
    const auto found = links_.find(changed.link);
    if (found != links_.end()) found->second->on_state(changed);
}

void ServerConnection::on(event::Closed& closed) {
    if (closed.error) {
        telemetry::log_debug("amqp connection", peer_,
                             "closed: " + closed.error->name + " " + closed.error->description);
    }
    timer_.cancel();
}

}  // namespace millrace::amqp
