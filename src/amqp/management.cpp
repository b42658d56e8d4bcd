#include "amqp/management_call.hpp"

namespace millrace::amqp {

namespace {

struct Operation {
    std::string_view name;
    bool Rights::* right;  ///< what the caller needs; Manage includes it
    Answering (*run)(const Call&);
};

// The rights are those of Service Bus, whose rule manager "requires only Listen claims" (SDK reference).
constexpr Operation kOperations[] = {
    {"com.microsoft:renew-lock", &Rights::listen, renew_lock},
    {"com.microsoft:update-disposition", &Rights::listen, update_disposition},
    {"com.microsoft:peek-message", &Rights::listen, peek_message},
    {"com.microsoft:receive-by-sequence-number", &Rights::listen, receive_by_sequence_number},
    {"com.microsoft:batch-delete-messages", &Rights::listen, batch_delete_messages},
    {"com.microsoft:schedule-message", &Rights::send, schedule_message},
    {"com.microsoft:cancel-scheduled-message", &Rights::send, cancel_scheduled_message},
    {"com.microsoft:renew-session-lock", &Rights::listen, renew_session_lock},
    {"com.microsoft:set-session-state", &Rights::listen, set_session_state},
    {"com.microsoft:get-session-state", &Rights::listen, get_session_state},
    {"com.microsoft:get-message-sessions", &Rights::listen, get_message_sessions},
    {"com.microsoft:add-rule", &Rights::listen, add_rule},
    {"com.microsoft:remove-rule", &Rights::listen, remove_rule},
    {"com.microsoft:enumerate-rules", &Rights::listen, enumerate_rules},
};

const Operation* find_operation(std::string_view name) {
    for (const Operation& operation : kOperations) {
        if (operation.name == name) return &operation;
    }
    return nullptr;
}

constexpr std::size_t kNameShownMax = 100;

}  // namespace

Answering manage(ManagementContext context, ManagementRequest request) {
    const Call call{std::move(context), std::move(request)};
    const std::string name = call.request.operation.substr(0, kNameShownMax);
    const Operation* operation = find_operation(call.request.operation);
    if (operation == nullptr) {
        co_return refuse(call, 501, condition::kNotImplemented, "There is no operation '" + name + "'.");
    }
    const Rights& rights = call.context.rights;
    if (!(rights.*operation->right) && !rights.manage) {
        const std::string claim = operation->right == &Rights::send ? "Send" : "Listen";
        co_return refuse(call, 401, condition::kUnauthorized,
                         "Unauthorized access. '" + claim + "' claim(s) are required for '" + name + "'.");
    }
    co_return co_await operation->run(call);
}

}  // namespace millrace::amqp
