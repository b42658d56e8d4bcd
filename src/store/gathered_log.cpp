#include "store/gathered_log.hpp"

#include <sqlite3.h>

#include <algorithm>
#include <cassert>
#include <cstring>
#include <memory>
#include <new>
#include <string_view>
#include <utility>
#include <vector>

namespace millrace::store {

namespace {

// The system's VFS cuts what it reads or writes at once to less than 128 KiB; a page has at most 64.
constexpr std::size_t kBytesMax = 120 * 1024;
constexpr std::size_t kFrameHeadBytes = 24;
constexpr int kPagesInRow = 2;  // then the next ones are read ahead
constexpr std::string_view kNoCommit("\0\0\0\0", 4);

/// True if the frame of this head ends a transaction: then bytes 4 to 7 hold the size of the database after
/// it.
bool is_commit(std::string_view head) { return head.substr(4, kNoCommit.size()) != kNoCommit; }

/// The log, above the system's file that lies behind it in memory.
class LogFile : public sqlite3_file {
  public:
    sqlite3_file* below() noexcept { return reinterpret_cast<sqlite3_file*>(this + 1); }

    /// A failure ends SQLite's transaction, whose frames are dropped: its commit must not be found later on.
    int write(std::string_view bytes, sqlite3_int64 offset) {
        gathered_.reserve(kBytesMax);  // before anything is done: it may throw
        ahead_bytes_ = 0;
        const int code = put(bytes, offset);
        if (code != SQLITE_OK) drop_gathered();
        return code;
    }

    /// What is gathered belongs to no transaction any more.
    void drop_gathered() noexcept {
        if (!gathered_.empty()) end_ = -1;
        gathered_.clear();
        awaits_page_ = false;
    }

    int read(char* into, std::size_t size, sqlite3_int64 offset) {
        if (const int code = flush(); code != SQLITE_OK) return code;
        const bool next = offset == read_end_ + static_cast<sqlite3_int64>(kFrameHeadBytes);
        pages_in_row_ = next ? pages_in_row_ + 1 : 0;
        read_end_ = offset + static_cast<sqlite3_int64>(size);
        if (!is_ahead(size, offset) && pages_in_row_ >= kPagesInRow) read_ahead(offset);
        if (!is_ahead(size, offset))
            return below()->pMethods->xRead(below(), into, static_cast<int>(size), offset);
        std::memcpy(into, ahead_.get() + (offset - ahead_begin_), size);
        return SQLITE_OK;
    }

    /// What was gathered stays gathered if this fails: its transaction may go on, but not without it.
    int flush() {
        if (gathered_.empty()) return SQLITE_OK;
        const auto size = static_cast<sqlite3_int64>(gathered_.size());
        const int code =
            below()->pMethods->xWrite(below(), gathered_.data(), static_cast<int>(size), end_ - size);
        if (code == SQLITE_OK) gathered_.clear();
        return code;
    }

    void forget_ahead() noexcept { ahead_bytes_ = 0; }

  private:
    /// Gathers whole frames, head and page; anything else is written at once.
    int put(std::string_view bytes, sqlite3_int64 offset) {
        const bool page = std::exchange(awaits_page_, false);
        const bool head = !page && bytes.size() == kFrameHeadBytes;
        if (offset != end_ || (!page && !head)) return write_through(bytes, offset);
        if (head) commits_ = is_commit(bytes);
        if (page) page_bytes_ = bytes.size();
        awaits_page_ = head;
        // Never a head without its page: with what the log held there before it might be a whole frame.
        const std::size_t more = head ? bytes.size() + page_bytes_ : bytes.size();
        const int code = gather(bytes, more);
        return code == SQLITE_OK && page && commits_ ? flush() : code;
    }

    /// `more` bytes, these first, are to be written together.
    int gather(std::string_view bytes, std::size_t more) {
        if (gathered_.size() + more > kBytesMax) {
            if (const int code = flush(); code != SQLITE_OK) return code;
        }
        gathered_.insert(gathered_.end(), bytes.begin(), bytes.end());
        end_ += static_cast<sqlite3_int64>(bytes.size());
        return SQLITE_OK;
    }

    int write_through(std::string_view bytes, sqlite3_int64 offset) {
        if (const int code = flush(); code != SQLITE_OK) return code;
        end_ = offset + static_cast<sqlite3_int64>(bytes.size());
        return below()->pMethods->xWrite(below(), bytes.data(), static_cast<int>(bytes.size()), offset);
    }

    bool is_ahead(std::size_t size, sqlite3_int64 offset) const noexcept {
        const auto end = ahead_begin_ + static_cast<sqlite3_int64>(ahead_bytes_);
        return offset >= ahead_begin_ && offset + static_cast<sqlite3_int64>(size) <= end;
    }

    void read_ahead(sqlite3_int64 offset) {
        ahead_bytes_ = 0;
        sqlite3_int64 end = 0;
        if (below()->pMethods->xFileSize(below(), &end) != SQLITE_OK || end <= offset) return;
        if (!ahead_) ahead_ = std::make_unique<char[]>(kBytesMax);
        const std::size_t size = std::min(kBytesMax, static_cast<std::size_t>(end - offset));
        const int code = below()->pMethods->xRead(below(), ahead_.get(), static_cast<int>(size), offset);
        if (code != SQLITE_OK) return;
        ahead_begin_ = offset;
        ahead_bytes_ = size;
    }

