#include "http/api_administration.hpp"

#include "base/ids.hpp"
#include "http/admin_entity.hpp"
#include "http/admin_path.hpp"
#include "http/admin_rule.hpp"
#include "http/page_guard.hpp"
#include "http/views.hpp"

#include <boost/beast/core/string.hpp>

#include <algorithm>
#include <array>

namespace millrace::http {

using boost::beast::iequals;
using broker::EntityCounts;
using broker::EntityKind;

namespace {

constexpr std::string_view kTokenScheme = "SharedAccessSignature";
constexpr std::int64_t kPageDefault = 100;
constexpr char kEntryType[] = "application/atom+xml;type=entry;charset=utf-8";
constexpr char kFeedType[] = "application/atom+xml;type=feed;charset=utf-8";

/// One request on its way.
struct AdminCall {
    Context context;
    Request request;
    AdminPath path;

    std::string_view host() const { return request.header("Host"); }
    std::string url(const AdminPath& of, const std::string& more = "") const {
        const std::string base = base_url(host(), request.scheme());
        return (base.empty() ? "http://localhost" : base) + "/" + url_path(of) +
               "?api-version=" + percent_encoded(request.parameter("api-version")) + more;
    }
    bool is_update() const { return !request.header("If-Match").empty(); }
};

Response xml_answer(unsigned status, const char* type, std::string xml) {
    Response response;
    response.status = status;
    response.headers.emplace_back("Content-Type", type);
    response.body = std::move(xml);
    return response;
}

/// An error as the service words it; `subcode` is the status with two more digits.
Response refused(const AdminCall& call, unsigned subcode, std::string_view text) {
    const unsigned status = subcode / 100;
    const std::string detail =
        "SubCode=" + std::to_string(subcode) + ". " + std::string(text) +
        " TrackingId:" + to_string(random_uuid()) + ", SystemTracker:" + std::string(call.host()) + ":" +
        call.request.path.substr(0, 300) + ", Timestamp:" + to_rfc3339(call.context->parts.clock.now());
    Response response = xml_answer(status, "application/xml;charset=utf-8", error_xml(status, detail));
    if (status == 401) response.headers.emplace_back("WWW-Authenticate", "SharedAccessSignature");
    if (status == 503) response.headers.emplace_back("Retry-After", "2");
    return response;
}

/// The answer for a failed call of the broker. What conflicts with an update is a fixed option.
Response refused(const AdminCall& call, const Error& error) {
    switch (error.code) {
        case Errc::not_found: return refused(call, 40400, error.detail);
        case Errc::conflict: return refused(call, call.is_update() ? 40000 : 40900, error.detail);
        case Errc::over_limit: return refused(call, 40300, error.detail);
        case Errc::unavailable: return refused(call, 50300, error.detail);
        default: return refused(call, 40000, error.detail);
    }
}

Response missing(const AdminCall& call) {
    return refused(call, 40400,
                   "The messaging entity '" + url_path(call.path) + "' could not be found. Not Found.");
}

/// What the token `header` grants on the entity `path`, a part of a URL: why it does not, or nothing. `host`
/// as in `AccessKeys::verify`.
std::optional<std::string> token_problem(const Api::State& state, std::string_view header,
                                         const std::string& path, std::string_view host = {}) {
    if (!iequals(header.substr(0, kTokenScheme.size()), kTokenScheme))
        return "Send Authorization: SharedAccessSignature …, or an API key as api-key: KEY.";
    const auto grant = state.options.access_keys.verify(header, state.parts.clock.now(), host);
    if (!grant) return grant.error().detail + ".";
    if (!grant->rights.manage) return "The access key lacks the right Manage.";
    if (!grant->covers(path)) return "The token is not good for '" + path + "'.";
    return std::nullopt;
}

/// Why the caller may not; nothing if it may. Without any key the server is open as its other routes are, but
/// a token that is none is refused.
std::optional<std::string> access_problem(const Api::State& state, const Request& request,
                                          const std::string& path) {
    const bool api_keys = !state.options.api_keys.empty();
    if (api_keys && shows_api_key(state, request)) return std::nullopt;
    const std::string_view header = request.header("Authorization");
    if (!state.options.access_keys.empty()) return token_problem(state, header, path);
    if (api_keys)
        return "This server takes API keys alone: send api-key: KEY, or set server.access_keys_file.";
    if (auto foreign = foreign_page(request, state.options.host_names)) return *foreign + ".";
    if (!iequals(header.substr(0, kTokenScheme.size()), kTokenScheme)) return std::nullopt;
    return token_problem(state, header, path);
}

/// Forwarding sends to another entity: it must be there, and the caller must be allowed to do that too.
std::optional<Response> forward_problem(const AdminCall& call, const std::string& target,
                                        std::string_view supplement) {
    if (target.empty()) return std::nullopt;
    const Api::State& state = *call.context;
    const std::string path = percent_encoded(target);
    // JavaScript's client signs its own endpoint here, for which it writes the host alone.
    const std::string_view header = call.request.header(supplement);
    const bool allowed = !access_problem(state, call.request, path) ||
                         (!header.empty() && !token_problem(state, header, path, call.host()));
    if (!allowed)
        return refused(call, 40100,
                       "The caller may not forward to '" + target + "': " + std::string(supplement) +
                           " needs a token that is good for it.");
    const auto found = state.parts.broker.counts(target);
    if (!found || found->options.kind == EntityKind::subscription)
        return refused(call, 40000, "There is no queue or topic '" + target + "' to forward to.");
    return std::nullopt;
}

AdminPath path_of(const EntityCounts& entity) {
    if (entity.options.kind != EntityKind::subscription) return {AdminResource::entity, entity.name, "", ""};
    const auto name = entity.name.rfind('/');
    const auto topic = entity.name.rfind('/', name - 1);
    return {AdminResource::subscription, entity.name.substr(0, topic), entity.name.substr(name + 1), ""};
}

bool is_subscription_of(const EntityCounts& entity, std::string_view topic) {
    return entity.options.kind == EntityKind::subscription && iequals(path_of(entity).entity, topic);
}

std::size_t subscriptions_of(const std::vector<EntityCounts>& all, const EntityCounts& topic) {
    if (topic.options.kind != EntityKind::topic) return 0;
    return static_cast<std::size_t>(std::count_if(
        all.begin(), all.end(), [&](const auto& one) { return is_subscription_of(one, topic.name); }));
}

std::string entry_of(const AdminCall& call, const EntityCounts& entity, std::size_t subscriptions) {
    const AdminPath path = path_of(entity);
    const AtomEntry entry{
        call.url(path), path.subscription.empty() ? path.entity : path.subscription, entity.created_at,
        entity.updated_at,
        entity_xml(entity, call.host(), subscriptions, call.context->parts.broker.message_bytes_max())};
    return atom_entry(entry, call.host());
}

std::string entry_of(const AdminCall& call, const broker::Rule& rule) {
    AdminPath path = call.path;
    path.resource = AdminResource::rule;
    path.rule = rule.name;
    const AtomEntry entry{call.url(path), rule.name, rule.created_at, rule.created_at, rule_xml(rule)};
    return atom_entry(entry, call.host());
}

/// The page of `items` that $skip and $top name; `write` makes an entry of one.
template <class Item, class Write>
Response page(const AdminCall& call, std::string_view title, const std::vector<Item>& items, Write write) {
    const auto skip = integer_parameter(call.request, "$skip", 0, 1'000'000'000, 0);
    if (!skip) return refused(call, 40000, skip.error().detail);
    const auto top = integer_parameter(call.request, "$top", 1, limits::page_items_max, kPageDefault);
    if (!top) return refused(call, 40000, top.error().detail);
    const std::size_t first = std::min<std::size_t>(items.size(), static_cast<std::size_t>(*skip));
    const std::size_t last = std::min<std::size_t>(items.size(), first + static_cast<std::size_t>(*top));
    std::vector<std::string> entries;
    for (std::size_t i = first; i < last; ++i) entries.push_back(write(items[i]));
    const auto page_url = [&](std::size_t from) {
        return call.url(call.path, "&$skip=" + std::to_string(from) + "&$top=" + std::to_string(*top));
    };
    const TimePoint now = call.context->parts.clock.now();
    return xml_answer(
        200, kFeedType,
        atom_feed(title, page_url(first), last < items.size() ? page_url(last) : "", now, entries));
}

asio::awaitable<Response> get_server(AdminCall call) {
    TimePoint created = call.context->parts.clock.now();
    TimePoint modified{};
    for (const EntityCounts& entity : call.context->parts.broker.counts()) {
        created = std::min(created, entity.created_at);
        modified = std::max(modified, entity.updated_at);
    }
    const std::string name(call.host().substr(0, call.host().rfind(':')));
    XmlWriter xml;
    xml.open("NamespaceInfo", {{"xmlns", kServiceBusNamespace}, {"xmlns:i", kSchemaInstance}});
    xml.element("CreatedTime", to_rfc3339(created));
    xml.element("MessagingSKU", "Premium");  // its size of messages; what it has not is never promised
    xml.number("MessagingUnits", 1);
    xml.element("ModifiedTime", to_rfc3339(std::max(created, modified)));
    xml.element("Name", name);
    xml.element("NamespaceType", "Messaging");
    xml.close();
    const AtomEntry entry{call.url(call.path), name, created, modified, xml.take()};
    co_return xml_answer(200, kEntryType, atom_entry(entry, call.host()));
}

asio::awaitable<Response> list_entities(AdminCall call) {
    const std::vector<EntityCounts> all = call.context->parts.broker.counts();
    const bool queues = call.path.resource == AdminResource::queues;
    std::vector<EntityCounts> chosen;
    for (const EntityCounts& one : all)
        if (one.options.kind == (queues ? EntityKind::queue : EntityKind::topic)) chosen.push_back(one);
    co_return page(call, queues ? "Queues" : "Topics", chosen,
                   [&](const EntityCounts& one) { return entry_of(call, one, subscriptions_of(all, one)); });
}

asio::awaitable<Response> list_subscriptions(AdminCall call) {
    const auto topic = call.context->parts.broker.counts(call.path.entity);
    if (!topic || topic->options.kind != EntityKind::topic) co_return missing(call);
    std::vector<EntityCounts> chosen;
    for (const EntityCounts& one : call.context->parts.broker.counts())
        if (is_subscription_of(one, call.path.entity)) chosen.push_back(one);
    co_return page(call, "Subscriptions", chosen,
                   [&](const EntityCounts& one) { return entry_of(call, one, 0); });
}

Response entity_answer(const AdminCall& call, unsigned status) {
    const auto entity = call.context->parts.broker.counts(broker_name(call.path));
    if (!entity) return missing(call);
    const auto all = entity->options.kind == EntityKind::topic ? call.context->parts.broker.counts()
                                                               : std::vector<EntityCounts>();
    return xml_answer(status, kEntryType, entry_of(call, *entity, subscriptions_of(all, *entity)));
}

asio::awaitable<Response> get_entity(AdminCall call) { co_return entity_answer(call, 200); }

bool is_worked_on(const AdminCall& call) {
    const auto& queues = call.context->options.worked_queues;
    return std::any_of(queues.begin(), queues.end(),
                       [&](const auto& queue) { return iequals(queue, broker_name(call.path)); });
}

Response belongs_to_server(const AdminCall& call) {
    return refused(call, 40901,
                   "The queue '" + call.path.entity +
                       "' belongs to workers of this server; change it in the server's configuration.");
}

/// Keeps a name from being created twice at once.
class Reservation {
  public:
    Reservation(Context context, std::string name) : context_(std::move(context)), name_(std::move(name)) {
        for (char& c : name_)
            if (c >= 'A' && c <= 'Z') c = static_cast<char>(c | 0x20);
        made_ = context_->creating.insert(name_).second;
    }
    ~Reservation() {
        if (made_) context_->creating.erase(name_);
    }
    Reservation(const Reservation&) = delete;
    bool made() const noexcept { return made_; }

  private:
    Context context_;
    std::string name_;
    bool made_ = false;
};

/// The request's description, fit for the path and for what is there; or the answer that says why not.
boost::system::result<EntityRequest, Response> read_request(const AdminCall& call,
                                                            const broker::EntityOptions* existing) {
    const auto description = parse_entry(call.request.body);
    if (!description) return refused(call, description.error());
    auto asked = read_entity(description->element, existing);
    if (!asked) return refused(call, 40000, asked.error().detail);
    const bool subscription = call.path.resource == AdminResource::subscription;
    if (subscription != (asked->options.kind == EntityKind::subscription))
        return refused(call, 40000, "The description is of another kind of entity than the path.");
    if (existing != nullptr && asked->options.kind != existing->kind)
        return refused(call, 40000, "The description is of another kind of entity than the one that exists.");
    const std::uint64_t kilobytes = call.context->parts.broker.message_bytes_max() / limits::kKiB;
    if (asked->message_kilobytes > kilobytes)
        return refused(call, 40000,
                       "MaxMessageSizeInKilobytes: this server takes messages of up to " +
                           std::to_string(kilobytes) + " KiB; queue.max_message_bytes sets it.");
    auto problem = forward_problem(call, asked->options.forward_to, "ServiceBusSupplementaryAuthorization");
    if (!problem)
        problem = forward_problem(call, asked->options.forward_dead_letters_to,
                                  "ServiceBusDlqSupplementaryAuthorization");
    if (problem) return std::move(*problem);
    return std::move(*asked);
}

asio::awaitable<Response> put_entity(AdminCall call) {
    broker::Broker& broker = call.context->parts.broker;
    std::string name = broker_name(call.path);
    const auto existing = broker.counts(name);
    if (call.is_update() && !existing) co_return missing(call);
    if (call.is_update() && is_worked_on(call)) co_return belongs_to_server(call);
    const Reservation reservation(call.context, name);
    if ((existing && !call.is_update()) || !reservation.made())
        co_return refused(call, 40900, "The messaging entity '" + name + "' already exists. Conflict.");
    auto asked = read_request(call, existing ? &existing->options : nullptr);
    if (!asked) co_return std::move(asked.error());
    Result<void> done;
    if (!existing && asked->options.kind == EntityKind::subscription) {
        broker::Rule rule = asked->default_rule.value_or(broker::Rule());
        rule.created_at = call.context->parts.clock.now();
        done = co_await broker.create_subscription(name, std::move(asked->options), std::move(rule));
    } else {
        if (existing) name = existing->name;
        done = co_await broker.put_entity(name, std::move(asked->options));
    }
    if (!done) co_return refused(call, done.error());
    co_return entity_answer(call, existing ? 200 : 201);
}

asio::awaitable<Response> delete_entity(AdminCall call) {
    broker::Broker& broker = call.context->parts.broker;
    const auto existing = broker.counts(broker_name(call.path));
    if (!existing) co_return missing(call);
    if (is_worked_on(call)) co_return belongs_to_server(call);
    const auto removed = co_await broker.remove_entity(existing->name);
    if (!removed) co_return refused(call, removed.error());
    co_return Response{};
}

std::optional<broker::Rule> find_rule(const AdminCall& call) {
    const auto rules = call.context->parts.broker.rules(broker_name(call.path));
    if (!rules) return std::nullopt;
    for (const broker::Rule& rule : *rules)
        if (iequals(rule.name, call.path.rule)) return rule;
    return std::nullopt;
}

asio::awaitable<Response> list_rules(AdminCall call) {
    const auto rules = call.context->parts.broker.rules(broker_name(call.path));
    if (!rules) co_return missing(call);
    co_return page(call, "Rules", *rules, [&](const broker::Rule& rule) { return entry_of(call, rule); });
}

asio::awaitable<Response> get_rule(AdminCall call) {
    const auto rule = find_rule(call);
    if (!rule) co_return missing(call);
    co_return xml_answer(200, kEntryType, entry_of(call, *rule));
}

asio::awaitable<Response> put_rule(AdminCall call) {
    const auto description = parse_entry(call.request.body);
    if (!description) co_return refused(call, description.error());
    if (local_name(description->element.name()) != "RuleDescription")
        co_return refused(call, 40000, "The content is no RuleDescription.");
    auto rule = read_rule(description->element, call.path.rule);
    if (!rule) co_return refused(call, rule.error());
    rule->name = call.path.rule;
    rule->created_at = call.context->parts.clock.now();
    const bool update = call.is_update();
    std::string subscription = broker_name(call.path);
    const auto put =
        co_await call.context->parts.broker.put_rule(std::move(subscription), std::move(*rule), update);
    if (!put && put.error().code == Errc::not_found) co_return missing(call);
    if (!put) co_return refused(call, put.error());
    const auto stored = find_rule(call);
    if (!stored) co_return missing(call);
    co_return xml_answer(update ? 200 : 201, kEntryType, entry_of(call, *stored));
}

asio::awaitable<Response> delete_rule(AdminCall call) {
    std::string subscription = broker_name(call.path);
    std::string rule = call.path.rule;
    const auto removed =
        co_await call.context->parts.broker.remove_rule(std::move(subscription), std::move(rule));
    if (!removed && removed.error().code == Errc::not_found) co_return missing(call);
    if (!removed) co_return refused(call, removed.error());
    co_return Response{};
}

struct AdminRoute {
    AdminResource resource;
    std::string_view method;
    asio::awaitable<Response> (*function)(AdminCall call);
};

constexpr std::array kAdminRoutes = {
    AdminRoute{AdminResource::server, "GET", get_server},
    AdminRoute{AdminResource::queues, "GET", list_entities},
    AdminRoute{AdminResource::topics, "GET", list_entities},
    AdminRoute{AdminResource::entity, "GET", get_entity},
    AdminRoute{AdminResource::entity, "PUT", put_entity},
    AdminRoute{AdminResource::entity, "DELETE", delete_entity},
    AdminRoute{AdminResource::subscriptions, "GET", list_subscriptions},
    AdminRoute{AdminResource::subscription, "GET", get_entity},
    AdminRoute{AdminResource::subscription, "PUT", put_entity},
    AdminRoute{AdminResource::subscription, "DELETE", delete_entity},
    AdminRoute{AdminResource::rules, "GET", list_rules},
    AdminRoute{AdminResource::rule, "GET", get_rule},
    AdminRoute{AdminResource::rule, "PUT", put_rule},
    AdminRoute{AdminResource::rule, "DELETE", delete_rule},
};

Response wrong_method(const AdminCall& call) {
    std::string allowed;
    for (const AdminRoute& route : kAdminRoutes)
        if (route.resource == call.path.resource)
            allowed += (allowed.empty() ? "" : ", ") + std::string(route.method);
    Response response = refused(call, 40500, "The resource takes " + allowed + ".");
    response.headers.emplace_back("Allow", allowed);
    return response;
}

}  // namespace

bool is_administration(const Request& request) noexcept {
    return std::any_of(request.query.begin(), request.query.end(),
                       [](const auto& field) { return iequals(field.first, "api-version"); });
}

asio::awaitable<Response> administration(Context context, Request request) {
    AdminCall call{std::move(context), std::move(request), {}};
    auto path = parse_admin_path(call.request.segments);
    // A token for what does not exist tells nobody so: only one for everything is good here.
    const std::string asked = path ? url_path(*path) : std::string();
    const auto problem = access_problem(*call.context, call.request, asked);
    if (problem) co_return refused(call, 40100, *problem);
    if (!path) co_return refused(call, 40400, path.error().detail + ".");
    call.path = std::move(*path);
    const auto route = std::find_if(kAdminRoutes.begin(), kAdminRoutes.end(), [&](const AdminRoute& one) {
        return one.resource == call.path.resource && one.method == call.request.method;
    });
    if (route == kAdminRoutes.end()) co_return wrong_method(call);
    co_return co_await route->function(std::move(call));
}

}  // namespace millrace::http
