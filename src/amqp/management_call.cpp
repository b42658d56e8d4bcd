#include "amqp/management_call.hpp"

#include "base/limits.hpp"

namespace millrace::amqp {

namespace {

const Value* present(const Value* value) { return value == nullptr || value->is_null() ? nullptr : value; }

std::vector<const Value*> pointers(const std::vector<Value>& items) {
    std::vector<const Value*> all;
    all.reserve(items.size());
    for (const Value& item : items) all.push_back(&item);
    return all;
}

}  // namespace

void Arguments::fail(std::string problem) {
    if (problem_.empty()) problem_ = std::move(problem);
}

void Arguments::fail(std::string_view name, std::string_view why) {
    fail("The argument '" + std::string(name) + "' " + std::string(why) + ".");
}

const Value* Arguments::find(std::string_view name) const { return present(map_.find(name)); }

std::optional<std::int64_t> Arguments::integer(std::string_view name) {
    const Value* value = find(name);
    if (value == nullptr) return std::nullopt;
    const auto number = integer_of(*value);
    if (!number) fail(name, "is not a whole number");
    return number;
}

std::int64_t Arguments::count(std::string_view name, std::int64_t min, std::int64_t max) {
    if (find(name) == nullptr) fail(name, "is missing");
    const std::int64_t number = integer(name).value_or(min);
    if (number < min) fail(name, "is less than " + std::to_string(min));
    return std::min(number, max);
}

std::optional<std::string> Arguments::text(std::string_view name) {
    const Value* value = find(name);
    if (value == nullptr) return std::nullopt;
    const auto text = text_of(value);
    if (!text) {
        fail(name, "is not a string");
        return std::nullopt;
    }
    return std::string(*text);
}

std::string Arguments::name(std::string_view name) {
    std::string text = this->text(name).value_or("");
    if (text.empty()) fail(name, "is missing or empty");
    return text;
}

std::optional<TimePoint> Arguments::moment(std::string_view name) {
    const Value* value = find(name);
    if (value == nullptr) return std::nullopt;
    const auto* moment = value->as<TimePoint>();
    if (moment == nullptr) {
        fail(name, "is not a timestamp");
        return std::nullopt;
    }
    return *moment;
}

bool Arguments::flag(std::string_view name) {
    const Value* value = find(name);
    if (value == nullptr) return false;
    const auto* flag = value->as<bool>();
    if (flag == nullptr) fail(name, "is not a boolean");
    return flag != nullptr && *flag;
}

const Map* Arguments::map(std::string_view name) {
    const Value* value = find(name);
    if (value == nullptr) return nullptr;
    const auto* map = value->as<Map>();
    if (map == nullptr) fail(name, "is not a map");
    return map;
}

std::vector<const Value*> Arguments::several(std::string_view name) {
    const Value* value = find(name);
    std::vector<const Value*> all;
    if (value == nullptr) {
        fail(name, "is missing");
    } else if (const auto* array = value->as<Array>()) {
        all = pointers(array->items);
    } else if (const auto* list = value->as<List>()) {
        all = pointers(list->items);
    } else {
        all.push_back(value);
    }
    if (all.empty()) fail(name, "is empty");
    if (all.size() > limits::receive_batch_max) {
        fail(name, "holds more than " + std::to_string(limits::receive_batch_max) + " values");
        all.clear();
    }
    return all;
}

std::vector<std::int64_t> Arguments::numbers(std::string_view name) {
    std::vector<std::int64_t> numbers;
    for (const Value* item : several(name)) {
        const auto number = integer_of(*item);
        if (!number) fail(name, "holds something else than whole numbers");
        numbers.push_back(number.value_or(0));
    }
    return numbers;
}

std::vector<Uuid> Arguments::tokens(std::string_view name) {
    std::vector<Uuid> tokens;
    for (const Value* item : several(name)) {
        const auto* token = item->as<Uuid>();
        if (token == nullptr) fail(name, "holds something else than uuids");
        tokens.push_back(token == nullptr ? Uuid() : *token);
    }
    return tokens;
}

std::vector<const Map*> Arguments::maps(std::string_view name) {
    std::vector<const Map*> maps;
    for (const Value* item : several(name)) {
        const auto* map = item->as<Map>();
        if (map == nullptr)
            fail(name, "holds something else than maps");
        else
            maps.push_back(map);
    }
    return maps;
}

std::optional<broker::SessionLock> Call::session(std::string_view session_id) const {
    const auto known = context.broker.counts(request.entity);
    if (!known || !context.session_of) return std::nullopt;
    return context.session_of(known->name, session_id, request.link_name);
}

ManagementAnswer refuse(const Call& call, int status, std::string_view condition, std::string_view why) {
    Condition made = make_condition(condition, why, call.request.entity, call.context.clock.now());
    ManagementAnswer answer;
    answer.status = status;
    answer.description = std::move(made.description);
    answer.condition = std::move(made.name);
    return answer;
}

ManagementAnswer refuse_arguments(const Call& call, std::string_view problem) {
    return refuse(call, 400, condition::kArgumentError, problem);
}

ManagementAnswer session_lock_lost(const Call& call) {
    return refuse(call, 410, condition::kSessionLockLost,
                  "The session lock was lost: it ran out, or no receiver of this connection holds it. "
                  "Request a new session receiver.");
}

ManagementAnswer failure(const Call& call, const Error& error, std::string_view lost,
                         std::string_view missing) {
    switch (error.code) {
        case Errc::not_found: {
            const bool known = call.context.broker.counts(call.request.entity).has_value();
            return refuse(call, 404, known ? missing : condition::kNotFound, error.detail);
        }
        case Errc::conflict: {
            if (lost == condition::kSessionLockLost) return session_lock_lost(call);
            Condition made = condition_for(error, call.request.entity, call.context.clock.now());
            return {410, std::move(made.description), std::string(lost), {}};
        }
        case Errc::over_limit: return refuse(call, 403, condition::kResourceLimit, error.detail);
        case Errc::unavailable: return refuse(call, 503, condition::kServerBusy, error.detail);
        case Errc::invalid_input:
        case Errc::corrupt: break;
    }
    return refuse_arguments(call, error.detail);
}

ManagementAnswer refused_by_entity(const Call& call, const Error& error, Direction direction,
                                   std::string_view lost) {
    const auto status = call.context.broker.status(call.request.entity);
    const bool sends = direction == Direction::send;
    const bool open = !status || (sends ? broker::may_send(*status) : broker::may_receive(*status));
    if (open || error.code != Errc::invalid_input) return failure(call, error, lost);
    return refuse(call, 400, condition::kEntityDisabled, error.detail);
}

ManagementAnswer nothing() { return {204, "No content", "", {}}; }

}  // namespace millrace::amqp
