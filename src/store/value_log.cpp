#include "store/value_log.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <cerrno>
#include <charconv>
#include <cstring>

namespace millrace::store {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t kTakenMin = 4096;               // what is smaller costs little where its row is
constexpr std::size_t kTogetherMin = 256 * 1024;      // one command's bytes that are worth a flush
constexpr std::size_t kCommandsMin = 4;               // so many share one
constexpr std::size_t kGatheredMax = 256 * 1024;
constexpr std::size_t kSparesMax = 16;
constexpr std::int64_t kSpareBytesMax = 2 * ValueLog::kFileBytes;
constexpr std::size_t kOpenMax = 64;
constexpr std::int64_t kValueMax = std::int64_t{1} << 30;
constexpr int kNameDigits = 10;

/// In front of each value: a place that does not fit its file is noticed.
struct Head {
    std::int64_t file;
    std::uint32_t bytes;
    std::uint32_t mark;
};
constexpr std::uint32_t kMark = 0x4c56524d;  // "MRVL"
static_assert(sizeof(Head) == ValuePlace::kHeadBytes);

[[noreturn]] void fail(const std::string& what, const fs::path& path, int code) {
    const bool full = is_disk_full(code);
    throw MachineError(what + " " + path.string() + ": " + std::strerror(code) +
                           (full ? "; free space on the disk of the data directory" : ""),
                       full);
}

Error damaged(const fs::path& path, const char* what) {
    return Error{Errc::corrupt,
                 path.string() + " " + what + "; restore the whole data directory from a backup"};
}

/// The number that a file's name says; 0 for other files.
std::int64_t number_in(const std::string& name) {
    std::int64_t number = 0;
    const char* const end = name.data() + name.size();
    const auto [stopped, error] = std::from_chars(name.data(), end, number);
    return error == std::errc() && stopped == end && name.size() >= kNameDigits ? number : 0;
}

void flush_directory(const fs::path& path) {
    const int descriptor = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0) fail("cannot open", path, errno);
    const int code = ::fsync(descriptor) == 0 ? 0 : errno;
    ::close(descriptor);
    if (code != 0) fail("cannot flush", path, code);
}

}  // namespace

/// An open file; closed with the last who uses it.
class ValueLog::Descriptor {
  public:
    Descriptor(fs::path path, int flags)
        : path_(std::move(path)), descriptor_(::open(path_.c_str(), flags | O_CLOEXEC, 0600)) {
        if (descriptor_ < 0) fail("cannot open", path_, errno);
    }
    ~Descriptor() { ::close(descriptor_); }
    Descriptor(const Descriptor&) = delete;

    const fs::path& path() const noexcept { return path_; }

    void write(std::string_view bytes, std::int64_t offset) {
        while (!bytes.empty()) {
            const ssize_t count = ::pwrite(descriptor_, bytes.data(), bytes.size(), offset);
            if (count < 0 && errno == EINTR) continue;
            if (count < 0) fail("cannot write", path_, errno);
            bytes.remove_prefix(static_cast<std::size_t>(count));
            offset += count;
        }
    }

    void flush() {
        while (::fdatasync(descriptor_) != 0) {
            if (errno != EINTR) fail("cannot flush", path_, errno);
        }
    }

    /// False if the file ends before that, or the disk can't read it.
    bool read(std::array<iovec, 2> into, std::int64_t offset) const {
        std::size_t first = 0;
        while (first < into.size()) {
            const ssize_t count =
                ::preadv(descriptor_, &into[first], static_cast<int>(into.size() - first), offset);
            if (count < 0 && errno == EINTR) continue;
            if (count < 0 && errno == EIO) return false;
            if (count < 0) fail("cannot read", path_, errno);
            if (count == 0) return into[first].iov_len == 0;
            offset += count;
            auto left = static_cast<std::size_t>(count);
            while (first < into.size() && left >= into[first].iov_len) left -= into[first++].iov_len;
            if (first == into.size()) break;
            into[first].iov_base = static_cast<char*>(into[first].iov_base) + left;
            into[first].iov_len -= left;
        }
        return true;
    }

    std::int64_t size() const {
        struct stat about{};
        if (::fstat(descriptor_, &about) != 0) fail("cannot look at", path_, errno);
        return about.st_size;
    }

