#include "text/archive.hpp"

#include <array>

namespace millrace::text {
namespace {

struct CloseFile {
    void operator()(zip_file_t* file) const { zip_fclose(file); }
};

std::string message_of(zip_error_t* error) {
    std::string message = zip_error_strerror(error);
    zip_error_fini(error);
    return message;
}

}  // namespace

Result<Archive> Archive::open(std::string_view bytes, const Budget& budget) {
    zip_error_t error;
    zip_error_init(&error);
    zip_source_t* const source = zip_source_buffer_create(bytes.data(), bytes.size(), 0, &error);
    zip_t* const opened = source ? zip_open_from_source(source, ZIP_RDONLY, &error) : nullptr;
    if (!opened) {
        if (source) zip_source_free(source);
        return Error{Errc::corrupt, "the file is not a ZIP archive, or it is cut off: " + message_of(&error)};
    }
    Archive archive(opened, budget);
    const zip_int64_t entries = zip_get_num_entries(opened, 0);
    if (entries > static_cast<zip_int64_t>(budget.limits().archive_entries_max)) {
        return Error{Errc::over_limit, "the archive has more than " +
                                           std::to_string(budget.limits().archive_entries_max) + " entries"};
    }
    return archive;
}

bool Archive::contains(const std::string& name) const {
    return zip_name_locate(archive_.get(), name.c_str(), 0) >= 0;
}

Result<std::string> Archive::read(const std::string& name) {
    zip_stat_t about;
    zip_stat_init(&about);
    if (zip_stat(archive_.get(), name.c_str(), 0, &about) != 0) {
        return Error{Errc::not_found, "the archive has no entry " + name};
    }
    if ((about.valid & ZIP_STAT_ENCRYPTION_METHOD) != 0 && about.encryption_method != ZIP_EM_NONE) {
        return Error{Errc::corrupt, "the archive is encrypted: remove its password and send it again"};
    }
    const std::unique_ptr<zip_file_t, CloseFile> file(zip_fopen(archive_.get(), name.c_str(), 0));
    if (!file) return Error{Errc::corrupt, name + " cannot be unpacked: " + zip_strerror(archive_.get())};
    std::string content;
    std::array<char, 64 * 1024> buffer;
    for (;;) {
        const zip_int64_t got = zip_fread(file.get(), buffer.data(), buffer.size());
        if (got < 0)
            return Error{Errc::corrupt, name + " cannot be unpacked: " + zip_file_strerror(file.get())};
        if (got == 0) break;
        unpacked_ += static_cast<std::size_t>(got);
        if (unpacked_ > budget_->limits().unpacked_bytes_max) {
            return Error{Errc::over_limit, "the archive unpacks to more than " +
                                               std::to_string(budget_->limits().unpacked_bytes_max >> 20) +
                                               " MiB"};
        }
        if (budget_->is_late()) return budget_->too_late();
        content.append(buffer.data(), static_cast<std::size_t>(got));
    }
    return content;
}

}  // namespace millrace::text
