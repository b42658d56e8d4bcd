// Files of large bodies: which of them no message needs any more, and which are nearly empty.
#include "store/value_log.hpp"

#include "broker/guards.hpp"

#include <unordered_map>
#include <unordered_set>

namespace millrace::broker {

using asio::awaitable;
using store::FullFile;
using store::ValueLog;
using store::ValuePlace;

namespace {

constexpr std::int64_t kSweepMillis = 60'000;
constexpr std::int64_t kSweepMillisMin = 1000;  // from one to the next: each looks at every full file
// Room that messages which stay may cost beside twice their own bytes.
constexpr std::int64_t kWasteMax = 4 * ValueLog::kFileBytes;
// Values moved in one transaction, as far as they are not larger together.
constexpr std::size_t kMovedAtOnce = 64;
constexpr std::size_t kMovedBytesMax = 4 * limits::kMiB;

/// The first row that refers to `file`; 0 for none.
std::int64_t first_row_of(store::Connection& connection, const FullFile& file) {
    auto& select = connection.prepare(
        "SELECT id FROM message WHERE id BETWEEN ? AND ? AND value_file=? ORDER BY id LIMIT 1");
    select.bind(file.first_row, file.last_row, file.number);
    const std::int64_t row = select.step() ? select.integer(0) : 0;
    select.reset();
    return row;
}

/// The full files that no row refers to. What is below a file's first row is not looked at again: rows only
/// go away, and values that are moved go to a file that is not full.
std::vector<std::int64_t> unused_files(store::Connection& connection) {
    ValueLog& values = *connection.values();
    std::vector<std::int64_t> unused;
    for (const FullFile& file : values.full_files()) {
        const std::int64_t first = first_row_of(connection, file);
        if (first == 0)
            unused.push_back(file.number);
        else
            values.narrow(file.number, first);
    }
    return unused;
}

/// Something to write, so that the commit flushes it and what was written before.
void note_freed(store::Connection& connection, std::int64_t file) {
    connection.prepare("INSERT OR REPLACE INTO value_freed(id,file) VALUES(1,?)").bind(file).run();
}

struct Share {
    FullFile file;
    std::int64_t live = 0;  ///< bytes that rows need
};

/// Full files of whose bytes less than half are needed, the emptiest first.
std::vector<Share> sparse_files(store::Connection& connection) {
    std::unordered_map<std::int64_t, std::int64_t> live;
    auto& select =
        connection.prepare("SELECT value_file,value_bytes FROM message WHERE value_file IS NOT NULL");
    while (select.step()) live[select.integer(0)] += select.integer(1);
    std::vector<Share> sparse;
    for (const FullFile& file : connection.values()->full_files()) {
        const Share share{file, live[file.number]};
        if (share.live < file.bytes / 2) sparse.push_back(share);
    }
    std::sort(sparse.begin(), sparse.end(), [](const Share& a, const Share& b) { return a.live < b.live; });
    return sparse;
}

struct Moving {
    std::int64_t row = 0;
    ValuePlace from;
};

std::vector<Moving> values_in(store::Connection& connection, const FullFile& file) {
    auto& select = connection.prepare(
        "SELECT id,value_offset,value_bytes FROM message WHERE id BETWEEN ? AND ? AND value_file=? "
        "ORDER BY id LIMIT ?");
    select.bind(file.first_row, file.last_row, file.number, kMovedAtOnce);
    std::vector<Moving> found;
    std::size_t bytes = 0;
    while (select.step()) {
        const ValuePlace from{file.number, select.integer(1), select.integer(2)};
        const bool shared = !found.empty() && found.back().from.offset == from.offset;
        if (!shared && bytes >= kMovedBytesMax) break;
        if (!shared) bytes += static_cast<std::size_t>(from.bytes);
        found.push_back({select.integer(0), from});
    }
    select.reset();
    return found;
}

/// Moves some values of `file` to where values are written now; how many rows have a new place. What can't be
/// read stays, with all that is behind it.
std::size_t move_some(store::Connection& connection, const FullFile& file) {
    ValueLog& values = *connection.values();
    std::size_t moved = 0;
    std::int64_t shared = -1;  // rows that share a value are neighbours
    ValuePlace to;
    for (const Moving& one : values_in(connection, file)) {
        if (one.from.offset == shared) {
            values.share(one.row);
        } else {
            const auto value = values.read(one.from);
            if (!value) break;
            to = values.append(*value, one.row);
        }
        shared = one.from.offset;
        connection.prepare("UPDATE message SET value_file=?,value_offset=? WHERE id=?")
            .bind(to.file, to.offset, one.row)
            .run();
        moved += 1;
    }
    return moved;
}

}  // namespace

awaitable<Result<void>> Engine::keep_values(const std::map<std::int64_t, FullFile>& needed) {
    std::vector<FullFile> files;
    for (const auto& [number, file] : needed) files.push_back(file);
    if (!needed.empty()) sweep_due_ = now() + kSweepMillis;
    // What an earlier process has removed may not be flushed yet.
    auto work = [files = std::move(files)](store::Connection& connection) -> Result<void> {
        note_freed(connection, 0);
        return connection.values()->keep(files);
    };
    auto kept = co_await database_.write(std::move(work));
    if (!kept) co_return kept;
    auto clean = [](store::Connection& connection) { return connection.values()->remove_spares(); };
    co_await database_.read(std::move(clean));
    co_return kept;
}

void Engine::notice_filled_values() {
    const std::uint64_t filled = database_.filled_value_files();
    if (std::exchange(filled_seen_, filled) == filled) return;
    sweep_due_ = std::min(sweep_due_, std::max(now(), swept_ + kSweepMillisMin));
    arm(sweep_due_);
}

/// True if a sweep is to begin now, which the caller then does.
bool Engine::take_sweep() {
    if (sweep_due_ > now() || sweeping_) return false;
    swept_ = now();
    sweep_due_ = swept_ + kSweepMillis;
    sweeping_ = true;
    return true;
}

awaitable<void> Engine::sweep_values() {
    OnFailure ended([this] {
        sweeping_ = false;
        arm(sweep_due_);
    });
    try {
        co_await free_value_files();
        co_await move_values_together();
        auto clean = [](store::Connection& connection) {
            ValueLog& values = *connection.values();
            return values.remove_spares() + values.files_to_free();
        };
        const std::size_t left = co_await database_.read(std::move(clean));
        if (left == 0 && sweep_due_ == swept_ + kSweepMillis) sweep_due_ = Slot::kForEver;
    } catch (const MachineError&) {
        // It is tried again.
    }
}

// What the readers see may not be flushed yet: not before the commit of the next command is.
awaitable<void> Engine::free_value_files() {
    const std::vector<std::int64_t> unused = co_await database_.read(unused_files);
    if (unused.empty()) co_return;
    auto note = [last = unused.back()](store::Connection& connection) {
        note_freed(connection, last);
        return true;
    };
    co_await database_.write(std::move(note), store::Sync::durable, store::Undo::none);
    auto free = [unused](store::Connection& connection) {
        connection.values()->free_files(unused);
        return true;
    };
    co_await database_.read(std::move(free));
}

std::int64_t Engine::live_bytes() const {
    std::unordered_set<const Account*> accounts;
    std::uint64_t bytes = 0;
    for (const auto& [name, entity] : entities_) {
        if (accounts.insert(entity->account.get()).second) bytes += entity->account->bytes;
    }
    return static_cast<std::int64_t>(bytes);
}

// A few messages that stay for long must not keep the room of all that came with them.
awaitable<void> Engine::move_values_together() {
    auto all = [](store::Connection& connection) { return connection.values()->bytes(); };
    std::int64_t waste = co_await database_.read(std::move(all));
    waste -= 2 * live_bytes() + kWasteMax;
    if (waste <= 0) co_return;
    const std::vector<Share> sparse = co_await database_.read(sparse_files);
    for (const Share& share : sparse) {
        if (waste <= 0 || stopping_) break;
        std::size_t moved = 1;
        while (moved > 0 && !stopping_) {
            auto move = [file = share.file](store::Connection& connection) {
                return move_some(connection, file);
            };
            moved = co_await database_.write(std::move(move), store::Sync::durable, store::Undo::none);
        }
        waste -= share.file.bytes - share.live;
    }
    co_await free_value_files();
}

}  // namespace millrace::broker
