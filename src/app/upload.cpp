#include "app/upload.hpp"

#include "app/file_types.hpp"
#include "base/ids.hpp"
#include "base/limits.hpp"

#include <boost/json/object.hpp>

#include <algorithm>
#include <fstream>

namespace millrace::app {

namespace fs = std::filesystem;
namespace json = boost::json;

namespace {

constexpr std::uint64_t kBytesHeldMax = 64 * limits::kMiB;
constexpr std::chrono::minutes kPatience{5};
constexpr std::chrono::milliseconds kFirstPause{250};
constexpr std::chrono::seconds kLongestPause{10};
constexpr std::chrono::milliseconds kFollowInterval{120};
constexpr std::size_t kFollowedMin = 16;   ///< documents whose progress is asked for side by side

/// An id that fits: a longer one is shortened to its hash and its file name.
std::string fitting_id(const std::string& id) {
    if (id.size() <= limits::document_id_bytes_max) return id;
    const std::string name = fs::path(id).filename().string();
    return sha256_hex(id).substr(0, 32) + "/" + (name.size() <= 128 ? name : std::string());
}

std::string id_for(const fs::path& file, const fs::path& root, const std::string& prefix) {
    if (prefix.empty()) return fitting_id(file.lexically_normal().generic_string());
    const fs::path seen = file == root ? file.filename() : file.lexically_relative(root);
    return fitting_id(prefix + seen.generic_string());
}

void add_file(FileWalk& walk, const fs::path& file, const fs::path& root, const std::string& prefix) {
    std::error_code error;
    UploadFile found;
    found.path = file;
    found.media_type = media_type_of(file);
    found.bytes = fs::file_size(file, error);
    const char* why = error                                       ? "can't be read"
                      : found.media_type.empty()                  ? "not a type that is read"
                      : found.bytes == 0                          ? "empty"
                      : found.bytes > limits::http_body_bytes_max ? "larger than 32 MiB"
                                                                  : nullptr;
    if (why != nullptr) {
        walk.skipped.push_back(file.string() + ": " + why);
        return;
    }
    found.id = id_for(file, root, prefix);
    walk.files.push_back(std::move(found));
}

void add_folder(FileWalk& walk, const fs::path& root, const std::string& prefix) {
    std::error_code error;
    std::vector<fs::path> files;
    fs::recursive_directory_iterator at(root, fs::directory_options::skip_permission_denied, error);
    for (const fs::recursive_directory_iterator end; !error && at != end; at.increment(error)) {
        std::error_code ignored;
        const bool folder = at->is_directory(ignored);
        if (is_hidden(at->path())) {
            if (folder) at.disable_recursion_pending();
        } else if (at->is_regular_file(ignored)) {
            files.push_back(at->path());
        }
    }
    std::sort(files.begin(), files.end());
    for (const fs::path& file : files) add_file(walk, file, root, prefix);
}

std::string text_of(const json::value& value, std::string_view name) {
    const json::object* object = value.if_object();
    const json::value* found = object == nullptr ? nullptr : object->if_contains(name);
    return found != nullptr && found->is_string() ? std::string(found->get_string()) : std::string();
}

}  // namespace

FileWalk walk_files(const std::vector<std::string>& paths, const std::string& id_prefix) {
    FileWalk walk;
    for (const std::string& text : paths) {
        std::error_code error;
        const fs::path path = fs::absolute(text, error).lexically_normal();
        if (fs::is_directory(path, error))
            add_folder(walk, path, id_prefix);
        else if (fs::exists(path, error))
            add_file(walk, path, path, id_prefix);
        else
            walk.problems.push_back(text);
    }
    return walk;
}

Uploader::Uploader(asio::any_io_executor io, Client& client, UploadOptions options)
    : io_(std::move(io)), client_(client), options_(std::move(options)), bytes_freed_(io_) {
    options_.parallel = std::max<std::size_t>(1, options_.parallel);
}

std::size_t Uploader::count(std::string_view status) const {
    return static_cast<std::size_t>(std::count_if(uploads_.begin(), uploads_.end(),
                                                  [&](const Upload& one) { return one.status == status; }));
}

asio::awaitable<void> Uploader::run_parallel(std::function<asio::awaitable<void>()> make, std::size_t count) {
    std::size_t running = count;
    Signal ended(io_);
    for (std::size_t i = 0; i < count; ++i)
        asio::co_spawn(io_, make(), [&](std::exception_ptr failure) {
            running -= 1;
            if (running == 0) ended.notify();
            if (failure) std::rethrow_exception(failure);
        });
    while (running > 0) co_await ended.wait();
}

asio::awaitable<void> Uploader::send(std::vector<UploadFile> files, std::function<void()> on_change) {
    files_ = std::move(files);
    uploads_.clear();
    for (const UploadFile& file : files_) uploads_.push_back({.path = file.path.string(), .id = file.id});
    next_ = 0;
    std::function<asio::awaitable<void>()> make = [this, on_change] { return send_some(on_change); };
    const std::size_t count = std::min(options_.parallel, files_.size());
    co_await run_parallel(std::move(make), count);
}

asio::awaitable<void> Uploader::send_some(std::function<void()> on_change) {
    while (next_ < files_.size()) {
        const std::size_t number = next_++;
        const std::uint64_t bytes = files_[number].bytes;
        while (bytes_held_ > 0 && bytes_held_ + bytes > kBytesHeldMax) co_await bytes_freed_.wait();
        bytes_held_ += bytes;
        co_await send_one(number);
        bytes_held_ -= bytes;
        bytes_freed_.notify();
        on_change();
    }
}

asio::awaitable<void> Uploader::send_one(std::size_t number) {
    const UploadFile& file = files_[number];
    Upload& upload = uploads_[number];
    auto content = read_whole(file.path, limits::http_body_bytes_max);
    if (!content || content->empty()) {
        upload.status = "refused";
        upload.error = "can't be read";
        co_return;
    }
    Client::Call call;
    call.method = "POST";
    call.target = "/v1/documents?id=" + url_encoded(file.id) +
                  "&filename=" + url_encoded(file.path.filename().string());
    const std::pair<const char*, std::string> more[] = {{"category", options_.category},
                                                        {"tenant", options_.tenant},
                                                        {"priority", options_.priority},
                                                        {"dryRun", options_.dry_run ? "true" : ""}};
    for (const auto& [name, value] : more)
        if (!value.empty()) call.target += std::string("&") + name + "=" + url_encoded(value);
    call.content_type = file.media_type;
    call.body = std::move(*content);
    if (!options_.dry_run) call.idempotency_key = to_string(random_uuid());
    const auto give_up = std::chrono::steady_clock::now() + kPatience;
    Duration pause = kFirstPause;
    while (true) {
        auto reply = co_await client_.send(call);
        const bool busy =
            reply ? reply->status == 429 || reply->status == 503 : reply.error().code == Errc::unavailable;
        if (reply && reply->ok()) {
            upload.operation = text_of(reply->body, "operation");
            upload.status = options_.dry_run ? "estimated" : "accepted";
            if (options_.dry_run && reply->body.is_object()) upload.estimate = reply->body.get_object();
            upload.error.clear();
            bytes_sent_ += file.bytes;
            co_return;
        }
        upload.error = reply ? reply->problem() : reply.error().detail;
        // A server that was never there is told at once; one that went away may come back.
        const bool never_there = !reply && bytes_sent_ == 0;
        if (!busy || never_there || std::chrono::steady_clock::now() >= give_up) {
            upload.status = "refused";
            co_return;
        }
        const Duration wait = reply ? reply->retry_after.value_or(pause) : pause;
        asio::steady_timer timer(io_, wait);
        co_await timer.async_wait(asio::use_awaitable);
        pause = std::min<Duration>(pause * 2, kLongestPause);
    }
}

asio::awaitable<Result<void>> Uploader::wait(std::function<void()> on_change) {
    next_ = 0;
    trouble_ = {};
    std::function<asio::awaitable<void>()> make = [this, on_change] { return follow_some(on_change); };
    const std::size_t count = std::min(std::max(options_.parallel, kFollowedMin), uploads_.size());
    co_await run_parallel(std::move(make), count);
    co_return trouble_;
}

asio::awaitable<void> Uploader::follow_some(std::function<void()> on_change) {
    while (next_ < uploads_.size() && trouble_) {
        const std::size_t number = next_++;
        const auto give_up = std::chrono::steady_clock::now() + kPatience;
        while (!uploads_[number].ended()) {
            // A short look at a time keeps the numbers on the screen moving.
            auto followed = co_await follow(number);
            if (!followed && std::chrono::steady_clock::now() >= give_up) trouble_ = followed;
            if (!trouble_) break;
            on_change();
            if (uploads_[number].ended()) break;
            asio::steady_timer timer(io_, kFollowInterval);
            co_await timer.async_wait(asio::use_awaitable);
        }
    }
}

asio::awaitable<Result<void>> Uploader::follow(std::size_t number) {
    Upload& upload = uploads_[number];
    Client::Call call;
    call.target = "/v1/operations/" + upload.operation;
    auto reply = co_await client_.send(std::move(call));
    if (!reply) co_return reply.error();
    if (reply->status == 429 || reply->status == 503) co_return Result<void>();
    if (!reply->ok()) {
        upload.status = "failed";
        upload.error = reply->problem();
        co_return Result<void>();
    }
    upload.status = text_of(reply->body, "status");
    upload.error = text_of(reply->body, "error");
    const json::value& progress = reply->body.at("progress");
    upload.chunks_done = progress.at("done").to_number<std::uint64_t>();
    upload.chunks_total = progress.at("total").to_number<std::uint64_t>();
    co_return Result<void>();
}

}  // namespace millrace::app