    void cut(std::int64_t bytes) {
        if (size() > bytes && ::ftruncate(descriptor_, bytes) != 0) fail("cannot cut", path_, errno);
    }
    void try_to_cut(std::int64_t bytes) noexcept { (void)!::ftruncate(descriptor_, bytes); }

  private:
    fs::path path_;
    int descriptor_;
};

ValueLog::ValueLog(fs::path directory) : directory_(std::move(directory)) {
    std::error_code error;
    if (fs::create_directories(directory_, error)) flush_directory(fs::absolute(directory_).parent_path());
    if (error) throw MachineError("cannot create " + directory_.string() + ": " + error.message());
}

ValueLog::~ValueLog() = default;

fs::path ValueLog::path_of(std::int64_t number) const {
    std::string name = std::to_string(number);
    if (name.size() < kNameDigits) name.insert(0, kNameDigits - name.size(), '0');
    return directory_ / name;
}

Result<void> ValueLog::keep(const std::vector<FullFile>& needed) {
    std::map<std::int64_t, std::int64_t> found;  // their sizes
    std::error_code error;
    fs::directory_iterator entry(directory_, error);
    for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
        const std::int64_t number = number_in(entry->path().filename().string());
        if (number > 0) found.emplace(number, static_cast<std::int64_t>(entry->file_size(error)));
    }
    if (error) throw MachineError("cannot list " + directory_.string() + ": " + error.message());
    for (const FullFile& file : needed) {
        const auto place = found.find(file.number);
        if (place != found.end() && place->second >= file.bytes) continue;
        const bool missing = place == found.end();
        Error error = damaged(path_of(file.number),
                              missing ? "is missing, and messages need it" : "is shorter than its messages");
        error.code = Errc::unavailable;
        return error;
    }
    {
        const std::scoped_lock guard(mutex_);
        if (!found.empty()) next_ = found.rbegin()->first + 1;
        for (FullFile file : needed) {
            const auto place = found.find(file.number);
            file.bytes = place->second;
            files_[file.number] = File{file, nullptr, Stage::full};
            found.erase(place);
        }
        for (const auto& [number, size] : found) {
            files_[number] = File{{number, 0, 0, size}, nullptr, Stage::free};
            spares_.push_back({number, frees_});
        }
        frees_ += 1;
    }
    return {};
}

template <class F>
void ValueLog::guarded(F work) {
    if (broken_) std::rethrow_exception(broken_);
    try {
        work();
    } catch (...) {
        broken_ = std::current_exception();
        throw;
    }
}

// What a transaction wrote whose values were not flushed was never near a commit: it is written over, and on
// a full disk given back. After a failed flush nobody knows what the disk holds of the file: another one is
// used.
void ValueLog::begin(std::size_t commands) {
    writer_ = std::this_thread::get_id();
    commands_ = commands;
    if (suspect_) close_active();
    if (broken_ && active_) {
        written_ = kept_;
        active_->try_to_cut(kept_);
    }
    broken_ = nullptr;
    suspect_ = false;
    kept_ = written_;
}

bool ValueLog::takes(std::size_t bytes, std::size_t together) const noexcept {
    return bytes >= kTakenMin && (commands_ >= kCommandsMin || together >= kTogetherMin);
}

ValuePlace ValueLog::append(std::string_view value, std::int64_t row) {
    ValuePlace place;
    guarded([&] {
        const std::int64_t end = written_ + static_cast<std::int64_t>(gathered_.size());
        if (!active_ || end >= kFileBytes) open_next();
        place.file = about_active_.number;
        place.offset = written_ + static_cast<std::int64_t>(gathered_.size());
        place.bytes = static_cast<std::int64_t>(value.size());
        const Head head{place.file, static_cast<std::uint32_t>(value.size()), kMark};
        char bytes[sizeof head];
        std::memcpy(bytes, &head, sizeof head);
        if (gathered_.size() + sizeof head + value.size() > kGatheredMax) write_gathered();
        unflushed_ = true;
        gathered_.append(bytes, sizeof bytes);
        if (value.size() < kGatheredMax) {
            gathered_.append(value);
        } else {
            write_gathered();
            active_->write(value, written_);
            written_ += place.bytes;
        }
        share(row);
    });
    return place;
}

void ValueLog::share(std::int64_t row) noexcept {
    about_active_.first_row = std::min(about_active_.first_row, row);
    about_active_.last_row = std::max(about_active_.last_row, row);
}

