// Queues: what they hold, their messages, and what to do with dead letters.
#include "http/api_routes.hpp"
#include "http/dry_run.hpp"
#include "http/json_fields.hpp"
#include "http/json_text.hpp"
#include "http/views.hpp"
#include "telemetry/log.hpp"

#include <boost/json/array.hpp>

#include <algorithm>

namespace millrace::http {

namespace {

constexpr std::size_t kPeekMax = 100;             ///< messages in a page: each may hold a body of 1 MiB
constexpr std::size_t kBodyShownMax = 4096;
constexpr std::size_t kLettersAtOnce = 64;        ///< read by a dry run
constexpr std::size_t kLetterBytesAtOnce = 8 * limits::kMiB;
constexpr double kRateMax = 10'000;
/// A redrive that would take longer than this, or moves more, answers 202 and goes on by itself: every move
/// is a commit of its own.
constexpr double kWaitSecondsMax = 20;
constexpr std::uint64_t kMovesMax = 1000;

constexpr std::array<std::string_view, 3> kRedriveMembers = {"filter", "rate", "dryRun"};
constexpr std::array<std::string_view, 2> kDropMembers = {"filter", "dryRun"};
constexpr std::array<std::string_view, 3> kFilterMembers = {"reason", "messageId", "max"};

/// What a redrive or a drop is asked to do.
struct DeadLetterOrder {
    broker::DeadLetterFilter filter;
    double per_second = 0;
    bool dry_run = false;
};

Checked<DeadLetterOrder> read_order(const Request& request, std::span<const std::string_view> members) {
    DeadLetterOrder order;
    if (request.body.empty()) return order;
    if (!is_json(request))
        return Rejection{415, "send {\"filter\": …} with Content-Type: application/json, or no body for all"};
    const auto value = parse_json(request.body);
    if (!value) return value.error();
    if (!value->is_object())
        return Rejection{400, "expected an object, found " + std::string(kind_of(*value))};
    JsonFields fields(value->get_object(), members, "");
    order.per_second = fields.number("rate", 0, kRateMax).value_or(0);
    order.dry_run = fields.flag("dryRun").value_or(false);
    if (const json::object* object = fields.object("filter")) {
        JsonFields inner(*object, kFilterMembers, "filter.");
        order.filter.reason = inner.text("reason", limits::dead_letter_text_chars_max);
        order.filter.message_id = inner.text("messageId", 4 * limits::message_id_chars_max);
        if (const auto max = inner.integer("max", 1, INT64_MAX))
            order.filter.messages_max = static_cast<std::size_t>(*max);
        if (inner.rejection()) fields.reject(inner.rejection()->detail);
    }
    if (fields.rejection()) return *fields.rejection();
    return order;
}

Response redrive_answer(unsigned status, const broker::RedriveResult& result, bool dry_run) {
    return json_answer(
        status,
        json_text(json::object{{"matched", result.matched}, {"moved", result.moved}, {"dryRun", dry_run}}));
}

bool takes_long(std::uint64_t letters, double per_second) {
    const bool slow = per_second > 0 && static_cast<double>(letters) > kWaitSecondsMax * per_second;
    return slow || letters > kMovesMax;
}

/// What dead letters would take if they were worked on again.
struct LettersEstimate {
    work::Estimate sum;
    std::uint64_t letters = 0;  ///< that were looked at
    std::uint64_t failing = 0;  ///< of them, those that would be dead letters again
};

/// Looks at the dead letters with these numbers, page by page, until the time is over. Those that have gone
/// meanwhile are passed over.
asio::awaitable<Result<LettersEstimate>> estimate_letters(Context context, std::string queue,
                                                          std::vector<std::int64_t> sequences) {
    const auto& estimate_letter = context->options.estimate_letter.at(queue);
    const std::string dead_letters = broker::dead_letter_queue_of(queue);
    const TimePoint end = context->parts.clock.now() + kDryRunTimeMax;
    LettersEstimate all;
    broker::PeekOptions page_options;
    page_options.messages_max = kLettersAtOnce;
    page_options.bytes_max = kLetterBytesAtOnce;
    for (auto next = sequences.begin(); next != sequences.end();) {
        page_options.from = *next;
        auto page = co_await context->parts.broker.peek(dead_letters, page_options);
        if (!page) co_return page.error();
        if (page->empty()) co_return all;
        for (broker::Delivery& letter : *page) {
            next = std::lower_bound(next, sequences.end(), letter.sequence);
            if (next == sequences.end() || context->parts.clock.now() > end) co_return all;
            if (*next != letter.sequence) continue;
            ++next;
            const auto estimate = co_await estimate_letter(std::move(letter.message));
            all.sum.add(estimate);
            all.letters += 1;
            all.failing += estimate.error.empty() ? 0 : 1;
        }
    }
    co_return all;
}

asio::awaitable<Response> dry_run(Context context, std::string queue, DeadLetterOrder order) {
    auto result = co_await context->parts.broker.redrive(queue, order.filter, order.per_second, true);
    if (!result) co_return problem(result.error());
    if (!context->options.estimate_letter.contains(queue)) co_return redrive_answer(200, *result, true);
    const auto place = enter_dry_run(context);
    if (!place) co_return dry_runs_are_many();
    auto all = co_await estimate_letters(context, queue, std::move(result->sequences));
    if (!all) co_return problem(all.error());
    auto loads = all->sum.loads;
    Timing timing = co_await timing_of(context, std::move(loads));
    if (order.per_second > 0)
        timing.done =
            std::max(timing.done.value_or(0), static_cast<double>(result->matched) / order.per_second);
    json::object answer{{"matched", result->matched},
                        {"moved", 0},
                        {"dryRun", true},
                        {"estimated", all->letters},
                        {"failing", all->failing},
                        {"model", all->sum.model},
                        {"calls", all->sum.calls},
                        {"promptTokens", all->sum.prompt_tokens},
                        {"outputTokensMax", all->sum.output_tokens_max},
                        {"costMax", static_cast<double>(all->sum.micros) / 1'000'000}};
    add_timing(answer, timing);
    co_return json_answer(200, json_text(answer));
}

asio::awaitable<void> redrive_by_itself(Context context, std::string queue, DeadLetterOrder order) {
    const std::string name = queue;
    const broker::DeadLetterFilter filter = order.filter;
    try {
        const auto result = co_await context->parts.broker.redrive(queue, filter, order.per_second, false);
        if (!result) telemetry::log_warning("redrive", name, result.error().detail);
    } catch (const MachineError& broken) {
        telemetry::log_error("redrive", name, broken.what());
    }
    context->redriving.erase(name);
}

/// A state's name in a query, and which messages it means.
struct StateName {
    std::string_view name;
    std::optional<broker::State> state;
    bool dead_letters;
};
constexpr std::array kStates = {
    StateName{"", std::nullopt, false},
    StateName{"active", broker::State::active, false},
    StateName{"deferred", broker::State::deferred, false},
    StateName{"scheduled", broker::State::scheduled, false},
    StateName{"deadLettered", std::nullopt, true},
    StateName{"dead-lettered", std::nullopt, true},
};

/// A page of messages and where the next one begins.
struct Page {
    json::array messages;
    std::int64_t next = 0;   ///< 0: this was the last
};

/// Peeks until the page is full or the queue ends: messages of other states are passed over, a bounded number
/// of them.
asio::awaitable<Result<Page>> peek_page(Context context, std::string entity,
                                        std::optional<broker::State> state, std::int64_t from,
                                        std::size_t limit) {
    constexpr int rounds_max = 20;
    Page page;
    for (int round = 0; round < rounds_max && page.messages.size() < limit; ++round) {
        auto found = co_await context->parts.broker.peek(entity, from, limit);
        if (!found) co_return found.error();
        for (const auto& delivery : *found) {
            if (page.messages.size() == limit) break;
            from = delivery.sequence + 1;
            if (!state || delivery.state == *state) page.messages.push_back(view_of(delivery, kBodyShownMax));
        }
        page.next = found->size() < limit ? 0 : from;
        if (page.next == 0) break;
    }
    co_return page;
}

}  // namespace

asio::awaitable<Response> list_queues(Context context, Call call) {
    if (auto wrong = unknown_parameter(call.request, {})) co_return problem(*wrong);
    json::array queues;
    for (const auto& counts : context->parts.broker.counts()) queues.push_back(view_of(counts));
    co_return json_answer(200, json_text(json::object{{"queues", std::move(queues)}}));
}

asio::awaitable<Response> get_queue(Context context, Call call) {
    const auto counts = context->parts.broker.counts(call.arguments.front());
    if (!counts) co_return problem(counts.error());
    co_return json_answer(200, json_text(view_of(*counts)));
}

asio::awaitable<Response> list_messages(Context context, Call call) {
    if (auto wrong = unknown_parameter(call.request, {"state", "from", "limit"})) co_return problem(*wrong);
    const auto from = integer_parameter(call.request, "from", 0, INT64_MAX, 0);
    if (!from) co_return problem(from.error());
    const auto limit = integer_parameter(call.request, "limit", 1, kPeekMax, 20);
    if (!limit) co_return problem(limit.error());
    const std::string_view word = call.request.parameter("state");
    const auto state =
        std::find_if(kStates.begin(), kStates.end(), [&](const auto& one) { return one.name == word; });
    if (state == kStates.end())
        co_return problem(400, "?state must be active, deferred, scheduled or deadLettered");
    const std::string queue = call.arguments.front();
    const std::string entity = state->dead_letters ? broker::dead_letter_queue_of(queue) : queue;
    auto page = co_await peek_page(context, entity, state->state, *from, static_cast<std::size_t>(*limit));
    if (!page) co_return problem(page.error());
    json::object body{{"queue", queue}, {"messages", std::move(page->messages)}};
    body["next"] = page->next == 0 ? json::value(nullptr) : json::value(page->next);
    co_return json_answer(200, json_text(body));
}

asio::awaitable<Response> redrive_dead_letters(Context context, Call call) {
    auto order = read_order(call.request, kRedriveMembers);
    if (!order) co_return problem(order.error());
    const auto counts = context->parts.broker.counts(call.arguments.front());
    if (!counts) co_return problem(counts.error());
    const std::string queue = counts->name;  // as it was made, however the caller spells it
    constexpr char under_way[] = "a redrive of this queue is under way; ask again when it has ended";
    if (context->redriving.contains(queue)) co_return problem(409, under_way);
    if (order->dry_run) co_return co_await dry_run(context, queue, std::move(*order));
    auto plan = co_await context->parts.broker.redrive(queue, order->filter, order->per_second, true);
    if (!plan) co_return problem(plan.error());
    if (takes_long(plan->matched, order->per_second)) {
        if (!context->redriving.insert(queue).second) co_return problem(409, under_way);
        spawn(context->io, redrive_by_itself(context, queue, std::move(*order)));
        co_return redrive_answer(202, *plan, false);
    }
    auto result = co_await context->parts.broker.redrive(queue, order->filter, order->per_second, false);
    if (!result) co_return problem(result.error());
    co_return redrive_answer(200, *result, false);
}

asio::awaitable<Response> drop_dead_letters(Context context, Call call) {
    auto order = read_order(call.request, kDropMembers);
    if (!order) co_return problem(order.error());
    const std::string queue = call.arguments.front();
    auto plan = co_await context->parts.broker.redrive(queue, order->filter, 0, true);
    if (!plan) co_return problem(plan.error());
    std::uint64_t dropped = 0;
    if (!order->dry_run) {
        auto result = co_await context->parts.broker.drop_dead_letters(queue, order->filter);
        if (!result) co_return problem(result.error());
        dropped = *result;
    }
    co_return json_answer(
        200, json_text(
                 json::object{{"matched", plan->matched}, {"dropped", dropped}, {"dryRun", order->dry_run}}));
}

}  // namespace millrace::http
