// Tasks: accepted here, safe on disk before anybody is told, and what became of each, once.
#pragma once

#include "base/async.hpp"
#include "base/trace_context.hpp"
#include "broker/message.hpp"
#include "store/blobs.hpp"
#include "store/database.hpp"
#include "work/documents.hpp"
#include "work/estimate.hpp"
#include "work/handover.hpp"
#include "work/records.hpp"

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::work {

namespace queue {
inline constexpr char tasks[] = "ai-tasks";
}  // namespace queue

/// Message property of a task that came through the door: its id. Beside it those of requester.hpp.
inline constexpr char kTaskProperty[] = "millrace-task";
inline constexpr std::size_t kTaskIdBytesMax = 128;

/// A task as its sender gives it. The caller has checked sizes and that the texts are UTF-8.
struct NewTask {
    std::string id;           ///< empty: one is made
    std::string type;
    std::string content;      ///< the text it is about, or
    std::string document_id;  ///< the document that it is about
    std::string options;      ///< JSON object or empty
    std::string tenant;
    bool batch = false;       ///< it may take its time
    std::optional<TraceContext> trace;  ///< of the request that brought it
};

/// What an id stands for: of type, text and options. The same for every way of writing the same options.
std::string fingerprint_of(const NewTask& task);

/// Nothing, or what is wrong with `id`: 1–128 bytes of UTF-8 without control characters, not "." or "..".
std::string task_id_problem(std::string_view id);

/// A task as a caller sees it.
struct TaskView {
    std::string id;
    std::string type;
    Status status = Status::accepted;
    std::string fingerprint;
    std::string operation;
    std::string tenant;
    std::string result;  ///< JSON or empty
    std::string error;   ///< "Reason: description" when failed
    std::string model;
    std::int64_t prompt_tokens = 0;
    std::int64_t completion_tokens = 0;
    std::int64_t cached_tokens = 0;
    std::int64_t cost_micros = 0;
    std::int64_t attempts = 0;
    TimePoint created_at{};
    TimePoint finished_at{};  ///< meaningless until it has ended
};

/// What a task has cost.
struct TaskCost {
    std::string model;  ///< who answered last
    std::int64_t prompt_tokens = 0;
    std::int64_t completion_tokens = 0;
    std::int64_t cached_tokens = 0;
    std::int64_t micros = 0;
};

/// Rows of tasks. Functions on a connection run on a database thread, inside somebody's transaction.
namespace records {

std::optional<TaskView> find_task(store::Connection& connection, std::string_view id);
/// Makes rows of task and operation; false, and nothing is changed, if the id is known.
bool add_task(store::Connection& connection, const NewTask& task, std::string_view operation, TimePoint now);
/// Notes that the task is worked on, and adds to its attempts.
void begin_task(store::Connection& connection, std::string_view id, std::string_view stage, TimePoint now);
/// Ends the task with `result` (JSON), which stays as it is from then on, and forgets its steps. False, and
/// nothing is changed, if it has a result already.
bool finish_task(store::Connection& connection, std::string_view id, std::string_view result,
                 const TaskCost& cost, TimePoint now);
/// Ends the task as failed. Nothing if it has succeeded.
void fail_task(store::Connection& connection, std::string_view id, std::string_view stage,
               std::string_view error, const TaskCost& cost, TimePoint now);

}  // namespace records

/// The name that a task's steps and blobs are kept under: no document has it.
std::string task_owner(std::string_view id);
/// The first text behind all of these, in byte order.
std::string task_owners_end();

/// Accepts tasks and answers what became of them. All calls on the I/O thread.
class Tasks {
  public:
    /// `database` holds the state; `handover` brings messages to the queues with it. All outlive this.
    Tasks(store::Database& database, store::Blobs& blobs, CpuPool& pool, Handover& handover, Clock& clock)
        : database_(database), blobs_(blobs), pool_(pool), handover_(handover), clock_(clock) {}

    /// Accepts all or none, as Documents::accept. A task whose id is known with the same content is not
    /// accepted again: it answers as it did. conflict: an id is known with other content, or the key is being
    /// used by another request; over_limit: the queue is full.
    asio::awaitable<Result<std::vector<Accepted>>> accept(std::vector<NewTask> tasks,
                                                          std::shared_ptr<const Idempotency> idempotency);
    /// not_found: there is no such task.
    asio::awaitable<Result<TaskView>> find(std::string id);
    /// Forgets tasks that succeeded before `before`, and their operations; failed ones may be redriven. A
    /// message that is sent again under such an id is a new task.
    static asio::awaitable<Result<void>> prune(store::Database& database, TimePoint before);

  private:
    struct Batch;
    asio::awaitable<Result<std::shared_ptr<Batch>>> sort_out(std::vector<NewTask> tasks);
    asio::awaitable<void> prepare(Batch& batch);
    asio::awaitable<Result<void>> store(std::shared_ptr<Batch> batch,
                                        std::shared_ptr<const Idempotency> idempotency);

    store::Database& database_;
    store::Blobs& blobs_;
    CpuPool& pool_;
    Handover& handover_;
    Clock& clock_;
};

}  // namespace millrace::work