    std::vector<char> gathered_;  ///< to be written up to `end_`
    sqlite3_int64 end_ = -1;  ///< where the next frame goes on
    bool awaits_page_ = false;  ///< the head of a frame was written last
    bool commits_ = false;  ///< that frame ends a transaction
    std::size_t page_bytes_ = 0;  ///< of the last page

    std::unique_ptr<char[]> ahead_;
    sqlite3_int64 ahead_begin_ = 0;
    std::size_t ahead_bytes_ = 0;
    sqlite3_int64 read_end_ = 0;
    int pages_in_row_ = 0;
};

// The system's file behind it is as SQLite's allocator gives it.
static_assert(alignof(LogFile) <= 8 && sizeof(LogFile) % 8 == 0);

LogFile& log_of(sqlite3_file* file) { return *static_cast<LogFile*>(file); }

/// Calls `work` where no exception may pass: memory may be short.
template <class Work>
int guarded(Work work) noexcept {
    try {
        return work();
    } catch (const std::bad_alloc&) {
        return SQLITE_IOERR_NOMEM;
    }
}

int close(sqlite3_file* file) {
    LogFile& log = log_of(file);  // what it still holds was never committed
    const int closed = log.below()->pMethods->xClose(log.below());
    std::destroy_at(&log);
    return closed;
}

int read(sqlite3_file* file, void* into, int size, sqlite3_int64 offset) {
    return guarded(
        [&] { return log_of(file).read(static_cast<char*>(into), static_cast<std::size_t>(size), offset); });
}

int write(sqlite3_file* file, const void* bytes, int size, sqlite3_int64 offset) {
    return guarded([&] {
        const std::string_view view(static_cast<const char*>(bytes), static_cast<std::size_t>(size));
        return log_of(file).write(view, offset);
    });
}

/// The call of the file below, after what was gathered.
template <auto method, class... Arguments>
int after_flush(sqlite3_file* file, Arguments... arguments) {
    LogFile& log = log_of(file);
    log.forget_ahead();
    if (const int code = log.flush(); code != SQLITE_OK) return code;
    return (log.below()->pMethods->*method)(log.below(), arguments...);
}

/// The call of the file below.
template <auto method, class... Arguments>
int pass(sqlite3_file* file, Arguments... arguments) {
    sqlite3_file* const below = log_of(file).below();
    return (below->pMethods->*method)(below, arguments...);
}

using Methods = sqlite3_io_methods;
// Of version 1: shared memory and mappings are those of the database, not of its log.
const Methods kMethods = {
    .iVersion = 1,
    .xClose = close,
    .xRead = read,
    .xWrite = write,
    .xTruncate = after_flush<&Methods::xTruncate, sqlite3_int64>,
    .xSync = after_flush<&Methods::xSync, int>,
    .xFileSize = after_flush<&Methods::xFileSize, sqlite3_int64*>,
    .xLock = pass<&Methods::xLock, int>,
    .xUnlock = pass<&Methods::xUnlock, int>,
    .xCheckReservedLock = pass<&Methods::xCheckReservedLock, int*>,
    .xFileControl = pass<&Methods::xFileControl, int, void*>,
    .xSectorSize = pass<&Methods::xSectorSize>,
    .xDeviceCharacteristics = pass<&Methods::xDeviceCharacteristics>,
};

sqlite3_vfs* below_vfs = nullptr;

int open(sqlite3_vfs*, const char* name, sqlite3_file* file, int flags, int* flags_out) {
    if ((flags & SQLITE_OPEN_WAL) == 0) return below_vfs->xOpen(below_vfs, name, file, flags, flags_out);
    auto* const log = new (file) LogFile();
    log->pMethods = nullptr;
    const int code = below_vfs->xOpen(below_vfs, name, log->below(), flags, flags_out);
    if (log->below()->pMethods != nullptr) {
        log->pMethods = &kMethods;
    } else {
        std::destroy_at(log);
        file->pMethods = nullptr;  // by which SQLite sees that it is not open
    }
    return code;
}

sqlite3_vfs make_vfs() {
    below_vfs = sqlite3_vfs_find(nullptr);
    sqlite3_vfs made = *below_vfs;  // its functions know it by what stays the same
    made.pNext = nullptr;
    made.zName = "millrace";
    made.szOsFile += static_cast<int>(sizeof(LogFile));
    made.xOpen = open;
    return made;
}

}  // namespace

const char* gathered_log_vfs() {
    static sqlite3_vfs vfs = make_vfs();
    [[maybe_unused]] static const int registered = sqlite3_vfs_register(&vfs, 0);
    assert(registered == SQLITE_OK);
    return vfs.zName;
}

void begin_gathering(sqlite3* database) noexcept {
    sqlite3_file* file = nullptr;
    const int code = sqlite3_file_control(database, "main", SQLITE_FCNTL_JOURNAL_POINTER, &file);
    if (code != SQLITE_OK || file == nullptr || file->pMethods != &kMethods) return;
    log_of(file).drop_gathered();
    log_of(file).forget_ahead();
}

}  // namespace millrace::store
