// Messages of "ai-tasks": what they ask for.
#pragma once

#include "base/error.hpp"
#include "broker/message.hpp"
#include "work/tasks.hpp"

#include <string>

namespace millrace::handlers {

/// A task as its message tells it.
struct TaskPayload {
    work::NewTask task;
    std::string content_ref;  ///< blob that holds the content, where it was large
};

/// Reads a message's body {id, type, content | documentId | contentRef, options?, tenant?} and its properties
/// `tenant` and `priority`; without an id in the body the message's own is taken. invalid_input with an empty
/// detail: no body, or null.
Result<TaskPayload> parse_task(const broker::Message& message);

/// The id of the task that `message` is about, as far as it can be told; else "".
std::string task_id_of(const broker::Message& message);

}  // namespace millrace::handlers
