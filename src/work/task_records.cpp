#include "work/tasks.hpp"

namespace millrace::work {

std::string task_owner(std::string_view id) { return "\x01task/" + std::string(id); }
std::string task_owners_end() { return "\x01task0"; }

namespace records {

namespace {

/// The operation of a task is that of generation 0 of a subject of its name; documents have none such.
VersionRef operation_of(std::string_view id) { return VersionRef{std::string(id), 0}; }

void note_cost(store::Connection& connection, std::string_view id, const TaskCost& cost) {
    connection
        .prepare(
            "UPDATE task_result SET model=?, prompt_tokens=?, completion_tokens=?, cached_tokens=?, "
            "cost_micros=? WHERE id=?")
        .bind(cost.model, cost.prompt_tokens, cost.completion_tokens, cost.cached_tokens, cost.micros, id)
        .run();
    connection
        .prepare(
            "UPDATE operation SET prompt_tokens=?, completion_tokens=? WHERE subject=? AND generation=0 AND "
            "kind='task'")
        .bind(cost.prompt_tokens, cost.completion_tokens, id)
        .run();
}

}  // namespace

std::optional<TaskView> find_task(store::Connection& connection, std::string_view id) {
    auto& row = connection
                    .prepare(
                        "SELECT id, type, status, fingerprint, operation, tenant, result, error, model, "
                        "prompt_tokens, completion_tokens, cached_tokens, cost_micros, attempts, created, "
                        "finished FROM task_result WHERE id=?")
                    .bind(id);
    if (!row.step()) return std::nullopt;
    TaskView view;
    view.id = row.string(0);
    view.type = row.string(1);
    view.status = parse_status(row.text(2)).value_or(Status::failed);
    view.fingerprint = row.string(3);
    view.operation = row.string(4);
    view.tenant = row.string(5);
    view.result = row.string(6);
    view.error = row.string(7);
    view.model = row.string(8);
    view.prompt_tokens = row.integer(9);
    view.completion_tokens = row.integer(10);
    view.cached_tokens = row.integer(11);
    view.cost_micros = row.integer(12);
    view.attempts = row.integer(13);
    view.created_at = from_millis(row.integer(14));
    view.finished_at = from_millis(row.integer(15));
    row.reset();
    return view;
}

bool add_task(store::Connection& connection, const NewTask& task, std::string_view operation, TimePoint now) {
    connection
        .prepare(
            "INSERT INTO task_result (id, type, status, fingerprint, operation, tenant, created) VALUES (?, "
            "?, "
            "'accepted', ?, ?, ?, ?) ON CONFLICT DO NOTHING")
        .bind(task.id, task.type, fingerprint_of(task), operation, task.tenant, to_millis(now))
        .run();
    if (connection.changes() == 0) return false;
    connection
        .prepare(
            "INSERT INTO operation (id, kind, subject, generation, status, created_at, updated_at) VALUES "
            "(?, "
            "'task', ?, 0, 'accepted', ?, ?)")
        .bind(operation, task.id, to_millis(now), to_millis(now))
        .run();
    return true;
}

void begin_task(store::Connection& connection, std::string_view id, std::string_view stage, TimePoint now) {
    connection
        .prepare(
            "UPDATE task_result SET status='running', error='', finished=0, attempts=attempts+1 WHERE id=? "
            "AND "
            "status<>'succeeded'")
        .bind(id)
        .run();
    revive(connection, operation_of(id), now);
    set_stage(connection, operation_of(id), stage, now);
}

bool finish_task(store::Connection& connection, std::string_view id, std::string_view result,
                 const TaskCost& cost, TimePoint now) {
    connection
        .prepare(
            "UPDATE task_result SET status='succeeded', error='', result=?, finished=? WHERE id=? AND "
            "status<>'succeeded'")
        .bind(result, to_millis(now), id)
        .run();
    if (connection.changes() == 0) return false;
    note_cost(connection, id, cost);
    connection
        .prepare(
            "UPDATE operation SET status='succeeded', stage='ready', wait_reason='', error='', result=?, "
            "updated_at=? WHERE subject=? AND generation=0 AND kind='task'")
        .bind(result, to_millis(now), id)
        .run();
    connection.prepare("DELETE FROM step WHERE message=?").bind(task_owner(id)).run();
    connection.notify(id);
    return true;
}

void fail_task(store::Connection& connection, std::string_view id, std::string_view stage,
               std::string_view error, const TaskCost& cost, TimePoint now) {
    connection
        .prepare(
            "UPDATE task_result SET status='failed', error=?, finished=? WHERE id=? AND status<>'succeeded'")
        .bind(error, to_millis(now), id)
        .run();
    if (connection.changes() == 0) return;
    note_cost(connection, id, cost);
    fail(connection, operation_of(id), stage, error, now);
}

}  // namespace records
}  // namespace millrace::work
