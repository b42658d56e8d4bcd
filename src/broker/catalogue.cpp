#include "broker/guards.hpp"

#include "broker/options.hpp"
#include "broker/rule_rows.hpp"

#include <cctype>

namespace millrace::broker {

using asio::awaitable;

namespace {

constexpr std::string_view kDeadLetterSuffix = "/$deadletterqueue";
constexpr std::size_t kRowsPerDelete = 1000;
constexpr std::size_t kRecentBytes = 16 * limits::kMiB;

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

EntityOptions dead_letter_options(const EntityOptions& owner) {
    EntityOptions options;
    options.lock_time = owner.lock_time;
    return options;
}

Error not_changeable(const std::string& name) {
    return Error{Errc::conflict, "entity \"" + name +
                                     "\" exists with another kind, session or duplicate-detection " +
                                     "setting, which cannot be changed; remove it or choose another name"};
}

}  // namespace

std::size_t topic_length(std::string_view path) {
    std::string folded(path);
    std::transform(folded.begin(), folded.end(), folded.begin(), lower);
    return folded.find("/subscriptions/");
}

std::size_t Engine::NameHash::operator()(std::string_view name) const noexcept {
    std::uint64_t hash = 14695981039346656037ull;  // FNV-1a
    for (const char c : name) hash = (hash ^ static_cast<std::uint8_t>(lower(c))) * 1099511628211ull;
    return hash;
}

bool Engine::NameEqual::operator()(std::string_view a, std::string_view b) const noexcept {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                      [](char x, char y) { return lower(x) == lower(y); });
}

Engine::Engine(store::Database& database, Clock& clock, Broker::Options options, asio::any_io_executor io)
    : database_(database),
      clock_(clock),
      options_(options),
      io_(io),
      recent_(kRecentBytes),
      stored_(io),
      idle_(io),
      rearm_(io) {}

Engine::~Engine() = default;

Entity Engine::find(std::string_view name) const {
    const auto found = entities_.find(name);
    return found == entities_.end() ? nullptr : found->second;
}

Result<Entity> Engine::open(std::string_view name) const {
    if (stopping_) return Error{Errc::unavailable, "the queues are being stopped"};
    Entity entity = find(name);
    if (!entity) return no_such_entity(name);
    return entity;
}

Result<Entity> Engine::dead_letters_of(std::string_view name) const {
    auto entity = open(name);
    if (!entity || (*entity)->is_dead_letter_queue) return entity;
    if (!(*entity)->dead_letters)
        return Error{Errc::invalid_input, "a topic has no dead letters; its subscriptions do"};
    return (*entity)->dead_letters;
}

Entity Engine::add(std::int64_t id, const std::string& name, const EntityOptions& options) {
    auto entity = std::make_shared<EntityState>();
    entity->id = id;
    entity->name = name;
    entity->options = options;
    entity->apply_fairness();
    const std::size_t suffix = name.size() - std::min(name.size(), kDeadLetterSuffix.size());
    entity->is_dead_letter_queue = NameEqual{}(std::string_view(name).substr(suffix), kDeadLetterSuffix);
    if (entity->is_dead_letter_queue) entity->owner = name.substr(0, suffix);
    entity->idle_since = now();
    entities_.emplace(name, entity);
    next_entity_ = std::max(next_entity_, id + 1);
    return entity;
}

// A dead-letter queue to its owner, a subscription to its topic.
void Engine::link(const Entity& entity) {
    if (entity->is_dead_letter_queue) {
        if (const Entity owner = find(entity->owner)) {
            owner->dead_letters = entity;
            entity->account = owner->account;
        }
    } else if (entity->options.kind == EntityKind::subscription) {
        const Entity topic = find(std::string_view(entity->name).substr(0, topic_length(entity->name)));
        if (topic) topic->subscriptions.push_back(entity);
    }
}

