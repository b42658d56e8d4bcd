#include "work/tasks.hpp"

#include "work/answers.hpp"

#include "base/ids.hpp"
#include "base/limits.hpp"
#include "telemetry/log.hpp"
#include "work/requester.hpp"
#include "work/trace.hpp"

#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include <algorithm>
#include <map>

namespace millrace::work {

namespace json = boost::json;

namespace {

constexpr int kRacesMax = 3;
constexpr std::int64_t kPrunedAtOnce = 500;  // others wait for the writer meanwhile

json::object options_of(const NewTask& task) {
    boost::system::error_code error;
    json::value value = json::parse(task.options, error);
    return !error && value.is_object() ? std::move(value.as_object()) : json::object();
}

broker::Message message_of(const NewTask& task, const std::string& blob) {
    json::object body{{"id", task.id}, {"type", task.type}};
    if (!blob.empty())
        body["contentRef"] = blob;
    else if (!task.document_id.empty())
        body["documentId"] = task.document_id;
    else
        body["content"] = task.content;
    if (!task.options.empty()) body["options"] = options_of(task);
    broker::Message message;
    message.message_id = task.id;
    message.subject = task.type;
    message.content_type = "application/json";
    message.properties[kTaskProperty] = task.id;
    set_requester(message, {task.tenant, task.batch});
    if (task.trace) set_trace(message, *task.trace);
    message.body = json::serialize(body);
    return message;
}

Error other_content(const std::string& id) {
    return Error{Errc::conflict,
                 "the task \"" + id + "\" is known with other content; give this one another id"};
}

}  // namespace

std::string task_id_problem(std::string_view id) {
    if (id.size() > kTaskIdBytesMax) return "id is longer than " + std::to_string(kTaskIdBytesMax) + " bytes";
    return document_id_problem(id);
}

std::string fingerprint_of(const NewTask& task) {
    const json::object options = options_of(task);
    std::map<std::string, std::string> sorted;
    for (const auto& member : options) sorted[member.key()] = json::serialize(member.value());
    std::string text = task.type + '\0' + task.document_id + '\0' + sha256(task.content);
    for (const auto& [name, value] : sorted) text += '\0' + name + '\0' + value;
    return sha256_hex(text);
}

/// The tasks of one call of `accept`.
struct Tasks::Batch {
    struct Fresh {
        NewTask task;
        std::string operation;
        std::string blob;
    };
    std::vector<Fresh> fresh;
    std::vector<Accepted> accepted;  ///< of all, in their order
    bool raced = false;  ///< somebody else has brought one of them meanwhile

