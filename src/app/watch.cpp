#include "app/watch.hpp"

#include "app/file_types.hpp"
#include "base/limits.hpp"
#include "telemetry/log.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <sstream>

namespace millrace::app {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t kFilesMax = 1'000'000;
constexpr std::size_t kNotesMax = 10'000;

/// Size and time of a regular file (not of what a link to elsewhere names).
bool look_at(const fs::path& path, std::int64_t& size, std::int64_t& modified) {
    struct stat status{};
    if (::lstat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) return false;
    size = status.st_size;
    modified = static_cast<std::int64_t>(status.st_mtim.tv_sec) * 1'000'000'000 + status.st_mtim.tv_nsec;
    return true;
}

}  // namespace

FolderWatch::FolderWatch(WatchEntry entry, store::Database& database, work::Documents& documents,
                         CpuPool& pool, Clock& clock)
    : entry_(std::move(entry)), database_(database), documents_(documents), pool_(pool), clock_(clock) {
    std::error_code ignored;
    entry_.path = fs::absolute(entry_.path, ignored).lexically_normal().string();
    while (entry_.path.size() > 1 && entry_.path.ends_with('/')) entry_.path.pop_back();
}

asio::awaitable<void> FolderWatch::run() {
    while (true) {
        auto looked = co_await look();
        if (!looked && !folder_missing_) telemetry::log_warning("watch", entry_.path, looked.error().detail);
        folder_missing_ = !looked;
        co_await clock_.sleep_for(std::chrono::seconds(entry_.poll_seconds));
    }
}

FolderWatch::Scan FolderWatch::scan(const WatchEntry& entry) {
    Scan found;
    std::error_code error;
    const auto options = fs::directory_options::skip_permission_denied;
    fs::recursive_directory_iterator at(entry.path, options, error);
    if (error) {
        found.problem = "can't read the folder: " + error.message();
        return found;
    }
    for (const fs::recursive_directory_iterator end; at != end && found.files.size() < kFilesMax;
         at.increment(error)) {
        if (error) break;
        const fs::path& path = at->path();
        const bool folder = at->is_directory(error);
        if (folder && (is_hidden(path) || !entry.recursive)) at.disable_recursion_pending();
        Seen seen;
        if (folder || is_hidden(path) || !look_at(path, seen.size, seen.modified)) continue;
        found.files.emplace(path.lexically_relative(entry.path).generic_string(), seen);
    }
    return found;
}

asio::awaitable<Result<std::size_t>> FolderWatch::look() {
    auto read = [entry = entry_] { return scan(entry); };
    Scan found = co_await pool_.run(std::move(read));
    if (!found.problem.empty()) co_return Error{Errc::not_found, found.problem};
    const Files known = co_await remembered();
    std::size_t taken = 0;
    for (const auto& [path, seen] : found.files) {
        const auto before = before_.find(path);
        const bool settled = before != before_.end() && before->second == seen;
        const auto earlier = known.find(remembered_path(path));
        if (!settled || (earlier != known.end() && earlier->second == seen)) continue;
        const bool done = co_await take(path, seen);
        if (done) ++taken;
    }
    before_ = std::move(found.files);
    co_return taken;
}

asio::awaitable<FolderWatch::Files> FolderWatch::remembered() {
    // '0' follows '/': all that begins with the former comes before the latter.
    auto work = [prefix = entry_.path + "/", past = entry_.path + "0"](store::Connection& connection) {
        Files files;
        auto& rows =
            connection.prepare("SELECT path, size, modified FROM watched_file WHERE path >= ? AND path < ?")
                .bind(prefix, past);
        while (rows.step()) files.emplace(rows.string(0), Seen{rows.integer(1), rows.integer(2)});
        return files;
    };
    co_return co_await database_.read(std::move(work));
}

asio::awaitable<bool> FolderWatch::take(std::string path, Seen seen) {
    work::NewDocument document;
    document.id = entry_.id_prefix + path;
    document.content_type = media_type_of(path);
    document.file_name = fs::path(path).filename().string();
    document.category =
        entry_.category.empty() ? fs::path(path).parent_path().generic_string() : entry_.category;
    std::string problem = work::document_id_problem(document.id);
    if (!problem.empty())
        problem = "its path can't name a document: " + problem;
    else if (document.content_type.empty())
        problem = "not a type that is read";
    else if (document.category.size() > limits::category_bytes_max)
        problem = "its folder's path is too long";
    else if (seen.size == 0)
        problem = "it is empty";
    else if (seen.size > static_cast<std::int64_t>(limits::http_body_bytes_max))
        problem = "it is larger than 32 MiB";
    if (!problem.empty()) {
        note_once(path, problem);
        co_return false;
    }
    auto read = [file = fs::path(entry_.path) / path] {
        return read_whole(file, limits::http_body_bytes_max);
    };
    auto content = co_await pool_.run(std::move(read));
    if (!content) {
        note_once(path, "it can't be read");
        co_return false;
    }
    document.content = std::move(*content);
    const std::string id = document.id;
    std::vector<work::NewDocument> one;
    one.push_back(std::move(document));
    auto accepted = co_await documents_.accept(std::move(one), nullptr);
    if (!accepted) {
        // Full queue or the like: the next look tries again.
        telemetry::log_warning("watch", entry_.path + "/" + path, accepted.error().detail);
        co_return false;
    }
    co_await remember(path, seen, id);
    telemetry::log_info("file taken", entry_.path + "/" + path, "");
    co_return true;
}

asio::awaitable<void> FolderWatch::remember(std::string path, Seen seen, std::string document) {
    auto work = [path = remembered_path(path), seen,
                 document](store::Connection& connection) -> Result<void> {
        connection
            .prepare(
                "INSERT INTO watched_file (path, size, modified, document) VALUES (?, ?, ?, ?) ON CONFLICT "
                "(path) "
                "DO UPDATE SET size=excluded.size, modified=excluded.modified, document=excluded.document")
            .bind(path, seen.size, seen.modified, document)
            .run();
        return {};
    };
    (void)co_await database_.write(std::move(work));
}

std::string FolderWatch::remembered_path(const std::string& path) const { return entry_.path + "/" + path; }

void FolderWatch::note_once(const std::string& path, const std::string& why) {
    if (noted_.size() >= kNotesMax || !noted_.insert(path).second) return;
    telemetry::log_info("file passed over", entry_.path + "/" + path, why);
}

}  // namespace millrace::app
