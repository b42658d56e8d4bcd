#include "app/entities.hpp"

#include "app/configuration_check.hpp"
#include "app/configuration_rules.hpp"
#include "app/emulator_config.hpp"
#include "handlers/stages.hpp"

#include <boost/beast/core/string.hpp>

#include <algorithm>

namespace millrace::app {

namespace asio = boost::asio;

namespace {

/// The pipeline's queues with default options unless the configuration names them, then the configured
/// ones.
std::vector<std::pair<std::string, broker::EntityOptions>> entities_of(const Configuration& configuration) {
    std::vector<std::pair<std::string, broker::EntityOptions>> list;
    for (const auto& row : handlers::kHandlers) {
        const auto named = [&](const QueueEntry& queue) { return queue.name == row.queue; };
        const auto& queues = configuration.queues;
        if (row.queue.empty() || std::any_of(queues.begin(), queues.end(), named)) continue;
        broker::EntityOptions options;
        options.fair = true;  // no tenant waits for all that another one has sent
        list.emplace_back(row.queue, std::move(options));
    }
    for (const auto& topic : configuration.topics) list.emplace_back(topic.name, entity_options(topic));
    for (const auto& queue : configuration.queues) list.emplace_back(queue.name, entity_options(queue));
    for (const auto& entry : configuration.subscriptions)
        list.emplace_back(broker::subscription_path(entry.topic, entry.name), entity_options(entry));
    return list;
}

/// Those of the emulator's file beside the configured ones.
asio::awaitable<Result<void>> import_entities(broker::Broker& broker, const Configuration& configuration,
                                              std::vector<std::string>& notices) {
    const std::string& file = configuration.queue.emulator_config;
    if (file.empty()) co_return Result<void>();
    auto config = read_emulator_config(file);
    if (!config) co_return config.error();
    for (const EmulatorEntity& entity : config->entities)
        for (const auto& [name, options] : entities_of(configuration))
            if (boost::beast::iequals(name, entity.name))
                co_return Error{Errc::invalid_input, "queue.emulator_config: " + file + ": \"" + name +
                                                         "\" is this server's or configured already; "
                                                         "give it another name there"};
    notices.insert(notices.end(), config->notices.begin(), config->notices.end());
    co_return co_await put_emulator_entities(broker, std::move(config->entities));
}

}  // namespace

asio::awaitable<Result<void>> create_missing(broker::Broker& broker, std::string name,
                                             broker::EntityOptions options) {
    if (broker.counts(name)) co_return Result<void>();
    options.forward_to.clear();
    options.forward_dead_letters_to.clear();
    auto made = co_await broker.put_entity(std::move(name), std::move(options));
    co_return made;
}

asio::awaitable<Result<void>> put_entities(broker::Broker& broker, const Configuration& configuration,
                                           std::vector<std::string>& notices) {
    auto entities = entities_of(configuration);
    for (const auto& [name, entity] : entities) {  // those that forward to each other, too
        auto made = co_await create_missing(broker, name, entity);
        if (!made) co_return Error{made.error().code, "queue \"" + name + "\": " + made.error().detail};
    }
    for (auto& [name, entity] : entities) {
        const auto existing = broker.counts(name);
        if (existing) keep_administered(entity, existing->options);
        auto put = co_await broker.put_entity(name, entity);
        if (!put) co_return Error{put.error().code, "queue \"" + name + "\": " + put.error().detail};
    }
    for (const SubscriptionEntry& entry : configuration.subscriptions) {
        if (!entry.rules) continue;
        const std::string path = broker::subscription_path(entry.topic, entry.name);
        auto applied = co_await apply_rules(broker, path, *entry.rules);
        if (!applied)
            co_return Error{applied.error().code, "subscription \"" + path + "\": " + applied.error().detail};
    }
    co_return co_await import_entities(broker, configuration, notices);
}

}  // namespace millrace::app