Result<void> Engine::check_target(const std::string& name, const std::string& target) const {
    if (target.empty()) return {};
    const Entity entity = find(target);
    if (entity && entity->options.kind != EntityKind::subscription && !entity->is_dead_letter_queue)
        return {};
    return Error{Errc::invalid_input, "\"" + name + "\" cannot forward to \"" + target +
                                          "\": there is no queue or topic of that name; create it first"};
}

Result<void> Engine::check_place(const std::string& name, const EntityOptions& options) const {
    if (auto checked = check_entity(name, options); !checked) return checked;
    for (const std::string* target : {&options.forward_to, &options.forward_dead_letters_to})
        if (auto known = check_target(name, *target); !known) return known;
    if (options.kind != EntityKind::subscription) return {};
    const Entity topic = find(std::string_view(name).substr(0, topic_length(name)));
    if (topic && topic->options.kind == EntityKind::topic) return {};
    return no_such_entity(name.substr(0, topic_length(name)));
}

awaitable<Result<void>> Engine::put_entity(std::string name, EntityOptions options) {
    const Operation operation(*this);
    if (auto checked = check_place(name, options); !checked) co_return checked;
    const Entity known = find(name);
    if (!known) {
        std::optional<CompiledRule> rule;
        if (options.kind == EntityKind::subscription) {
            Rule everything;
            everything.created_at = clock_.now();
            rule = *CompiledRule::make(std::move(everything));
        }
        co_return co_await create(std::move(name), std::move(options), std::move(rule));
    }
    if (known->options.kind != options.kind || known->options.requires_session != options.requires_session ||
        known->options.duplicate_window != options.duplicate_window) {
        co_return not_changeable(name);
    }
    co_return co_await change(known, std::move(options));
}

// `rule` is that of a subscription.
awaitable<Result<void>> Engine::create(std::string name, EntityOptions options,
                                       std::optional<CompiledRule> rule) {
    if (!creating_.insert(name).second) {
        co_return Error{Errc::conflict, "entity \"" + name + "\" is being created by another call"};
    }
    OnFailure ended([&] { creating_.erase(name); });
    struct Row {
        std::int64_t id;
        std::string name;
        std::string options;
    };
    std::vector<Row> rows{{next_entity_++, name, options_to_json(options)}};
    if (options.kind != EntityKind::topic) {
        rows.push_back(
            {next_entity_++, dead_letter_queue_of(name), options_to_json(dead_letter_options(options))});
    }
    const std::int64_t time = now();
    std::optional<Rule> first_rule;
    if (rule) first_rule = rule->rule();
    auto work = [rows, time, first_rule](store::Connection& connection) -> Result<void> {
        for (const Row& row : rows) {
            connection
                .prepare("INSERT INTO entity(id,name,options,created,updated,accessed) VALUES(?,?,?,?,?,?)")
                .bind(row.id, row.name, row.options, time, time, time)
                .run();
        }
        if (first_rule) rows::put_rule(connection, rows[0].id, *first_rule);
        return {};
    };
    auto stored = co_await database_.write(std::move(work));
    if (!stored) co_return stored;
    const Entity entity = add(rows[0].id, name, options);
    if (rule) entity->put_rule(std::move(*rule));
    entity->created = entity->updated = entity->accessed = entity->accessed_stored = time;
    link(entity);
    if (rows.size() > 1) link(add(rows[1].id, rows[1].name, dead_letter_options(options)));
    arm(entity->idle_due());
    co_return stored;
}

awaitable<Result<void>> Engine::change(Entity entity, EntityOptions options) {
    entity->forward_at = 0;
    arm(entity->next_due());
    if (options == entity->options) co_return Result<void>();
    const std::int64_t time = now();
    auto work = [id = entity->id, json = options_to_json(options),
                 time](store::Connection& connection) -> Result<void> {
        connection.prepare("UPDATE entity SET options=?,updated=? WHERE id=?").bind(json, time, id).run();
        return {};
    };
    auto stored = co_await database_.write(std::move(work));
    if (!stored) co_return stored;
    entity->options = options;
    entity->apply_fairness();
    entity->updated = time;
    entity->forward_at = 0;
    if (entity->dead_letters) entity->dead_letters->options = dead_letter_options(options);
    end_disabled_waits(*entity);
    arm(std::min(entity->next_due(), entity->idle_due()));
    co_return stored;
}

