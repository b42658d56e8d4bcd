#include "http/body_file.hpp"

#include "base/error.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace millrace::http {

namespace {

[[noreturn]] void fail(const std::string& what) {
    const int code = errno;
    throw MachineError(what + ": " + std::strerror(code), is_disk_full(code));
}

}  // namespace

std::shared_ptr<BodyFile> BodyFile::make(const std::filesystem::path& folder) {
    std::string name = folder / "body-XXXXXX";
    const int descriptor = ::mkostemp(name.data(), O_CLOEXEC);
    if (descriptor < 0) fail("cannot create " + name);
    ::unlink(name.c_str());
    return std::shared_ptr<BodyFile>(new BodyFile(descriptor, 0));
}

std::shared_ptr<BodyFile> BodyFile::open(const std::filesystem::path& path) {
    const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor < 0 && errno == ENOENT) return nullptr;
    if (descriptor < 0) fail("cannot open " + path.string());
    std::shared_ptr<BodyFile> file(new BodyFile(descriptor, 0));
    struct stat facts{};
    if (::fstat(descriptor, &facts) != 0) fail("cannot look at " + path.string());
    file->size_ = static_cast<std::uint64_t>(facts.st_size);
    return file;
}

BodyFile::~BodyFile() { ::close(descriptor_); }

void BodyFile::append(std::string_view bytes) {
    while (!bytes.empty()) {
        const ssize_t count = ::pwrite(descriptor_, bytes.data(), bytes.size(), static_cast<off_t>(size_));
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) fail("cannot write a body");
        size_ += static_cast<std::uint64_t>(count);
        bytes.remove_prefix(static_cast<std::size_t>(count));
    }
}

std::string BodyFile::read(std::uint64_t offset, std::size_t bytes_max) const {
    std::string bytes(bytes_max, '\0');
    std::size_t done = 0;
    while (done < bytes_max) {
        const ssize_t count =
            ::pread(descriptor_, bytes.data() + done, bytes_max - done, static_cast<off_t>(offset + done));
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) fail("cannot read a body");
        if (count == 0) break;
        done += static_cast<std::size_t>(count);
    }
    bytes.resize(done);
    return bytes;
}

}  // namespace millrace::http
