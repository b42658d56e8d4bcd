#include "broker/guards.hpp"
#include "broker/rule_rows.hpp"
#include "broker/sql_lexer.hpp"

namespace millrace::broker {

using asio::awaitable;

namespace {

Error rule_exists(const std::string& rule) {
    return Error{Errc::conflict, "a rule \"" + rule + "\" exists already"};
}

Error no_such_rule(const std::string& rule) {
    return Error{Errc::not_found, "there is no rule \"" + rule.substr(0, 100) + "\""};
}

// The writer alone knows which of several changes under way comes first.
bool is_there(store::Connection& connection, std::int64_t entity) {
    auto& select = connection.prepare("SELECT 1 FROM entity WHERE id=?");
    select.bind(entity);
    const bool found = select.step();
    select.reset();
    return found;
}

Result<void> write_rule(store::Connection& connection, std::int64_t entity, const Rule& rule, bool replace) {
    if (!is_there(connection, entity)) return no_such_entity("(removed)");
    const bool exists = rows::has_rule(connection, entity, rule.name);
    if (exists && !replace) return rule_exists(rule.name);
    if (!exists && replace) return no_such_rule(rule.name);
    rows::put_rule(connection, entity, rule);
    return {};
}

void set_updated(store::Connection& connection, std::int64_t entity, std::int64_t when) {
    connection.prepare("UPDATE entity SET updated=? WHERE id=?").bind(when, entity).run();
}

bool less_ignoring_case(std::string_view a, std::string_view b) {
    return std::lexicographical_compare(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) {
        return std::tolower(static_cast<unsigned char>(x)) < std::tolower(static_cast<unsigned char>(y));
    });
}

}  // namespace

void EntityState::put_rule(CompiledRule rule) {
    remove_rule(rule.rule().name);
    const auto place = std::find_if(rules.begin(), rules.end(), [&](const CompiledRule& other) {
        return less_ignoring_case(rule.rule().name, other.rule().name);
    });
    rules.insert(place, std::move(rule));
}

void EntityState::remove_rule(std::string_view rule) {
    std::erase_if(
        rules, [&](const CompiledRule& other) { return sql::equal_ignoring_case(other.rule().name, rule); });
}

Result<Entity> Engine::open_subscription(std::string_view name) const {
    auto entity = open(name);
    if (!entity || (*entity)->options.kind == EntityKind::subscription) return entity;
    return Error{Errc::invalid_input,
                 "\"" + (*entity)->name + "\" is no subscription; only these have rules"};
}

awaitable<Result<void>> Engine::create_subscription(std::string path, EntityOptions options, Rule rule) {
    const Operation operation(*this);
    if (options.kind != EntityKind::subscription)
        co_return Error{Errc::invalid_input,
                        "\"" + path + "\" is to be no subscription; only these have rules"};
    if (auto checked = check_place(path, options); !checked) co_return checked;
    if (find(path)) co_return Error{Errc::conflict, "subscription \"" + path + "\" exists already"};
    rule.created_at = clock_.now();
    auto compiled = CompiledRule::make(std::move(rule));
    if (!compiled) co_return compiled.error();
    co_return co_await create(std::move(path), std::move(options), std::move(*compiled));
}

awaitable<Result<void>> Engine::put_rule(std::string subscription, Rule rule, bool replace) {
    const Operation operation(*this);
    auto opened = open_subscription(subscription);
    if (!opened) co_return opened.error();
    const Entity entity = *opened;
    rule.created_at = clock_.now();
    auto compiled = CompiledRule::make(std::move(rule));
    if (!compiled) co_return compiled.error();
    if (!replace && entity->rules.size() >= limits::rules_max)
        co_return Error{Errc::over_limit, "\"" + entity->name + "\" has 2,000 rules; remove one first"};
    const std::int64_t time = now();
    auto work = [id = entity->id, rule = compiled->rule(), replace,
                 time](store::Connection& connection) -> Result<void> {
        if (auto written = write_rule(connection, id, rule, replace); !written) return written;
        set_updated(connection, id, time);
        return {};
    };
    auto stored = co_await database_.write(std::move(work));
    if (!stored) co_return stored;
    entity->put_rule(std::move(*compiled));
    entity->updated = time;
    co_return stored;
}

awaitable<Result<void>> Engine::remove_rule(std::string subscription, std::string rule) {
    const Operation operation(*this);
    auto opened = open_subscription(subscription);
    if (!opened) co_return opened.error();
    const Entity entity = *opened;
    const std::int64_t time = now();
    auto work = [id = entity->id, rule, time](store::Connection& connection) -> Result<void> {
        if (!rows::has_rule(connection, id, rule)) return no_such_rule(rule);
        rows::remove_rule(connection, id, rule);
        set_updated(connection, id, time);
        return {};
    };
    auto stored = co_await database_.write(std::move(work));
    if (!stored) co_return stored;
    entity->remove_rule(rule);
    entity->updated = time;
    co_return stored;
}

Result<std::vector<Rule>> Engine::rules(std::string_view subscription) const {
    auto entity = open_subscription(subscription);
    if (!entity) return entity.error();
    std::vector<Rule> all;
    for (const CompiledRule& rule : (*entity)->rules) all.push_back(rule.rule());
    return all;
}

/// Rules that no longer fit the grammar stop the start: without them messages would go astray.
awaitable<Result<void>> Engine::load_rules() {
    std::unordered_map<std::int64_t, Entity> by_id;
    for (const auto& [name, entity] : entities_) by_id.emplace(entity->id, entity);
    auto work = [](store::Connection& connection) { return rows::read_rules(connection); };
    auto stored = co_await database_.read(std::move(work));
    if (!stored) co_return stored.error();
    for (rows::StoredRule& one : *stored) {
        const auto home = by_id.find(one.entity);
        if (home == by_id.end()) continue;
        auto compiled = CompiledRule::make(std::move(one.rule));
        if (!compiled)
            co_return Error{Errc::corrupt,
                            "subscription \"" + home->second->name + "\": stored " + compiled.error().detail};
        home->second->put_rule(std::move(*compiled));
    }
    co_return Result<void>();
}

}  // namespace millrace::broker