/// `entity` and all that goes with it: dead-letter queues, and subscriptions of a topic.
std::vector<Entity> Engine::family(const Entity& entity) {
    std::vector<Entity> members{entity};
    members.insert(members.end(), entity->subscriptions.begin(), entity->subscriptions.end());
    for (std::size_t i = 0, count = members.size(); i < count; ++i) {
        if (members[i]->dead_letters) members.push_back(members[i]->dead_letters);
    }
    return members;
}

awaitable<Result<void>> Engine::remove_entity(std::string name) {
    const Operation operation(*this);
    auto opened = open(name);
    if (!opened) co_return opened.error();
    const Entity entity = *opened;
    if (entity->is_dead_letter_queue) {
        co_return Error{Errc::invalid_input, "a dead-letter queue is removed with its entity"};
    }
    const std::vector<Entity> members = family(entity);
    std::vector<std::int64_t> ids;
    for (const Entity& member : members) {
        ids.push_back(member->id);
        member->removed = true;
        entities_.erase(member->name);
        fail_waiting(*member, no_such_entity(member->name));
    }
    OnFailure put_back([&] {
        for (const Entity& member : members) {
            member->removed = false;
            entities_.emplace(member->name, member);
        }
    });
    auto work = [ids](store::Connection& connection) {
        for (const std::int64_t id : ids) {
            connection.prepare("DELETE FROM entity WHERE id=?").bind(id).run();
            connection.prepare("DELETE FROM entity_sequence WHERE entity=?").bind(id).run();
            connection.prepare("DELETE FROM duplicate WHERE entity=?").bind(id).run();
            connection.prepare("DELETE FROM session_state WHERE entity=?").bind(id).run();
            rows::remove_rules(connection, id);
        }
        return true;
    };
    co_await database_.write(std::move(work), store::Sync::durable, store::Undo::none);
    put_back.release();
    std::vector<std::int64_t> messages;
    for (const Entity& member : members) {
        member->slots.each(0,
                           [&](std::int64_t, const Slot& slot) { return messages.push_back(slot.id), true; });
    }
    if (entity->options.kind == EntityKind::subscription) {
        const Entity topic = find(std::string_view(entity->name).substr(0, topic_length(entity->name)));
        if (topic) std::erase(topic->subscriptions, entity);
    }
    co_await delete_rows(std::move(messages));
    co_return Result<void>();
}

// What a crash or the machine leaves undone here is done when the broker opens: messages without an entity
// are deleted.
awaitable<void> Engine::delete_rows(std::vector<std::int64_t> ids) {
    for (std::size_t from = 0; from < ids.size(); from += kRowsPerDelete) {
        const std::size_t to = std::min(from + kRowsPerDelete, ids.size());
        std::vector<std::int64_t> part(ids.begin() + static_cast<std::ptrdiff_t>(from),
                                       ids.begin() + static_cast<std::ptrdiff_t>(to));
        auto work = [part = std::move(part)](store::Connection& connection) {
            for (const std::int64_t id : part) rows::remove(connection, id);
            return true;
        };
        try {
            co_await database_.write(std::move(work), store::Sync::written, store::Undo::none);
        } catch (const MachineError&) {
            co_return;
        }
    }
}

Result<EntityCounts> Engine::counts(std::string_view name) const {
    const Entity entity = find(name);
    if (!entity) return no_such_entity(name);
    return entity->counts(now());
}

std::vector<EntityCounts> Engine::counts() const {
    std::vector<EntityCounts> all;
    for (const auto& [name, entity] : entities_) {
        if (!entity->is_dead_letter_queue) all.push_back(entity->counts(now()));
    }
    std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
    return all;
}

}  // namespace millrace::broker
