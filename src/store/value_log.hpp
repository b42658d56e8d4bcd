// Large values, each written once: files beside the database, appended to until they are full and used again
// when no row needs one of their values. A row holds the place of its value (docs/decisions/0014).
#pragma once

#include "base/error.hpp"

#include <atomic>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace millrace::store {

/// Where a value lies.
struct ValuePlace {
    std::int64_t file = 0;    ///< the file's number, from 1; never that of another one
    std::int64_t offset = 0;  ///< bytes, of what stands in front of the value
    std::int64_t bytes = 0;   ///< of the value

    static constexpr std::int64_t kHeadBytes = 16;
    /// Bytes of the file that hold it.
    std::int64_t end() const noexcept { return offset + kHeadBytes + bytes; }
};

/// A file to which nothing is added any more, and which rows may refer to it.
struct FullFile {
    std::int64_t number = 0;
    std::int64_t first_row = 0;
    std::int64_t last_row = 0;
    std::int64_t bytes = 0;  ///< up to the end of its last value
};

/// The files of a directory. The writer's thread appends, in the transaction of the row that gets the place:
/// if that is rolled back, nobody knows the value. Functions throw MachineError where the disk fails.
class ValueLog {
  public:
    static constexpr std::int64_t kFileBytes =
        16 * 1024 * 1024;  ///< then a file is full; a value is never cut

    /// Creates the directory. What files are needed is not known before `keep`.
    explicit ValueLog(std::filesystem::path directory);
    ~ValueLog();
    ValueLog(const ValueLog&) = delete;

    // On the writer's thread:

    /// Once, before the first `append`: these are the files that rows refer to. The others are used again.
    /// unavailable: one that is needed is missing or shorter than that; nothing has changed then.
    Result<void> keep(const std::vector<FullFile>& needed);
    /// A transaction of so many commands begins.
    void begin(std::size_t commands);
    /// Whether a value of `bytes` bytes is worth a second flush, which all values of a transaction share: one
    /// of some size among `together` bytes that one command stores, or in a transaction of several commands.
    /// A small or lonely value goes into its row, and its sender waits for one flush only.
    bool takes(std::size_t bytes, std::size_t together) const noexcept;
    /// `row` will hold the place.
    ValuePlace append(std::string_view value, std::int64_t row);
    /// `row` will hold it as well: the place of the last `append`.
    void share(std::int64_t row) noexcept;
    /// Before the commit: now every value survives a power cut.
    void flush();
    /// The transaction has ended, committed or not.
    void end() noexcept;

    // On any thread:

    /// The value of a row that this thread has just read, in a transaction that a Reading covers or on the
    /// writer's thread. corrupt: the file does not hold it.
    Result<std::string> read(const ValuePlace& place);

    /// While it lives, no file that the database still refers to in an older state is used again.
    class Reading {
      public:
        explicit Reading(ValueLog& log);
        ~Reading();
        Reading(const Reading&) = delete;

      private:
        ValueLog& log_;
        std::multiset<std::uint64_t>::iterator since_;
    };

    /// The full files that no transaction under way adds to.
    std::vector<FullFile> full_files() const;
    /// No row before `first_row` refers to `file` any more.
    void narrow(std::int64_t file, std::int64_t first_row);
    /// No row refers to `files`, and none will after a power cut either.
    void free_files(const std::vector<std::int64_t>& files);
    /// Removes free files, except for some that the next values can use. How many are left for later because
    /// somebody may still need them.
    std::size_t remove_spares();
    /// How many files are full, for the transaction under way as well: they will be free some day.
    std::size_t files_to_free() const;
    /// How many files have become full since the start.
    std::uint64_t filled() const noexcept { return filled_; }
    /// Bytes of the files, without those that wait to be used again.
    std::int64_t bytes() const;

  private:
    class Descriptor;
    enum class Stage {
        active,  ///< appended to
        filling,  ///< full, by the transaction under way
        full,
        free,  ///< used again when no reading can need it
    };
    struct File {
        FullFile about;
        std::shared_ptr<Descriptor> descriptor;  ///< null while it is not open
        Stage stage = Stage::active;
    };
    struct Spare {
        std::int64_t number = 0;
        std::uint64_t freed = 0;  ///< readings that began up to then may still need it
    };

    std::filesystem::path path_of(std::int64_t number) const;
    bool is_gathered(const ValuePlace& place) const noexcept;
    std::shared_ptr<Descriptor> descriptor_of(std::int64_t number);
    void open_next();
    void close_active() noexcept;
    std::shared_ptr<Descriptor> make_file(std::int64_t spare, std::int64_t number);
    std::int64_t take_spare();
    bool is_large(const Spare& spare) const;
    std::int64_t pop_spare(bool large_only);
    void give_back_spare(std::int64_t number) noexcept;
    void write_gathered();
    void flush_active();
    template <class F>
    void guarded(F work);

    const std::filesystem::path directory_;

    // Of the writer's thread.
    std::shared_ptr<Descriptor> active_;  ///< what is appended to; null before the first value
    FullFile about_active_;
    std::string gathered_;  ///< behind what is written of it
    std::size_t commands_ = 0;
    std::int64_t kept_ = 0;  ///< bytes of the active file that were there when the transaction began
    bool unflushed_ = false;
    bool suspect_ = false;  ///< a flush has failed: what the system holds of the file is not known
    bool filled_now_ = false;  ///< a file became full in this transaction
    std::exception_ptr broken_;  ///< what this transaction has appended may be missing on disk

    std::atomic<std::thread::id> writer_;
    std::atomic<std::int64_t> written_ = 0;  ///< bytes of the active file that the system has
    std::atomic<std::uint64_t> filled_ = 0;

    mutable std::mutex mutex_;  ///< for the rest
    std::map<std::int64_t, File> files_;
    std::vector<Spare> spares_;
    std::vector<std::int64_t> open_;  ///< files that are open to be read, the one read last at the end
    std::multiset<std::uint64_t> readings_;
    std::uint64_t frees_ = 0;
    std::int64_t next_ = 1;
};

}  // namespace millrace::store
