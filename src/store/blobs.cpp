#include "store/blobs.hpp"

#include "base/ids.hpp"
#include "telemetry/log.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace millrace::store {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t kNameLength = 32;

[[noreturn]] void fail(const std::string& what, const fs::path& path) {
    const int code = errno;
    throw MachineError(what + " " + path.string() + ": " + std::strerror(code), is_disk_full(code));
}

/// A file descriptor that closes itself.
class File {
  public:
    File(const fs::path& path, int flags)
        : path_(path), descriptor_(::open(path.c_str(), flags | O_CLOEXEC, 0600)) {
        if (descriptor_ < 0) fail("cannot open", path);
    }
    ~File() { ::close(descriptor_); }
    File(const File&) = delete;

    void write(std::string_view bytes) {
        while (!bytes.empty()) {
            const ssize_t count = ::write(descriptor_, bytes.data(), bytes.size());
            if (count < 0 && errno != EINTR) fail("cannot write", path_);
            if (count > 0) bytes.remove_prefix(static_cast<std::size_t>(count));
        }
    }
    void sync() {
        if (::fsync(descriptor_) != 0) fail("cannot flush", path_);
    }

  private:
    fs::path path_;
    int descriptor_;
};

bool is_blob_name(const std::string& name) {
    return name.size() == kNameLength && name.find_first_not_of("0123456789abcdef") == std::string::npos;
}

}  // namespace

Blobs::Blobs(fs::path directory) : directory_(std::move(directory)) {
    std::error_code error;
    for (int i = 0; i < 256; ++i) {
        char folder[3];
        std::snprintf(folder, sizeof folder, "%02x", i);
        fs::create_directories(directory_ / folder, error);
        if (error)
            throw MachineError("cannot create " + (directory_ / folder).string() + ": " + error.message());
        std::vector<fs::path> unfinished;
        fs::directory_iterator entry(directory_ / folder, error);
        for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
            if (entry->path().extension() == ".tmp") unfinished.push_back(entry->path());
        }
        if (error)
            throw MachineError("cannot list " + (directory_ / folder).string() + ": " + error.message());
        for (const fs::path& path : unfinished) fs::remove(path, error);
    }
    // A power cut must not take a folder with the first file in it.
    for (const fs::path& path : {directory_, fs::absolute(directory_).parent_path()}) {
        File(path, O_RDONLY | O_DIRECTORY).sync();
    }
}

fs::path Blobs::path_of(const std::string& name) const { return directory_ / name.substr(0, 2) / name; }

std::string Blobs::new_name() { return to_hex(random_uuid()); }

/// The file under its temporary name.
class BlobWriter::Parts {
  public:
    Parts(std::string name, const fs::path& path)
        : name_(std::move(name)),
          path_(path),
          temporary_(fs::path(path) += ".tmp"),
          file_(temporary_, O_WRONLY | O_CREAT | O_EXCL) {}
    ~Parts() {
        if (!finished_) ::unlink(temporary_.c_str());
    }

    void append(std::string_view bytes) { file_.write(bytes); }

    std::string finish() {
        file_.sync();
        if (::rename(temporary_.c_str(), path_.c_str()) != 0) fail("cannot rename", temporary_);
        finished_ = true;
        File(path_.parent_path(), O_RDONLY | O_DIRECTORY).sync();
        return name_;
    }

  private:
    std::string name_;
    fs::path path_;
    fs::path temporary_;
    File file_;
    bool finished_ = false;
};

BlobWriter::BlobWriter(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
BlobWriter::~BlobWriter() = default;
void BlobWriter::append(std::string_view bytes) { parts_->append(bytes); }
std::string BlobWriter::finish() { return parts_->finish(); }

std::unique_ptr<BlobWriter> Blobs::begin() {
    const std::string name = new_name();
    auto parts = std::make_unique<BlobWriter::Parts>(name, path_of(name));
    return std::unique_ptr<BlobWriter>(new BlobWriter(std::move(parts)));
}

std::string Blobs::put(std::string_view bytes) {
    const auto writer = begin();
    writer->append(bytes);
    return writer->finish();
}

Result<std::string> Blobs::get(const std::string& name) const {
    if (!is_blob_name(name)) return Error{Errc::invalid_input, "not a blob name"};
    const int descriptor = ::open(path_of(name).c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor < 0 && errno == ENOENT) return Error{Errc::not_found, "no blob " + name};
    if (descriptor < 0) fail("cannot open", path_of(name));
    std::string bytes(static_cast<std::size_t>(::lseek(descriptor, 0, SEEK_END)), '\0');
    std::size_t done = 0;
    ssize_t count = 1;
    while (done < bytes.size() && count > 0) {
        count = ::pread(descriptor, bytes.data() + done, bytes.size() - done, static_cast<off_t>(done));
        if (count > 0) done += static_cast<std::size_t>(count);
    }
    ::close(descriptor);
    if (done != bytes.size()) fail("cannot read", path_of(name));
    return bytes;
}

void Blobs::remove(const std::string& name) {
    if (!is_blob_name(name)) return;
    if (::unlink(path_of(name).c_str()) != 0 && errno != ENOENT) fail("cannot remove", path_of(name));
}

std::vector<std::string> Blobs::list(std::chrono::seconds age) const {
    std::vector<std::string> names;
    const auto before = fs::file_time_type::clock::now() - age;
    std::error_code error;
    fs::recursive_directory_iterator entry(directory_, error);
    for (; !error && entry != fs::recursive_directory_iterator(); entry.increment(error)) {
        const std::string name = entry->path().filename();
        std::error_code gone;
        if (!is_blob_name(name) || !entry->is_regular_file(gone)) continue;
        const auto written = entry->last_write_time(gone);
        if (!gone && written < before) names.push_back(name);
    }
    if (error) throw MachineError("cannot list " + directory_.string() + ": " + error.message());
    return names;
}

boost::asio::awaitable<void> remove_blobs(Blobs& blobs, CpuPool& pool, std::vector<std::string> names) {
    if (names.empty()) co_return;
    auto remove = [&blobs, names = std::move(names)] {
        try {
            for (const auto& name : names) blobs.remove(name);
        } catch (const MachineError& broken) {
            telemetry::log_warning("remove blob", "blob store", broken.what());
        }
    };
    co_await pool.run(std::move(remove));
}

}  // namespace millrace::store