    std::vector<std::string> blobs() const {
        std::vector<std::string> names;
        for (const Fresh& one : fresh)
            if (!one.blob.empty()) names.push_back(one.blob);
        return names;
    }
};

/// Tells the tasks that are known from those that are not.
asio::awaitable<Result<std::shared_ptr<Tasks::Batch>>> Tasks::sort_out(std::vector<NewTask> tasks) {
    std::vector<std::string> ids;
    for (const NewTask& task : tasks) ids.push_back(task.id);
    using Known = std::map<std::string, std::pair<std::string, std::string>>;  // id: fingerprint, operation
    auto look_up = [ids = std::move(ids)](store::Connection& connection) {
        Known known;
        for (const std::string& id : ids)
            if (const auto task = records::find_task(connection, id))
                known[id] = {task->fingerprint, task->operation};
        return known;
    };
    Known known = co_await database_.read(std::move(look_up));
    auto batch = std::make_shared<Batch>();
    for (NewTask& task : tasks) {
        const std::string fingerprint = fingerprint_of(task);
        auto [entry, unknown] = known.try_emplace(task.id, fingerprint, "op_" + to_hex(random_uuid()));
        if (entry->second.first != fingerprint) co_return other_content(task.id);
        batch->accepted.push_back(Accepted{task.id, entry->second.second, 0});
        if (unknown) batch->fresh.push_back({std::move(task), entry->second.second, ""});
    }
    co_return batch;
}

asio::awaitable<void> Tasks::prepare(Batch& batch) {
    for (Batch::Fresh& one : batch.fresh) {
        if (one.task.content.size() < limits::claim_check_bytes_min) continue;
        auto put = [this, &one] { return blobs_.put(one.task.content); };
        one.blob = co_await pool_.run(put);
    }
}

asio::awaitable<Result<void>> Tasks::store(std::shared_ptr<Batch> batch,
                                           std::shared_ptr<const Idempotency> idempotency) {
    Handover::Rows rows = [batch, idempotency,
                           now = clock_.now()](store::Connection& connection) -> Result<void> {
        for (const Batch::Fresh& one : batch->fresh) {
            if (!records::add_task(connection, one.task, one.operation, now)) {
                // With an outbox this may run a second time: then it is the task's own.
                batch->raced = records::find_task(connection, one.task.id)->operation != one.operation;
                if (batch->raced)
                    return Error{Errc::conflict, "the task \"" + one.task.id + "\" is known by now"};
            }
            const VersionRef owner{task_owner(one.task.id), 0};
            if (!one.blob.empty()) records::add_blob(connection, owner, one.blob);
        }
        if (!idempotency) return {};
        return insert_answer(connection, *idempotency, batch->accepted, to_millis(now));
    };
    if (batch->fresh.empty()) co_return co_await database_.write(std::move(rows));
    std::vector<broker::Message> messages;
    for (const Batch::Fresh& one : batch->fresh) messages.push_back(message_of(one.task, one.blob));
    std::string entity = queue::tasks;
    co_return co_await handover_.send_with(std::move(entity), std::move(messages), std::move(rows));
}

asio::awaitable<Result<std::vector<Accepted>>> Tasks::accept(std::vector<NewTask> tasks,
                                                             std::shared_ptr<const Idempotency> idempotency) {
    for (NewTask& task : tasks)
        if (task.id.empty()) task.id = "task_" + to_hex(random_uuid());
    for (int races = 0;; ++races) {
        std::vector<NewTask> copies = tasks;
        auto batch = co_await sort_out(std::move(copies));
        if (!batch) co_return batch.error();
        std::exception_ptr broken;
        Result<void> stored;
        try {
            co_await prepare(**batch);
            stored = co_await store(*batch, idempotency);
        } catch (const MachineError&) {
            broken = std::current_exception();
        }
        if (!broken && stored) co_return std::move((*batch)->accepted);
        // Nothing was stored, so nobody knows of the blobs. Where the connection broke it may have been: then
        // the sweep of the next start decides.
        if (!broken || !database_.shared()) co_await store::remove_blobs(blobs_, pool_, (*batch)->blobs());
        if (broken) std::rethrow_exception(broken);
        if (!(*batch)->raced || races == kRacesMax) co_return stored.error();
    }
}

asio::awaitable<Result<TaskView>> Tasks::find(std::string id) {
    auto look_up = [&id](store::Connection& connection) { return records::find_task(connection, id); };
    auto found = co_await database_.read(std::move(look_up));
    if (found) co_return std::move(*found);
    co_return Error{Errc::not_found, "no task with this id"};
}

asio::awaitable<Result<void>> Tasks::prune(store::Database& database, TimePoint before) {
    auto work = [before = to_millis(before)](store::Connection& connection) -> Result<std::int64_t> {
        std::vector<std::pair<std::string, std::string>> old;
        auto& rows = connection
                         .prepare(
                             "SELECT id, operation FROM task_result WHERE finished > 0 AND finished < ? AND "
                             "status = 'succeeded' ORDER BY finished LIMIT ?")
                         .bind(before, kPrunedAtOnce);
        while (rows.step()) old.emplace_back(rows.string(0), rows.string(1));
        for (const auto& [id, operation] : old) {
            connection.prepare("DELETE FROM operation WHERE id = ?").bind(operation).run();
            connection.prepare("DELETE FROM task_result WHERE id = ?").bind(id).run();
        }
        return static_cast<std::int64_t>(old.size());
    };
    while (true) {
        const auto pruned = co_await database.write(work);
        if (!pruned) co_return pruned.error();
        if (*pruned < kPrunedAtOnce) co_return Result<void>();
    }
}

}  // namespace millrace::work
