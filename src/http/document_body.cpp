#include "http/document_body.hpp"

#include "base/utf8.hpp"

#include "http/json_fields.hpp"
#include "http/multipart.hpp"
#include "http/server_target.hpp"
#include "http/tenant.hpp"

#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>

#include <array>

namespace millrace::http {

namespace {

constexpr std::array<std::string_view, 8> kMembers = {"id",         "title",    "content", "category",
                                                      "uploadedAt", "metadata", "tenant",  "priority"};
constexpr std::size_t kFieldPartsMax = 16;

std::string lower(std::string_view text) {
    std::string result(text);
    for (char& c : result)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    return result;
}

/// "Text/Plain; charset=x" → "text/plain".
std::string media_type(std::string_view content_type) {
    std::string type = lower(content_type.substr(0, content_type.find(';')));
    while (!type.empty() && (type.back() == ' ' || type.back() == '\t')) type.pop_back();
    return type;
}

bool is_document_type(std::string_view type) {
    constexpr std::array<std::string_view, 4> known = {
        "application/pdf", "application/xhtml+xml", "application/octet-stream",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document"};
    return type.starts_with("text/") || std::find(known.begin(), known.end(), type) != known.end();
}

Rejection unsupported(const std::string& type) {
    const std::string found =
        type.empty() ? "no Content-Type" : "Content-Type \"" + type + "\" is not supported";
    const std::string why = type == "application/x-www-form-urlencoded"
                                ? "; curl -d sends this by default, add -H 'Content-Type: application/json'"
                                : "";
    return Rejection{415, found + why +
                              "; send application/json, application/x-ndjson, multipart/form-data, or the "
                              "document itself as text/plain, text/markdown, text/html, application/pdf or "
                              "DOCX"};
}

/// Two digits at `at`, or -1.
int two_digits(std::string_view text, std::size_t at) {
    const auto digit = [&](std::size_t i) { return i < text.size() && text[i] >= '0' && text[i] <= '9'; };
    if (!digit(at) || !digit(at + 1)) return -1;
    return (text[at] - '0') * 10 + (text[at + 1] - '0');
}

/// RFC 3339, 5.6: date, or date-time with an offset.
bool is_rfc3339(std::string_view text) {
    const auto between = [&](std::size_t at, int low, int high) {
        const int value = two_digits(text, at);
        return value >= low && value <= high;
    };
    const bool date = between(0, 0, 99) && between(2, 0, 99) && text.substr(4, 1) == "-" &&
                      between(5, 1, 12) && text.substr(7, 1) == "-" && between(8, 1, 31);
    if (!date) return false;
    if (text.size() == 10) return true;
    const bool time = (text[10] == 'T' || text[10] == 't' || text[10] == ' ') && between(11, 0, 23) &&
                      text.substr(13, 1) == ":" && between(14, 0, 59) && text.substr(16, 1) == ":" &&
                      between(17, 0, 60);
    if (!time) return false;
    std::size_t at = 19;
    if (at < text.size() && text[at] == '.') {
        const std::size_t digits = at + 1;
        at = std::min(text.find_first_not_of("0123456789", digits), text.size());
        if (at == digits) return false;
    }
    const std::string_view zone = text.substr(at);
    if (zone == "Z" || zone == "z") return true;
    return zone.size() == 6 && (zone[0] == '+' || zone[0] == '-') && between(at + 1, 0, 23) &&
           zone[3] == ':' && between(at + 4, 0, 59);
}

/// What every form of a document must fulfil, apart from its content.
std::string names_problem(const work::NewDocument& document) {
    if (!document.id.empty()) {
        std::string problem = work::document_id_problem(document.id);
        if (!problem.empty()) return problem;
    }
    if (document.title.size() > limits::document_title_bytes_max)
        return "title is longer than " + std::to_string(limits::document_title_bytes_max) + " bytes";
    if (document.category.size() > limits::category_bytes_max)
        return "category is longer than " + std::to_string(limits::category_bytes_max) + " bytes";
    if (document.requester.tenant.size() > kTenantBytesMax)
        return "tenant is longer than " + std::to_string(kTenantBytesMax) + " bytes";
    return {};
}

/// Writes `priority` into `requester`; what is wrong with it.
std::string priority_problem(std::string_view priority, work::Requester& requester) {
    if (!priority.empty() && priority != "batch" && priority != "interactive")
        return "priority is \"interactive\" or \"batch\"";
    requester.batch = priority == "batch";
    return {};
}

Checked<work::NewDocument> from_json(const json::value& value, const std::string& where) {
    if (!value.is_object())
        return Rejection{400, where + "expected an object, found " + std::string(kind_of(value))};
    JsonFields fields(value.get_object(), kMembers, where);
    work::NewDocument document;
    if (fields.has("id")) {
        document.id = fields.text("id", SIZE_MAX);
        if (!fields.rejection() && document.id.empty())
            fields.reject("id is empty; leave it out to have one made");
    }
    document.title = fields.text("title", SIZE_MAX);
    document.category = fields.text("category", SIZE_MAX);
    document.uploaded_at = fields.text("uploadedAt", 64);
    document.content = fields.text("content", limits::text_bytes_max, 413);
    document.content_type = "text/plain; charset=utf-8";
    if (const json::object* metadata = fields.object("metadata")) {
        document.metadata = json::serialize(*metadata);
        if (document.metadata.size() > limits::metadata_bytes_max)
            fields.reject("metadata is larger than " + std::to_string(limits::metadata_bytes_max) + " bytes");
    }
    document.requester.tenant = fields.text("tenant", kTenantBytesMax);
    const std::string priority = fields.text("priority", SIZE_MAX);
    const bool dated = !document.uploaded_at.empty();
    if (!fields.has("title") || document.title.empty()) fields.reject("title is missing");
    if (!fields.has("content")) fields.reject("content is missing");
    if (document.content.empty()) fields.reject("content is empty");
    if (dated && !is_rfc3339(document.uploaded_at))
        fields.reject("uploadedAt is no RFC 3339 date, e.g. 2026-11-21T08:15:30Z");
    for (const std::string& problem :
         {names_problem(document), priority_problem(priority, document.requester)})
        if (!problem.empty()) fields.reject(problem);
    if (fields.rejection()) return *fields.rejection();
    return document;
}

Rejection too_many() {
    return Rejection{413, "more than " + std::to_string(limits::documents_per_request_max) +
                              " documents in one request; send them in several"};
}

Checked<DocumentBody> from_json_body(std::string_view text) {
    auto value = parse_json(text);
    if (!value) return value.error();
    DocumentBody body;
    body.is_list = value->is_array();
    if (!body.is_list) {
        auto document = from_json(*value, "");
        if (!document) return document.error();
        body.documents.push_back(std::move(*document));
        return body;
    }
    json::array& list = value->get_array();
    if (list.size() > limits::documents_per_request_max) return too_many();
    for (std::size_t i = 0; i < list.size(); ++i) {
        auto document = from_json(list[i], "documents[" + std::to_string(i) + "]: ");
        if (!document) return document.error();
        list[i] = nullptr;
        body.documents.push_back(std::move(*document));
    }
    if (body.documents.empty()) return Rejection{400, "the list is empty"};
    return body;
}

Checked<DocumentBody> from_lines(std::string_view text) {
    DocumentBody body;
    body.is_list = true;
    const auto use = [&](json::value& value, const std::string& where) -> std::optional<Rejection> {
        auto document = from_json(value, where);
        if (!document) return document.error();
        if (body.documents.size() == limits::documents_per_request_max) return too_many();
        body.documents.push_back(std::move(*document));
        return std::nullopt;
    };
    if (auto problem = for_each_json_line(text, use)) return std::move(*problem);
    if (body.documents.empty()) return Rejection{400, "the body holds no document"};
    return body;
}

Checked<work::NewDocument> from_file(const Part& part) {
    work::NewDocument document;
    const std::string where = "file \"" + part.file_name + "\": ";
    const std::string type = media_type(part.content_type);
    if (!type.empty() && !is_document_type(type)) return Rejection{415, where + unsupported(type).detail};
    if (part.content.empty()) return Rejection{400, where + "is empty"};
    document.content = part.content;
    document.content_type = type == "application/octet-stream" ? "" : part.content_type;
    document.file_name = part.file_name;
    return document;
}

Rejection unknown_field(const Part& part) {
    return Rejection{
        400,
        "unknown form field \"" + part.name.substr(0, 100) +
            "\" (known: category, metadata, tenant, priority; for a single file also id, title, uploadedAt)"};
}

/// Fields of a form hold for all of its files; those that name one document only where there is one file.
std::optional<Rejection> apply_field(const Part& part, std::vector<work::NewDocument>& documents) {
    const std::string value(part.content);
    if (!is_utf8(value)) return Rejection{400, "form field \"" + part.name + "\" isn't UTF-8"};
    const bool single = part.name == "id" || part.name == "title" || part.name == "uploadedAt";
    if (single && documents.size() != 1)
        return Rejection{400,
                         "form field \"" + part.name + "\" names one document, but there are several files"};
    if (part.name == "metadata") {
        auto parsed = parse_json(value);
        if (!parsed) return Rejection{400, "metadata: " + parsed.error().detail};
        if (!parsed->is_object()) return Rejection{400, "metadata: expected an object"};
        if (value.size() > limits::metadata_bytes_max) return Rejection{400, "metadata is too large"};
    }
    if (part.name == "uploadedAt" && !is_rfc3339(value))
        return Rejection{400, "uploadedAt is no RFC 3339 date"};
    for (auto& document : documents) {
        if (part.name == "category")
            document.category = value;
        else if (part.name == "metadata")
            document.metadata = value;
        else if (part.name == "tenant")
            document.requester.tenant = value;
        else if (part.name == "priority") {
            if (const std::string problem = priority_problem(value, document.requester); !problem.empty())
                return Rejection{400, problem};
        } else if (part.name == "id")
            document.id = value;
        else if (part.name == "title")
            document.title = value;
        else if (part.name == "uploadedAt")
            document.uploaded_at = value;
        else
            return unknown_field(part);
    }
    return std::nullopt;
}

Checked<DocumentBody> from_multipart(const Request& request) {
    const auto parts = parse_multipart(request.header("Content-Type"), request.body,
                                       limits::documents_per_request_max + kFieldPartsMax);
    if (!parts) return parts.error();
    DocumentBody body;
    for (const Part& part : *parts) {
        if (!part.is_file) continue;
        auto document = from_file(part);
        if (!document) return document.error();
        if (body.documents.size() == limits::documents_per_request_max) return too_many();
        body.documents.push_back(std::move(*document));
    }
    if (body.documents.empty())
        return Rejection{400, "the form holds no file; send at least one part with a filename"};
    for (const Part& part : *parts) {
        if (part.is_file) continue;
        if (auto rejection = apply_field(part, body.documents)) return *rejection;
    }
    for (const auto& document : body.documents)
        if (const std::string problem = names_problem(document); !problem.empty())
            return Rejection{400, problem};
    body.is_list = body.documents.size() > 1;
    return body;
}

Checked<DocumentBody> from_raw(const Request& request, const std::string& type) {
    work::NewDocument document;
    document.id = request.parameter("id");
    document.title = request.parameter("title");
    document.category = request.parameter("category");
    document.uploaded_at = request.parameter("uploadedAt");
    document.file_name = request.parameter("filename");
    document.requester.tenant = request.parameter("tenant");
    document.content = request.body;
    document.content_type = type == "application/octet-stream" ? "" : request.header("Content-Type");
    if (document.content.empty()) return Rejection{400, "the body is empty"};
    if (!document.uploaded_at.empty() && !is_rfc3339(document.uploaded_at))
        return Rejection{400, "uploadedAt is no RFC 3339 date, e.g. 2026-11-21T08:15:30Z"};
    for (const std::string& problem :
         {names_problem(document), priority_problem(request.parameter("priority"), document.requester)})
        if (!problem.empty()) return Rejection{400, problem};
    DocumentBody body;
    body.documents.push_back(std::move(document));
    return body;
}

Checked<DocumentBody> read_body(const Request& request) {
    const std::string type = media_type(request.header("Content-Type"));
    const std::string_view coding = request.header("Content-Encoding");
    if (!coding.empty() && coding != "identity")
        return Rejection{
            415, "Content-Encoding \"" + std::string(coding) + "\" is not supported; send the body as it is"};
    if (type == "application/json") return from_json_body(request.body);
    if (type == "application/x-ndjson" || type == "application/jsonl" || type == "application/x-jsonlines")
        return from_lines(request.body);
    if (type == "multipart/form-data") return from_multipart(request);
    if (is_document_type(type)) return from_raw(request, type);
    return unsupported(type);
}

}  // namespace

Checked<DocumentBody> read_documents(const Request& request) {
    auto tenant = tenant_of(request);
    if (!tenant) return tenant.error();
    auto body = read_body(request);
    if (!body || tenant->empty()) return body;
    for (work::NewDocument& document : body->documents)
        if (document.requester.tenant.empty()) document.requester.tenant = *tenant;
    return body;
}

}  // namespace millrace::http
