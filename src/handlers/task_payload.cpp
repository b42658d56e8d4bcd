#include "handlers/task_payload.hpp"

#include "base/utf8.hpp"
#include "broker/body.hpp"
#include "broker/value.hpp"
#include "handlers/payload.hpp"
#include "work/fan_out.hpp"
#include "work/requester.hpp"

#include <boost/json/serialize.hpp>

namespace millrace::handlers {

namespace json = boost::json;

namespace {

Result<void> read_texts(const Payload& payload, TaskPayload& task) {
    const std::pair<const char*, std::string*> members[] = {{"id", &task.task.id},
                                                            {"type", &task.task.type},
                                                            {"content", &task.task.content},
                                                            {"documentId", &task.task.document_id},
                                                            {"contentRef", &task.content_ref},
                                                            {"tenant", &task.task.tenant}};
    for (const auto& [name, into] : members) {
        auto text = payload.text(name);
        if (!text) return text.error();
        *into = std::move(*text);
    }
    return {};
}

Result<void> check(const TaskPayload& payload) {
    const work::NewTask& task = payload.task;
    if (const std::string problem = work::task_id_problem(task.id); !problem.empty())
        return Error{Errc::invalid_input, "the task's " + problem};
    if (task.type.empty()) return Error{Errc::invalid_input, "the member \"type\" is missing"};
    if (task.type.size() > work::kTaskIdBytesMax)
        return Error{Errc::invalid_input, "the member \"type\" is longer than " +
                                              std::to_string(work::kTaskIdBytesMax) + " bytes"};
    const int texts = !task.content.empty() + !task.document_id.empty() + !payload.content_ref.empty();
    if (texts == 1) return {};
    return Error{Errc::invalid_input, texts == 0 ? "neither \"content\" nor \"documentId\" is given"
                                                 : "\"content\" and \"documentId\" are both given"};
}

}  // namespace

Result<TaskPayload> parse_task(const broker::Message& message) {
    auto body = broker::plain_body(message);
    if (!body) return body.error();
    auto payload = Payload::parse(*body);
    if (!payload) return payload.error();
    TaskPayload task;
    auto read = read_texts(*payload, task);
    if (!read) return read.error();
    if (const auto piece = work::FanOut::piece_of(message); piece && task.task.id.empty())
        task.task.id = piece->fan_out + "/" + std::to_string(piece->number);
    if (task.task.id.empty()) task.task.id = message.message_id;
    if (const json::value* options = payload->find("options")) {
        if (!options->is_object())
            return Error{Errc::invalid_input, "the member \"options\" is not an object"};
        task.task.options = json::serialize(*options);
    }
    work::Requester requester = work::requester_of(message);
    if (!requester.tenant.empty()) task.task.tenant = std::move(requester.tenant);
    task.task.tenant = work::bounded_tenant(std::move(task.task.tenant));
    task.task.batch = requester.batch;
    auto checked = check(task);
    if (!checked) return checked.error();
    return task;
}

std::string task_id_of(const broker::Message& message) {
    if (std::string id = broker::text_property(message, work::kTaskProperty); !id.empty()) return id;
    const auto task = parse_task(message);
    return task ? task->task.id : std::string();
}

}  // namespace millrace::handlers
