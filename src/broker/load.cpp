#include "broker/guards.hpp"
#include "broker/options.hpp"
#include "store/value_log.hpp"

namespace millrace::broker {

using asio::awaitable;

namespace {

constexpr std::size_t kRowsPerScan = 20'000;

struct EntityRow {
    std::int64_t id = 0;
    std::string name;
    std::string options;
    std::int64_t next = 0;
    std::int64_t created = 0;
    std::int64_t updated = 0;
    std::int64_t accessed = 0;
};

struct DuplicateRow {
    std::int64_t id = 0;
    std::int64_t entity = 0;
    std::int64_t seen = 0;
    std::string message_id;
};

std::vector<EntityRow> read_entities(store::Connection& connection) {
    std::vector<EntityRow> rows;
    auto& select = connection.prepare(
        "SELECT id,name,options,coalesce(next,1),created,updated,accessed FROM entity "
        "LEFT JOIN entity_sequence ON entity=id ORDER BY id");
    while (select.step())
        rows.push_back({select.integer(0), select.string(1), select.string(2), select.integer(3),
                        select.integer(4), select.integer(5), select.integer(6)});
    return rows;
}

std::vector<DuplicateRow> read_duplicates(store::Connection& connection, std::int64_t after) {
    std::vector<DuplicateRow> rows;
    auto& select =
        connection.prepare("SELECT id,entity,seen,message_id FROM duplicate WHERE id>? ORDER BY id LIMIT ?");
    select.bind(after, kRowsPerScan);
    while (select.step())
        rows.push_back({select.integer(0), select.integer(1), select.integer(2), select.string(3)});
    return rows;
}

}  // namespace

struct Engine::Scanned {
    std::int64_t id = 0;
    std::int64_t entity = 0;
    std::int64_t sequence = 0;
    State state = State::active;
    std::int64_t enqueued = 0;
    std::int64_t scheduled = 0;
    std::int64_t expires = Slot::kForEver;
    std::optional<std::string> session_id;
    std::uint32_t bytes = 0;
    std::uint16_t deliveries = 0;
    std::int64_t ready_at = 0;
    std::int64_t value_file = 0;  ///< 0: the body is in the row
    std::int64_t value_end = 0;   ///< bytes of the file that it needs
};

awaitable<Result<void>> Engine::load() {
    auto work = [](store::Connection& connection) { return read_entities(connection); };
    const auto entities = co_await database_.read(std::move(work));
    for (const EntityRow& row : entities) {
        auto options = options_from_json(row.options);
        if (!options) co_return options.error();
        const Entity entity = add(row.id, row.name, *options);
        entity->next_sequence = row.next;
        entity->reserved = row.next;
        entity->created = row.created;
        entity->updated = row.updated;
        entity->accessed = row.accessed;
        entity->accessed_stored = row.accessed;
    }
    for (const EntityRow& row : entities) link(find(row.name));
    if (auto rules = co_await load_rules(); !rules) co_return rules;
    if (auto messages = co_await load_messages(); !messages) co_return messages;
    co_await load_duplicates();
    co_await bury_exhausted();
    co_return Result<void>();
}

// On the writer's connection: the readers map the file into memory, and a scan would leave all of it there.
awaitable<Result<void>> Engine::load_messages() {
    std::unordered_map<std::int64_t, Entity> by_id;
    for (const auto& [name, entity] : entities_) by_id.emplace(entity->id, entity);
    std::vector<std::int64_t> orphans;
    std::map<std::int64_t, store::FullFile> value_files;
    for (std::vector<Scanned> rows;; rows.clear()) {
        auto work = [after = next_message_ - 1](store::Connection& connection) {
            return scan(connection, after);
        };
        rows = co_await database_.write(std::move(work), store::Sync::written, store::Undo::none);
        if (rows.empty()) break;
        next_message_ = rows.back().id + 1;
        for (const Scanned& row : rows) {
            next_entity_ = std::max(next_entity_, row.entity + 1);
            const auto home = by_id.find(row.entity);
            if (home == by_id.end()) {
                orphans.push_back(row.id);
                continue;
            }
            restore(*home->second, row);
            if (row.value_file == 0) continue;
            auto& file = value_files.try_emplace(row.value_file, row.value_file, row.id).first->second;
            file.last_row = row.id;
            file.bytes = std::max(file.bytes, row.value_end);
        }
    }
    if (auto kept = co_await keep_values(value_files); !kept) co_return kept;
    co_await delete_rows(std::move(orphans));
    co_return Result<void>();
}

std::vector<Engine::Scanned> Engine::scan(store::Connection& connection, std::int64_t after) {
    std::vector<Scanned> rows;
    auto& select = connection.prepare(
        "SELECT id,entity,sequence,state,enqueued,scheduled,expires,session_id,bytes,count,ready_at,"
        "value_file,value_offset,value_bytes FROM message "
        "LEFT JOIN delivery ON message=id WHERE id>? ORDER BY id LIMIT ?");
    select.bind(after, kRowsPerScan);
    while (select.step()) {
        Scanned row;
        row.id = select.integer(0);
        row.entity = select.integer(1);
        row.sequence = select.integer(2);
        row.state = static_cast<State>(select.integer(3));
        row.enqueued = select.integer(4);
        row.scheduled = select.integer(5);
        if (!select.is_null(6)) row.expires = select.integer(6);
        if (!select.is_null(7)) row.session_id = select.string(7);
        row.bytes = static_cast<std::uint32_t>(select.integer(8));
        row.deliveries = static_cast<std::uint16_t>(select.integer(9));
        row.ready_at = select.integer(10);
        row.value_file = select.integer(11);
        row.value_end = store::ValuePlace{row.value_file, select.integer(12), select.integer(13)}.end();
        rows.push_back(std::move(row));
    }
    return rows;
}

void Engine::restore(EntityState& entity, const Scanned& row) {
    Slot& slot = entity.slots.insert(row.sequence);
    slot.id = row.id;
    slot.enqueued = row.enqueued;
    slot.expires = row.expires;
    slot.bytes = row.bytes;
    slot.deliveries = row.deliveries;
    entity.account->bytes += row.bytes;
    entity.next_sequence = std::max(entity.next_sequence, row.sequence + 1);
    if (entity.options.requires_session && row.session_id) {
        slot.session = entity.sessions.intern(*row.session_id);
        entity.sessions[slot.session].messages += 1;
    }
    if (entity.lanes) entity.lanes->add(row.sequence, row.session_id.value_or(""));
    Phase phase = Phase::ready;
    if (row.state == State::deferred) phase = Phase::deferred;
    if (row.state == State::scheduled) phase = Phase::scheduled;
    if (phase == Phase::ready && row.ready_at > now()) phase = Phase::postponed;
    slot.due = phase == Phase::scheduled ? row.scheduled : row.ready_at;
    entity.set_phase(row.sequence, slot, phase);
    if (phase == Phase::scheduled || phase == Phase::postponed) entity.add_timer(row.sequence, slot.due);
    if (phase != Phase::scheduled) entity.add_expiry(row.sequence, slot.expires);
}

awaitable<void> Engine::load_duplicates() {
    std::unordered_map<std::int64_t, Entity> by_id;
    for (const auto& [name, entity] : entities_) by_id.emplace(entity->id, entity);
    for (std::vector<DuplicateRow> rows;; rows.clear()) {
        auto work = [after = next_duplicate_ - 1](store::Connection& connection) {
            return read_duplicates(connection, after);
        };
        rows = co_await database_.read(std::move(work));
        if (rows.empty()) break;
        next_duplicate_ = rows.back().id + 1;
        for (const DuplicateRow& row : rows) {
            const auto home = by_id.find(row.entity);
            if (home != by_id.end())
                home->second->duplicates.remember(row.message_id, row.id, row.seen, false);
        }
    }
}

// Messages whose handler ended the process once too often. A deferred one was at that count when it was
// deferred, so only a later delivery of it counts against it.
awaitable<void> Engine::bury_exhausted() {
    std::vector<Entity> entities;
    for (const auto& [name, entity] : entities_) {
        if (!entity->is_dead_letter_queue) entities.push_back(entity);
    }
    for (const Entity& entity : entities) {
        std::vector<std::int64_t> exhausted;
        entity->slots.each(0, [&](std::int64_t sequence, const Slot& slot) {
            const int more = slot.phase == Phase::deferred ? 1 : 0;
            if (slot.deliveries >= entity->options.delivery_count_max + more) exhausted.push_back(sequence);
            return true;
        });
        for (std::size_t from = 0; from < exhausted.size(); from += EntityState::kBatch) {
            std::vector<Doomed> doomed;
            for (std::size_t i = from; i < std::min(from + EntityState::kBatch, exhausted.size()); ++i) {
                doomed.push_back(exhausted_letter(*entity, exhausted[i]));
            }
            auto buried = co_await bury(entity, std::move(doomed));
            if (!buried) retry_later(*entity, exhausted);
        }
    }
}

// A clean stop leaves no gap in the numbers.
awaitable<void> Engine::store_sequences() {
    std::vector<rows::NextSequence> exact;
    for (const auto& [name, entity] : entities_) {
        if (entity->reserved != entity->next_sequence) exact.push_back({entity->id, entity->next_sequence});
        entity->reserved = entity->next_sequence;
    }
    if (exact.empty()) co_return;
    auto work = [exact = std::move(exact)](store::Connection& connection) {
        for (const auto& next : exact) rows::set_next(connection, next);
        return true;
    };
    co_await database_.write(std::move(work), store::Sync::durable, store::Undo::none);
}

}  // namespace millrace::broker