void ValueLog::write_gathered() {
    if (gathered_.empty()) return;
    active_->write(gathered_, written_);
    written_ += static_cast<std::int64_t>(gathered_.size());
    gathered_.clear();
}

void ValueLog::flush_active() {
    write_gathered();
    if (!unflushed_) return;
    suspect_ = true;
    active_->flush();
    suspect_ = false;
    unflushed_ = false;
}

void ValueLog::flush() {
    guarded([&] { flush_active(); });
}

void ValueLog::end() noexcept {
    gathered_.clear();  // without a flush nobody needs it
    if (!std::exchange(filled_now_, false)) return;
    const std::scoped_lock guard(mutex_);
    for (auto& [number, file] : files_) {
        if (file.stage == Stage::filling) file.stage = Stage::full;
    }
}

// The files to which the transaction has added are flushed before it ends, this one now.
void ValueLog::open_next() {
    if (active_) flush_active();
    close_active();
    if (gathered_.capacity() < kGatheredMax) gathered_.reserve(kGatheredMax);
    const std::int64_t spare = take_spare();
    std::int64_t number = 0;
    {
        const std::scoped_lock guard(mutex_);
        number = next_++;
    }
    auto opened = make_file(spare, number);
    about_active_ = {number, INT64_MAX, INT64_MIN, 0};
    {
        const std::scoped_lock guard(mutex_);
        files_[number] = File{about_active_, opened, Stage::active};
    }
    active_ = std::move(opened);
    written_ = 0;
    kept_ = 0;
}

// The file `number`, which a power cut does not take away: of the file `spare`, or new if that is 0.
std::shared_ptr<ValueLog::Descriptor> ValueLog::make_file(std::int64_t spare, std::int64_t number) {
    const fs::path path = path_of(number);
    std::int64_t at_hand = spare;
    try {
        if (spare != 0 && ::rename(path_of(spare).c_str(), path.c_str()) != 0)
            fail("cannot rename", path_of(spare), errno);
        if (spare != 0) at_hand = number;
        auto made = std::make_shared<Descriptor>(path, O_RDWR | (spare == 0 ? O_CREAT | O_EXCL : 0));
        at_hand = number;
        made->cut(kFileBytes);
        flush_directory(directory_);
        return made;
    } catch (...) {
        if (at_hand != 0) give_back_spare(at_hand);
        throw;
    }
}

void ValueLog::close_active() noexcept {
    gathered_.clear();
    unflushed_ = false;
    if (!active_) return;
    about_active_.bytes = written_.exchange(0);
    active_.reset();
    filled_now_ = true;
    filled_ += 1;
    const std::scoped_lock guard(mutex_);
    File& file = files_.at(about_active_.number);
    file = File{about_active_, nullptr, Stage::filling};
}

// The number of a file that is used again; 0 for none.
std::int64_t ValueLog::take_spare() {
    const std::scoped_lock guard(mutex_);
    return pop_spare(false);
}

// Under the lock.
bool ValueLog::is_large(const Spare& spare) const {
    return files_.at(spare.number).about.bytes > kSpareBytesMax;
}

// Under the lock. One that no reading can need; 0 for none.
std::int64_t ValueLog::pop_spare(bool large_only) {
    const std::uint64_t oldest = readings_.empty() ? frees_ : *readings_.begin();
    const auto found = std::find_if(spares_.begin(), spares_.end(), [&](const Spare& spare) {
        return spare.freed < oldest && (!large_only || is_large(spare));
    });
    if (found == spares_.end()) return 0;
    const std::int64_t number = found->number;
    spares_.erase(found);
    files_.erase(number);
    std::erase(open_, number);
    return number;
}

void ValueLog::give_back_spare(std::int64_t number) noexcept {
    std::error_code unknown;
    const std::uintmax_t size = fs::file_size(path_of(number), unknown);
    const std::scoped_lock guard(mutex_);
    const std::int64_t bytes = unknown ? 0 : static_cast<std::int64_t>(size);
    files_[number] = File{{number, 0, 0, bytes}, nullptr, Stage::free};
    spares_.push_back({number, 0});
}

// What this thread has appended in the transaction under way.
bool ValueLog::is_gathered(const ValuePlace& place) const noexcept {
    if (writer_.load() != std::this_thread::get_id()) return false;
    return place.file == about_active_.number && active_ && place.offset >= written_;
}

