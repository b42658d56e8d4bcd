#include "base/deep_json.hpp"
#include "provider/paced_work.hpp"
#include "provider/request_tokens.hpp"
#include "telemetry/log.hpp"

#include <boost/json.hpp>

#include <algorithm>
#include <iterator>

namespace millrace::provider {

namespace {

/// A call that is on its way so long after its admission may end when its place in the window is gone.
constexpr Duration kLate{1'000};
constexpr std::size_t kCountBytesMax = 16 * 1024;  // a longer text would hold the I/O thread up

}  // namespace

Failure failure_for_refusal(const quota::Refusal& refusal, TimePoint now) {
    switch (refusal.kind) {
        case quota::Refusal::Kind::too_large: return {FailureKind::rejected, 413, refusal.why};
        case quota::Refusal::Kind::capped:
            return {FailureKind::held, 0, refusal.why, std::max(refusal.again - now, Duration(1))};
        case quota::Refusal::Kind::stopped: return {FailureKind::held, 0, refusal.why, Duration(1)};
        case quota::Refusal::Kind::unavailable: break;
    }
    return {FailureKind::unavailable, 0, refusal.why};
}

quota::Report report_of(const RateHeaders& headers) {
    quota::Report report;
    report.limit_tokens = headers.limit_tokens;
    report.limit_requests = headers.limit_requests;
    report.remaining_tokens = headers.remaining_tokens;
    report.retry_after = headers.retry_after;
    return report;
}

quota::Urgency urgency_of(Priority priority) {
    return priority == Priority::batch ? quota::Urgency::batch : quota::Urgency::interactive;
}

/// The provider never saw the call, or not the whole of it.
bool Paced::is_unsent(const Called& called) {
    if (!called.failure || called.failure->status != 0) return false;
    return called.failure->kind == FailureKind::rejected || !called.sent_at;
}

/// It was sent, and nothing came back that says what it cost: it may have been billed.
bool Paced::cost_is_unknown(const Called& called) {
    if (!called.sent_at || called.usage != Usage{} || is_unsent(called)) return false;
    if (!called.failure) return called.abandoned;
    const int status = called.failure->status;
    return called.failure->kind != FailureKind::throttled && (status == 0 || (status >= 200 && status < 300));
}

/// Notes in what it answers what is heard of the call of `context`.
std::shared_ptr<Paced::Heard> Paced::listen(CallContext& context, const quota::Pass& pass) {
    auto heard = std::make_shared<Heard>();
    context.on_rate = [heard](const RateHeaders& headers) { heard->rate = headers; };
    context.on_sent = [heard, this, reservation = pass.reservation, caller = std::move(context.on_sent)] {
        if (caller) caller();
        if (heard->told) return;
        heard->sent_at = clock_.now();
        if (*heard->sent_at - reservation.at < kLate) return;
        heard->told = true;
        tasks_.start("sent late", tell_sent(reservation, *heard->sent_at));
    };
    return heard;
}

asio::awaitable<void> Paced::tell_sent(quota::Reservation reservation, TimePoint at) {
    try {
        co_await gate_.sent(reservation, at);
    } catch (const MachineError& broken) {
        telemetry::log_error("quota", gate_.options().deployment, broken.what());
    }
}

Paced::Paced(asio::any_io_executor io, Provider& inner, quota::Gate& gate, Clock& clock, PacedOptions options)
    : io_(io),
      inner_(inner),
      gate_(gate),
      clock_(clock),
      options_(std::move(options)),
      tasks_(io,
             [](const std::string& name, const char* what) { telemetry::log_error("quota", name, what); }) {}

Paced::~Paced() = default;

asio::awaitable<void> Paced::stop() { co_await tasks_.stop(); }

void Paced::enter(const std::shared_ptr<Work>& work) { gate_.enter(work); }

std::int64_t Paced::count(std::string_view text) const {
    if (options_.count && text.size() <= kCountBytesMax) return options_.count(text);
    return estimate_tokens(text);
}

/// What may come out: as asked, else the default; less where the whole quota is less.
std::int64_t Paced::output_tokens(std::int64_t asked, std::int64_t prompt) const {
    std::int64_t most = asked > 0 ? asked : options_.output_tokens_default;
    const std::int64_t limit = options_.limits.tokens_per_minute;
    if (asked == 0 && limit > prompt) most = std::min(most, limit - prompt);
    return most;
}

/// Returns when the work is done; a caller that is cancelled leaves the line.
asio::awaitable<void> Paced::await_end(std::shared_ptr<Work> work) {
    struct Leave {
        Paced& paced;
        std::shared_ptr<Work> work;
        ~Leave() {
            if (work->is_done) return;
            work->abandoned = true;
            paced.gate_.withdraw(work);
        }
    } const leave{*this, work};
    while (!work->is_done) co_await work->ended.wait();
}

std::optional<Duration> Paced::pause_before_retry(const Failure& failure, int tries_done) {
    RetryInput input{failure.kind};
    input.retry_after = failure.retry_after;
    input.tries_done = tries_done;
    input.tries_max = options_.tries_max;
    input.random = static_cast<double>(random_() >> 11) * 0x1p-53;
    if (failure.kind != FailureKind::transient || failure.status == 200) return std::nullopt;
    return wait_before_retry(input);
}

asio::awaitable<void> Paced::settle(const quota::Pass& pass, const Called& called) {
    quota::Ending ending;
    ending.report = called.report;
    ending.sent_at = called.sent_at;
    ending.told = called.told;
    const bool throttled = called.failure && called.failure->kind == FailureKind::throttled;
    ending.report.throttled = throttled;
    if (throttled && called.failure->retry_after) ending.report.retry_after = called.failure->retry_after;
    if (is_unsent(called)) ending.kind = quota::Ending::Kind::unsent;
    ending.used = called.usage.prompt_tokens + called.usage.completion_tokens;
    if (!throttled && *ending.used == 0) ending.used.reset();  // nobody knows
    std::vector<std::int64_t> weights;
    for (const auto& item : pass.group) weights.push_back(item->part.tokens);
    const auto prompts = divide(called.usage.prompt_tokens, weights);
    const auto completions = divide(called.usage.completion_tokens, weights);
    const auto cached = divide(called.usage.cached_tokens, weights);
    std::vector<quota::Bill> bills;
    for (std::size_t i = 0; i < pass.group.size(); ++i) {
        const quota::Part& part = pass.group[i]->part;
        quota::Bill bill{part.tenant, part.micros};
        bill.prompt_tokens = prompts[i];
        bill.completion_tokens = completions[i];
        bill.micros = options_.price.micros(prompts[i], completions[i], std::min(cached[i], prompts[i]));
        if (cost_is_unknown(called)) bill.micros = bill.reserved_micros;
        bills.push_back(std::move(bill));
    }
    co_await gate_.settle(pass, std::move(ending), std::move(bills));
}

asio::awaitable<void> Paced::settle_later(quota::Pass pass, Called called) { co_await settle(pass, called); }

/// A call that shares its request with nobody. `ask` makes it, once for each try.
template <class T, class F>
asio::awaitable<Outcome<T>> Paced::alone(std::int64_t prompt, std::int64_t output, CallContext context,
                                         F ask) {
    auto work = std::make_shared<Work>(io_);
    work->part = {prompt + output, context.tenant, options_.price.micros(prompt, output)};
    work->urgency = urgency_of(context.priority);
    auto pass = std::make_shared<std::optional<quota::Pass>>();
    std::weak_ptr<Work> weak = work;
    work->go = [this, weak, pass](quota::Pass granted) {
        const auto alive = weak.lock();
        if (alive && !alive->abandoned) {
            *pass = std::move(granted);
            return alive->done();
        }
        Called never;
        never.failure = Failure{FailureKind::rejected, 0, "nobody waits for it"};
        tasks_.start("give back", settle_later(std::move(granted), std::move(never)));
    };
    work->refuse = [this, raw = work.get()](const quota::Refusal& refusal) {
        raw->failure = failure_for_refusal(refusal, clock_.now());
        raw->done();
    };
    for (int tries = 1;;) {
        work->is_done = false;
        work->failure.reset();
        enter(work);
        co_await await_end(work);
        if (work->failure) co_return *work->failure;
        auto granted = std::make_shared<quota::Pass>(std::move(**pass));
        CallContext of_call = context;
        const auto heard = listen(of_call, *granted);
        // A caller that is cancelled while the provider works: nobody knows what it cost.
        std::shared_ptr<void> settling(nullptr, [this, granted, heard](void*) {
            if (granted->group.empty()) return;
            Called unknown;
            unknown.sent_at = heard->sent_at;
            unknown.told = heard->told;
            unknown.abandoned = true;
            tasks_.start("settle", settle_later(std::move(*granted), std::move(unknown)));
        });
        auto asked = ask(std::move(of_call));
        Outcome<T> outcome = co_await std::move(asked);
        const Called called{failure_of(outcome), usage_of(outcome), report_of(heard->rate), heard->sent_at,
                            heard->told};
        const quota::Pass ended = std::exchange(*granted, {});
        co_await settle(ended, called);
        if (outcome) co_return outcome;
        if (outcome.error().kind == FailureKind::throttled) continue;  // the gate has learned of it
        const auto pause = pause_before_retry(outcome.error(), tries++);
        if (!pause) co_return outcome;
        co_await clock_.sleep_for(*pause);
    }
}

asio::awaitable<Outcome<Completion>> Paced::complete(CompletionRequest request, CallContext context) {
    const std::int64_t prompt =
        count(request.instructions) + count(request.input) + count(request.schema) + 16;
    request.output_tokens_max = output_tokens(request.output_tokens_max, prompt);
    const std::int64_t output = request.output_tokens_max;
    auto ask = [this, request = std::move(request)](CallContext of_call) {
        return inner_.complete(request, std::move(of_call));
    };
    auto asked = alone<Completion>(prompt, output, std::move(context), std::move(ask));
    co_return co_await std::move(asked);
}

asio::awaitable<Outcome<RawAnswer>> Paced::call(RawRequest request, CallContext context) {
    boost::system::error_code bad;
    const auto parsed = boost::json::parse(request.body, bad, {}, kDeepJson);
    const bool embeds = request.endpoint == "/v1/embeddings";
    std::int64_t prompt = 0;
    std::int64_t output = 0;
    std::optional<EmbeddingsRequest> embeddings;
    if (bad || !parsed.is_object()) {
        prompt = count(request.body);
    } else {
        // As `count`, with one bound on all texts together.
        const auto of_text = [this, left = kCountBytesMax](std::string_view text) mutable {
            const bool exact = text.size() <= left;
            left -= exact ? text.size() : 0;
            return static_cast<std::size_t>(exact ? count(text) : estimate_tokens(text));
        };
        const auto tokens = tokens_of_request(parsed.get_object(), request.endpoint, of_text);
        prompt = tokens.prompt;
        if (embeds)
            embeddings = read_embeddings_request(parsed.get_object());
        else
            output = tokens.output(output_tokens(0, prompt));
    }
    if (embeddings) {
        auto sharing = call_shared(std::move(request), std::move(*embeddings), prompt, std::move(context));
        co_return co_await std::move(sharing);
    }
    auto ask = [this, request = std::move(request)](CallContext of_call) {
        return inner_.call(request, std::move(of_call));
    };
    auto asked = alone<RawAnswer>(prompt, output, std::move(context), std::move(ask));
    co_return co_await std::move(asked);
}

}  // namespace millrace::provider
