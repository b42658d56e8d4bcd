// POST /v1/tasks: the tasks that a request holds.
#pragma once

#include "http/rejection.hpp"
#include "work/tasks.hpp"

#include <vector>

namespace millrace::http {

/// The tasks of one request, and whether they came as a list, so that the answer is one too.
struct TaskBody {
    std::vector<work::NewTask> tasks;
    bool is_list = false;
};

/// Reads the body by its Content-Type: a JSON object or list, or NDJSON. The header `Millrace-Tenant` names
/// the tenant of tasks that name none. All or nothing, as `read_documents`. Any thread.
Checked<TaskBody> read_tasks(const Request& request);

}  // namespace millrace::http
