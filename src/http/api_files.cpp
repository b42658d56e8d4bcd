// OpenAI's /v1/files: uploads that never stand in memory whole.
#include "base/utf8.hpp"
#include "http/api_routes.hpp"
#include "http/body_file.hpp"
#include "http/json_text.hpp"
#include "http/openai_shape.hpp"
#include "http/upload.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include <array>
#include <charconv>

namespace millrace::http {

namespace json = boost::json;

namespace {

constexpr std::size_t kPartsMax = 16;
constexpr std::size_t kPieceBytes = 1 * limits::kMiB;
constexpr std::int64_t kListMax = 10'000;
constexpr std::array<std::string_view, 6> kPurposes = {"batch",  "assistants", "fine-tune",
                                                       "vision", "user_data",  "evals"};

/// What an upload says about itself.
struct UploadForm {
    std::string name;
    std::string purpose;
    std::optional<Duration> kept;
    std::uint64_t offset = 0;
    std::uint64_t size = 0;
};

Rejection bad_seconds() {
    return {400, "expires_after[seconds] is a whole number from " +
                     std::to_string(limits::file_kept_time_min.count() / 1000) + " to " +
                     std::to_string(limits::file_kept_time_max.count() / 1000)};
}

Checked<std::optional<Duration>> read_expiry(std::string_view anchor, std::string_view seconds) {
    if (anchor.empty() && seconds.empty()) return std::optional<Duration>();
    if (anchor != "created_at") return Rejection{400, "expires_after[anchor] is \"created_at\""};
    std::int64_t number = 0;
    const char* const end = seconds.data() + seconds.size();
    const auto read = std::from_chars(seconds.data(), end, number);
    if (read.ec != std::errc() || read.ptr != end || number > limits::file_kept_time_max.count())
        return bad_seconds();
    const Duration kept = std::chrono::seconds(number);
    if (kept < limits::file_kept_time_min || kept > limits::file_kept_time_max) return bad_seconds();
    return std::optional<Duration>(kept);
}

/// Fields are taken in any order, with the names of OpenAI's clients and of Azure's documentation.
Checked<UploadForm> read_form(const BodyFile& body, std::string_view content_type) {
    auto parts = read_parts(body, content_type, kPartsMax);
    if (!parts) return parts.error();
    UploadForm form;
    bool has_file = false;
    std::string anchor, seconds;
    for (UploadedPart& part : *parts) {
        if (part.name == "file") {
            has_file = true;
            form.name = part.file_name.empty() ? "upload" : std::move(part.file_name);
            form.offset = part.offset;
            form.size = part.size;
        } else if (part.name == "purpose") {
            form.purpose = std::move(part.text);
        } else if (part.name == "expires_after[anchor]" || part.name == "expires_after.anchor") {
            anchor = std::move(part.text);
        } else if (part.name == "expires_after[seconds]" || part.name == "expires_after.seconds") {
            seconds = std::move(part.text);
        }
    }
    if (!has_file) return Rejection{400, "the form has no part called \"file\""};
    if (form.size > limits::file_bytes_max)
        return Rejection{413, "a file has at most " + std::to_string(limits::file_bytes_max) + " bytes"};
    if (std::find(kPurposes.begin(), kPurposes.end(), form.purpose) == kPurposes.end())
        return Rejection{400,
                         "purpose is \"batch\", \"assistants\", \"fine-tune\", \"vision\", \"user_data\" or "
                         "\"evals\""};
    if (form.name.size() > limits::file_name_bytes_max) return Rejection{400, "the file's name is too long"};
    const auto kept = read_expiry(anchor, seconds);
    if (!kept) return kept.error();
    form.kept = *kept;
    return form;
}

json::object view_of(const batch::FileView& file) {
    return {{"id", file.id},
            {"object", "file"},
            {"bytes", file.bytes},
            {"created_at", seconds_or_null(file.created_at)},
            {"expires_at", seconds_or_null(file.expires_at)},
            {"filename", file.name},
            {"purpose", file.purpose},
            {"status", "processed"},
            {"status_details", nullptr}};
}

}  // namespace

asio::awaitable<Response> post_file(Context context, Call call) {
    const std::shared_ptr<const BodyFile> body = call.request.file;
    if (!body || !find_field(call.request.headers, "Content-Type").starts_with("multipart/form-data"))
        co_return openai_problem(400,
                                 "send the file as multipart/form-data with the fields file and purpose");
    auto read = [body, type = std::string(call.request.header("Content-Type"))] {
        return std::optional<Checked<UploadForm>>(read_form(*body, type));
    };
    auto form = co_await context->parts.pool.run(std::move(read));
    if (!*form) co_return openai_problem(form->error().status, form->error().detail);
    batch::NewFile file;
    file.name = (*form)->name;
    file.purpose = (*form)->purpose;
    file.kept = (*form)->kept;
    file.read = [body, at = (*form)->offset, end = (*form)->offset + (*form)->size]() mutable {
        const auto bytes = std::min<std::uint64_t>(kPieceBytes, end - at);
        std::string piece = bytes == 0 ? std::string() : body->read(at, static_cast<std::size_t>(bytes));
        at += piece.size();
        return piece;
    };
    auto adding = context->parts.files->add(std::move(file));
    const auto stored = co_await std::move(adding);
    co_return json_answer(200, json_text(view_of(stored)));
}

asio::awaitable<Response> list_files(Context context, Call call) {
    const auto limit = integer_parameter(call.request, "limit", 1, kListMax, kListMax);
    if (!limit) co_return openai_problem(400, limit.error().detail, "limit");
    const std::string_view order = call.request.parameter("order");
    if (!order.empty() && order != "asc" && order != "desc")
        co_return openai_problem(400, "order is asc or desc", "order");
    batch::ListOptions options;
    options.purpose = call.request.parameter("purpose");
    options.after = call.request.parameter("after");
    options.oldest_first = order == "asc";
    const auto page = static_cast<std::size_t>(*limit);
    options.items_max = page + 1;
    auto listing = context->parts.files->list(std::move(options));
    auto files = co_await std::move(listing);
    const bool more = files.size() > page;
    if (more) files.resize(page);
    json::array data;
    for (const auto& file : files) data.push_back(view_of(file));
    co_return openai_list(std::move(data), more);
}

asio::awaitable<Response> get_file(Context context, Call call) {
    const auto file = co_await context->parts.files->find(call.arguments.front());
    if (!file) co_return openai_problem(file.error(), "id");
    co_return json_answer(200, json_text(view_of(*file)));
}

asio::awaitable<Response> get_file_content(Context context, Call call) {
    const auto file = co_await context->parts.files->find(call.arguments.front());
    if (!file) co_return openai_problem(file.error(), "id");
    const auto path = context->parts.files->path_of(*file);
    if (!path) co_return openai_problem(path.error(), "id");
    auto open = [path = *path] { return BodyFile::open(path); };
    Response response;
    response.file = co_await context->parts.pool.run(std::move(open));
    if (!response.file) co_return openai_problem(404, "there is no file " + file->id, "id");
    response.headers.emplace_back("Content-Type", "application/octet-stream");
    co_return response;
}

asio::awaitable<Response> delete_file(Context context, Call call) {
    const std::string id = call.arguments.front();
    const auto removed = co_await context->parts.files->remove(id);
    if (!removed) co_return openai_problem(removed.error(), "id");
    const json::object body{{"id", id}, {"object", "file"}, {"deleted", true}};
    co_return json_answer(200, json_text(body));
}

}  // namespace millrace::http
