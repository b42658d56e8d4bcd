#include "app/configuration_check.hpp"

#include "app/configuration_tasks.hpp"
#include "base/nearest.hpp"
#include "handlers/stages.hpp"
#include "store/postgres.hpp"

#include <boost/beast/core/string.hpp>

#include <charconv>
#include <set>

namespace millrace::app {

namespace {

std::optional<Duration> optional_seconds(std::int64_t seconds) {
    if (seconds == 0) return std::nullopt;
    return std::chrono::seconds(seconds);
}

void check_entity_entry(const std::string& section, const std::string& name,
                        const broker::EntityOptions& options, std::set<std::string>& seen,
                        std::vector<std::string>& problems) {
    if (!seen.insert(name).second) problems.push_back(section + ": \"" + name + "\" is defined twice");
    const auto checked = broker::check_entity(name, options);
    if (!checked) problems.push_back(section + "." + name + ": " + checked.error().detail);
}

void check_entities(const Configuration& configuration, std::vector<std::string>& problems) {
    std::set<std::string> seen;
    for (const QueueEntry& queue : configuration.queues)
        check_entity_entry("queues", queue.name, entity_options(queue), seen, problems);
    std::set<std::string> topics;
    for (const TopicEntry& topic : configuration.topics) {
        check_entity_entry("topics", topic.name, entity_options(topic), seen, problems);
        topics.insert(topic.name);
    }
    for (const SubscriptionEntry& entry : configuration.subscriptions) {
        if (!topics.contains(entry.topic))
            problems.push_back("subscriptions." + entry.name + ": there is no topic \"" + entry.topic +
                               "\"; add it as [[topics]]");
        const std::string path = broker::subscription_path(entry.topic, entry.name);
        check_entity_entry("subscriptions", path, entity_options(entry), seen, problems);
    }
}

void check_store(const StoreSettings& store, std::vector<std::string>& problems) {
    const bool given = !store.connection_string.empty() || !store.connection_string_file.empty();
    if (store.engine == "sqlite" && given)
        problems.push_back(
            "store.connection_string: is for engine = \"postgres\"; set it, or remove the connection string");
    if (store.engine == "postgres" && !given)
        problems.push_back(
            "store: where is PostgreSQL? set the variable MILLRACE_STORE__CONNECTION_STRING, or "
            "connection_string_file = \"PATH\"");
    if (store.connection_string.empty()) return;
    const auto target = store::PostgresTarget::parse(store.connection_string);
    if (!target) problems.push_back("store.connection_string: " + target.error().detail);
}

/// Documents pass through these queues: their operations must hear of every end.
void check_pipeline_queues(const Configuration& configuration, std::vector<std::string>& problems) {
    for (const QueueEntry& queue : configuration.queues) {
        const bool pipeline =
            std::any_of(std::begin(handlers::kHandlers), std::end(handlers::kHandlers), [&](const auto& row) {
                return !row.queue.empty() && boost::beast::iequals(row.queue, queue.name);
            });
        if (!pipeline) continue;
        const std::string name = "queues." + queue.name;
        if (!queue.forward_to.empty() || !queue.forward_dead_letters_to.empty())
            problems.push_back(name +
                               ": documents would leave the pipeline and never be told to have failed; "
                               "remove forward_to and forward_dead_letters_to");
        if (queue.requires_session)
            problems.push_back(name + ": documents carry no session ids; remove requires_session");
        if (queue.ttl_seconds > 0 && !queue.dead_letter_on_expiration)
            problems.push_back(name +
                               ": ttl_seconds would drop accepted documents without a word; set "
                               "dead_letter_on_expiration = true, or remove ttl_seconds");
    }
}

void check_spending(const Configuration& configuration, std::vector<std::string>& problems) {
    for (std::size_t i = 0; i < configuration.caps.size(); ++i) {
        const CapEntry& cap = configuration.caps[i];
        const std::string place = "caps[" + std::to_string(i) + "]: ";
        if (cap.amount <= 0) problems.push_back(place + "amount is to be above 0");
        const auto named = [&](const DeploymentEntry& one) { return one.name == cap.deployment; };
        const auto& deployments = configuration.deployments;
        if (!cap.deployment.empty() && std::none_of(deployments.begin(), deployments.end(), named))
            problems.push_back(place + "there is no deployment \"" + cap.deployment + "\"");
        const auto priced = [&](const DeploymentEntry& one) {
            return (cap.deployment.empty() || one.name == cap.deployment) &&
                   (one.price_prompt > 0 || one.price_completion > 0);
        };
        if (std::none_of(deployments.begin(), deployments.end(), priced))
            problems.push_back(place +
                               "no deployment that it holds for has a price; set price_prompt and "
                               "price_completion");
    }
    for (const TenantEntry& tenant : configuration.tenants)
        if (tenant.weight <= 0) problems.push_back("tenants." + tenant.name + ": weight is to be above 0");
}

void check_deployments(const Configuration& configuration, std::vector<std::string>& problems) {
    std::set<std::string> names;
    for (const DeploymentEntry& deployment : configuration.deployments) {
        const std::string place = "deployments." + deployment.name + ": ";
        if (!names.insert(deployment.name).second) problems.push_back(place + "is defined twice");
        const bool remote = deployment.provider == "openai" || deployment.provider == "azure-openai";
        if (remote && deployment.model.empty())
            problems.push_back(place + "needs a model, e.g. model = \"text-embedding-3-small\"");
        if (deployment.provider == "azure-openai" && deployment.endpoint.empty())
            problems.push_back(place +
                               "needs the endpoint of the resource, e.g. \"https://NAME.openai.azure.com\"");
        if (!remote && !deployment.endpoint.empty())
            problems.push_back(place + "provider \"" + deployment.provider +
                               "\" has no endpoint; set provider = \"openai\"");
    }
    std::string first_named;
    for (const WorkerEntry& worker : configuration.workers) {
        if (first_named.empty()) first_named = worker.deployment;
        if (!worker.deployment.empty() && worker.deployment != first_named)
            problems.push_back("workers." + worker.queue + ": deployment \"" + worker.deployment +
                               "\" beside \"" + first_named +
                               "\"; one index holds the vectors of one model, so name one deployment");
        if (worker.deployment.empty() || names.contains(worker.deployment)) continue;
        std::vector<std::string_view> known(names.begin(), names.end());
        if (known.empty()) known.push_back("default");
        if (configuration.deployments.empty() && worker.deployment == "default") continue;
        problems.push_back("workers." + worker.queue + ": there is no deployment \"" + worker.deployment +
                           "\"" + hint(worker.deployment, known));
    }
}

/// One address: what is served there, and the keys that callers from other machines need.
struct Listener {
    std::string key;
    const std::string& address;
    bool on;
    const std::string& keys_file;
    std::string keys_setting;
    std::string keys_form;
};

void check_listener(const Listener& listener, std::vector<std::string>& problems) {
    const auto address = parse_address(listener.address);
    if (!address) {
        problems.push_back("server." + listener.key + ": " + address.error().detail);
        return;
    }
    if (!listener.on || is_loopback(address->host) || !listener.keys_file.empty()) return;
    problems.push_back("server." + listener.key + ": " + listener.address +
                       " can be reached from other machines, so callers need a key: set server." +
                       listener.keys_setting + " (" + listener.keys_form + "), or listen on 127.0.0.1");
}

void check_listeners(const ServerSettings& server, std::vector<std::string>& problems) {
    if (server.tls_certificate.empty() != server.tls_key.empty()) {
        const bool key_missing = server.tls_key.empty();
        problems.push_back(std::string("server.") + (key_missing ? "tls_certificate" : "tls_key") +
                           ": a certificate and its key go together; set server." +
                           (key_missing ? "tls_key" : "tls_certificate") + " too");
    }
    for (const std::string& name : server.host_names)
        if (name.empty() || name.find_first_of(":/ ") != std::string::npos || name.ends_with('.'))
            problems.push_back("server.host_names: \"" + name +
                               "\" is no host name; write it without scheme, port and dot at the end");
    const bool tls = !server.tls_certificate.empty();
    const std::string api = "one key per line";
    const std::string access = "NAME KEY RIGHTS per line";
    const Listener listeners[] = {
        {"listen", server.listen, true, server.api_keys_file, "api_keys_file", api},
        {"https_listen", server.https_listen, tls, server.api_keys_file, "api_keys_file", api},
        {"amqp_listen", server.amqp_listen, true, server.access_keys_file, "access_keys_file", access},
        {"amqps_listen", server.amqps_listen, tls, server.access_keys_file, "access_keys_file", access},
    };
    for (const Listener& listener : listeners)
        if (!listener.address.empty() || listener.key == "listen") check_listener(listener, problems);
}

}  // namespace

broker::EntityOptions entity_options(const QueueEntry& entry) {
    broker::EntityOptions options;
    options.kind = broker::EntityKind::queue;
    options.lock_time = std::chrono::seconds(entry.lock_seconds);
    options.delivery_count_max = static_cast<int>(entry.max_delivery_count);
    options.requires_session = entry.requires_session;
    options.duplicate_window = optional_seconds(entry.duplicate_detection_seconds);
    options.time_to_live = optional_seconds(entry.ttl_seconds);
    options.dead_letter_on_expiration = entry.dead_letter_on_expiration;
    options.bytes_max = static_cast<std::uint64_t>(entry.max_bytes);
    options.fair = entry.fair;
    options.forward_to = entry.forward_to;
    options.forward_dead_letters_to = entry.forward_dead_letters_to;
    return options;
}

broker::EntityOptions entity_options(const TopicEntry& entry) {
    broker::EntityOptions options;
    options.kind = broker::EntityKind::topic;
    options.duplicate_window = optional_seconds(entry.duplicate_detection_seconds);
    options.time_to_live = optional_seconds(entry.ttl_seconds);
    options.bytes_max = static_cast<std::uint64_t>(entry.max_bytes);
    return options;
}

broker::EntityOptions entity_options(const SubscriptionEntry& entry) {
    broker::EntityOptions options;
    options.kind = broker::EntityKind::subscription;
    options.lock_time = std::chrono::seconds(entry.lock_seconds);
    options.delivery_count_max = static_cast<int>(entry.max_delivery_count);
    options.requires_session = entry.requires_session;
    options.time_to_live = optional_seconds(entry.ttl_seconds);
    options.dead_letter_on_expiration = entry.dead_letter_on_expiration;
    options.forward_to = entry.forward_to;
    options.forward_dead_letters_to = entry.forward_dead_letters_to;
    return options;
}

void keep_administered(broker::EntityOptions& options, const broker::EntityOptions& existing) {
    options.status = existing.status;
    options.delete_on_idle = existing.delete_on_idle;
    options.user_metadata = existing.user_metadata;
    options.dead_letter_on_filter_error = existing.dead_letter_on_filter_error;
}

void check_configuration(const Configuration& configuration, std::vector<std::string>& problems) {
    check_listeners(configuration.server, problems);
    check_store(configuration.store, problems);
    check_entities(configuration, problems);
    check_pipeline_queues(configuration, problems);
    check_deployments(configuration, problems);
    check_tasks(configuration, problems);
    check_spending(configuration, problems);
}

Result<Address> parse_address(std::string_view text) {
    const Error wrong{Errc::invalid_input,
                      "\"" + std::string(text) + "\" is no address; write host:port, e.g. 127.0.0.1:8080"};
    const auto colon = text.rfind(':');
    if (colon == std::string_view::npos) return wrong;
    std::string_view host = text.substr(0, colon);
    const std::string_view port_text = text.substr(colon + 1);
    unsigned port = 0;
    const auto [end, error] = std::from_chars(port_text.data(), port_text.data() + port_text.size(), port);
    if (error != std::errc{} || end != port_text.data() + port_text.size() || port > 65535) return wrong;
    if (host.starts_with('[') && host.ends_with(']'))
        host = host.substr(1, host.size() - 2);
    else if (host.find(':') != std::string_view::npos)
        return wrong;
    if (host.empty()) return wrong;
    return Address{std::string(host), static_cast<std::uint16_t>(port)};
}

bool is_loopback(std::string_view host) {
    return host == "localhost" || host == "::1" || host.starts_with("127.");
}

}  // namespace millrace::app
