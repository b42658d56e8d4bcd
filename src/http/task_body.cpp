#include "http/task_body.hpp"

#include "http/json_fields.hpp"
#include "http/tenant.hpp"

#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>

#include <algorithm>
#include <array>

namespace millrace::http {

namespace {

constexpr std::array<std::string_view, 7> kMembers = {"id",      "type",   "content", "documentId",
                                                      "options", "tenant", "priority"};
constexpr std::size_t kNameBytesMax = kTenantBytesMax;  ///< of a type as well
constexpr std::size_t kOptionsBytesMax = 16 * limits::kKiB;

void check(const work::NewTask& task, JsonFields& fields) {
    if (task.type.empty()) fields.reject("type is missing");
    if (task.content.empty() && task.document_id.empty())
        fields.reject(fields.has("content") ? "content is empty" : "content is missing, or a documentId");
    if (!task.content.empty() && !task.document_id.empty())
        fields.reject("content and documentId are both given; send one of them");
    if (fields.has("id"))
        if (const std::string problem = work::task_id_problem(task.id); !problem.empty())
            fields.reject(problem);
}

Checked<work::NewTask> from_json(const json::value& value, const std::string& where,
                                 const std::string& tenant) {
    if (!value.is_object())
        return Rejection{400, where + "expected an object, found " + std::string(kind_of(value))};
    JsonFields fields(value.get_object(), kMembers, where);
    work::NewTask task;
    task.id = fields.text("id", SIZE_MAX);
    task.type = fields.text("type", kNameBytesMax);
    task.content = fields.text("content", limits::text_bytes_max, 413);
    task.document_id = fields.text("documentId", limits::document_id_bytes_max);
    task.tenant = fields.text("tenant", kNameBytesMax);
    if (task.tenant.empty()) task.tenant = tenant;
    const std::string priority = fields.text("priority", kNameBytesMax);
    if (!priority.empty() && priority != "batch" && priority != "interactive")
        fields.reject("priority is \"interactive\" or \"batch\"");
    task.batch = priority == "batch";
    if (const json::object* options = fields.object("options")) {
        task.options = json::serialize(*options);
        if (task.options.size() > kOptionsBytesMax)
            fields.reject("options are larger than " + std::to_string(kOptionsBytesMax) + " bytes");
    }
    if (!fields.rejection()) check(task, fields);
    if (fields.rejection()) return *fields.rejection();
    return task;
}

Rejection too_many() {
    return Rejection{413, "more than " + std::to_string(limits::documents_per_request_max) +
                              " tasks in one request; send them in several"};
}

Checked<TaskBody> from_json_body(std::string_view text, const std::string& tenant) {
    auto value = parse_json(text);
    if (!value) return value.error();
    TaskBody body;
    body.is_list = value->is_array();
    if (!body.is_list) {
        auto task = from_json(*value, "", tenant);
        if (!task) return task.error();
        body.tasks.push_back(std::move(*task));
        return body;
    }
    json::array& list = value->get_array();
    if (list.size() > limits::documents_per_request_max) return too_many();
    for (std::size_t i = 0; i < list.size(); ++i) {
        auto task = from_json(list[i], "tasks[" + std::to_string(i) + "]: ", tenant);
        if (!task) return task.error();
        list[i] = nullptr;
        body.tasks.push_back(std::move(*task));
    }
    if (body.tasks.empty()) return Rejection{400, "the list is empty"};
    return body;
}

Checked<TaskBody> from_lines(std::string_view text, const std::string& tenant) {
    TaskBody body;
    body.is_list = true;
    const auto use = [&](json::value& value, const std::string& where) -> std::optional<Rejection> {
        auto task = from_json(value, where, tenant);
        if (!task) return task.error();
        if (body.tasks.size() == limits::documents_per_request_max) return too_many();
        body.tasks.push_back(std::move(*task));
        return std::nullopt;
    };
    if (auto problem = for_each_json_line(text, use)) return std::move(*problem);
    if (body.tasks.empty()) return Rejection{400, "the body holds no task"};
    return body;
}

/// "Application/X-NDJSON; charset=x" → "application/x-ndjson".
std::string media_type(std::string_view content_type) {
    std::string type(content_type.substr(0, content_type.find(';')));
    for (char& c : type)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    while (!type.empty() && (type.back() == ' ' || type.back() == '\t')) type.pop_back();
    return type;
}

}  // namespace

Checked<TaskBody> read_tasks(const Request& request) {
    const auto tenant = tenant_of(request);
    if (!tenant) return tenant.error();
    const std::string type = media_type(request.header("Content-Type"));
    if (type == "application/json") return from_json_body(request.body, *tenant);
    if (type == "application/x-ndjson" || type == "application/jsonl" || type == "application/x-jsonlines")
        return from_lines(request.body, *tenant);
    return Rejection{415, "send tasks as application/json or application/x-ndjson"};
}

}  // namespace millrace::http