Result<std::string> ValueLog::read(const ValuePlace& place) {
    constexpr char kWrong[] = "does not hold what the database says";
    if (place.bytes < 0 || place.bytes > kValueMax || place.offset < 0)
        return damaged(path_of(place.file), kWrong);
    const auto size = static_cast<std::size_t>(place.bytes);
    if (is_gathered(place)) {
        const auto begin = static_cast<std::size_t>(place.offset - written_) + sizeof(Head);
        return gathered_.substr(begin, size);
    }
    std::shared_ptr<Descriptor> from;
    try {
        from = descriptor_of(place.file);
    } catch (const MachineError& error) {
        if (fs::exists(path_of(place.file))) throw;
    }
    if (!from) return damaged(path_of(place.file), kWrong);
    Head head{};
    std::string value(size, '\0');
    const bool whole = from->read({{{&head, sizeof head}, {value.data(), size}}}, place.offset);
    if (!whole || head.file != place.file || head.bytes != size || head.mark != kMark)
        return damaged(from->path(), kWrong);
    return value;
}

// Null if there is no such file.
std::shared_ptr<ValueLog::Descriptor> ValueLog::descriptor_of(std::int64_t number) {
    const std::scoped_lock guard(mutex_);
    const auto found = files_.find(number);
    if (found == files_.end()) return nullptr;
    File& file = found->second;
    if (file.stage == Stage::active) return file.descriptor;
    std::erase(open_, number);
    if (!file.descriptor) file.descriptor = std::make_shared<Descriptor>(path_of(number), O_RDONLY);
    open_.push_back(number);
    if (open_.size() > kOpenMax) {
        files_[open_.front()].descriptor = nullptr;
        open_.erase(open_.begin());
    }
    return file.descriptor;
}

std::vector<FullFile> ValueLog::full_files() const {
    const std::scoped_lock guard(mutex_);
    std::vector<FullFile> full;
    for (const auto& [number, file] : files_) {
        if (file.stage == Stage::full) full.push_back(file.about);
    }
    return full;
}

std::size_t ValueLog::files_to_free() const {
    const std::scoped_lock guard(mutex_);
    const auto count = std::count_if(files_.begin(), files_.end(), [](const auto& entry) {
        const Stage stage = entry.second.stage;
        return stage == Stage::filling || stage == Stage::full;
    });
    return static_cast<std::size_t>(count);
}

void ValueLog::narrow(std::int64_t file, std::int64_t first_row) {
    const std::scoped_lock guard(mutex_);
    const auto found = files_.find(file);
    if (found != files_.end()) found->second.about.first_row = first_row;
}

void ValueLog::free_files(const std::vector<std::int64_t>& files) {
    const std::scoped_lock guard(mutex_);
    for (const std::int64_t number : files) {
        const auto found = files_.find(number);
        if (found == files_.end() || found->second.stage != Stage::full) continue;
        found->second.stage = Stage::free;
        spares_.push_back({number, frees_});
    }
    frees_ += 1;
}

std::size_t ValueLog::remove_spares() {
    for (;;) {
        std::int64_t number = 0;
        {
            const std::scoped_lock guard(mutex_);
            number = pop_spare(spares_.size() <= kSparesMax);
            if (number == 0) {
                const auto large = std::count_if(spares_.begin(), spares_.end(),
                                                 [this](const Spare& spare) { return is_large(spare); });
                const std::size_t many = spares_.size() - std::min(spares_.size(), kSparesMax);
                return std::max(many, static_cast<std::size_t>(large));
            }
        }
        std::error_code left_for_the_next_start;
        fs::remove(path_of(number), left_for_the_next_start);
    }
}

std::int64_t ValueLog::bytes() const {
    const std::scoped_lock guard(mutex_);
    std::int64_t sum = written_;
    for (const auto& [number, file] : files_) {
        if (file.stage == Stage::filling || file.stage == Stage::full) sum += file.about.bytes;
    }
    return sum;
}

ValueLog::Reading::Reading(ValueLog& log) : log_(log) {
    const std::scoped_lock guard(log_.mutex_);
    since_ = log_.readings_.insert(log_.frees_);
}

ValueLog::Reading::~Reading() {
    const std::scoped_lock guard(log_.mutex_);
    log_.readings_.erase(since_);
}

}  // namespace millrace::store
