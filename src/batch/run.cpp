#include "batch/run.hpp"

#include <boost/asio/experimental/awaitable_operators.hpp>

#include <boost/asio/this_coro.hpp>

#include <algorithm>
#include <utility>

namespace millrace::batch {

using namespace asio::experimental::awaitable_operators;
using provider::Failure;
using provider::FailureKind;
using provider::Outcome;
using provider::RawAnswer;

namespace {

constexpr std::size_t kLinesPerPiece = 64;
constexpr std::size_t kPieceBytes = 1 * limits::kMiB;
constexpr std::size_t kPoolBytesMin = 64 * limits::kKiB;  ///< larger answers are written out on the pool
constexpr Duration kWaitMin = std::chrono::seconds(1);
constexpr Duration kWaitMax = std::chrono::minutes(1);

/// The provider, or the process that ends, has no room now: the line is not to blame.
bool is_wait(FailureKind kind) {
    return kind == FailureKind::throttled || kind == FailureKind::held || kind == FailureKind::unavailable;
}

/// Before the next try: as asked, else doubling from a second; at most a minute; the upper half at random.
Duration wait_time(const Failure& failure, int tries_done, double random) {
    if (failure.retry_after) return std::clamp<Duration>(*failure.retry_after, Duration(1), kWaitMax);
    const Duration longest = std::min<Duration>(kWaitMin * (1 << std::min(tries_done, 6)), kWaitMax);
    return longest / 2 +
           Duration(static_cast<std::int64_t>(static_cast<double>(longest.count() / 2) * random));
}

/// Which lines have a result; grows as needed.
struct Done {
    std::vector<bool> lines;
    bool has(std::int64_t number) const {
        return static_cast<std::size_t>(number) < lines.size() && lines[static_cast<std::size_t>(number)];
    }
    /// False if it had one.
    bool add(std::int64_t number) {
        const auto at = static_cast<std::size_t>(number);
        if (at >= lines.size()) lines.resize(std::max(at + 1, lines.size() * 2));
        const bool had = lines[at];
        lines[at] = true;
        return !had;
    }
};

}  // namespace

/// The input and where it is read; used by one task of the pool at a time.
class Run::Reading {
  public:
    Reading(std::unique_ptr<LineReader> reader, std::string endpoint)
        : reader_(std::move(reader)), endpoint_(std::move(endpoint)) {}

    /// The next lines without a result; none at the end.
    std::vector<RequestLine> next(const Done& done) {
        std::vector<RequestLine> lines;
        std::size_t bytes = 0;
        while (lines.size() < kLinesPerPiece && bytes < kPieceBytes && reader_->next(line_)) {
            if (done.has(line_.number)) continue;
            lines.push_back(read_request_line(line_, endpoint_));
            bytes += lines.back().body.size();
        }
        return lines;
    }

  private:
    std::unique_ptr<LineReader> reader_;
    std::string endpoint_;
    Line line_;
};

struct Run::State {
    State(asio::any_io_executor executor, CpuPool& cpu, Clock& time, const Target& deployment, RunPaths files,
          RunOptions chosen)
        : io(executor),
          pool(cpu),
          clock(time),
          target(deployment),
          paths(std::move(files)),
          options(std::move(chosen)),
          changed(io),
          stopping(io),
          tasks(io, [](const std::string&, const char*) {}) {}

    asio::any_io_executor io;
    CpuPool& pool;
    Clock& clock;
    const Target& target;
    RunPaths paths;
    RunOptions options;
    std::unique_ptr<ResultLog> output;
    std::unique_ptr<ResultLog> errors;
    std::shared_ptr<Done> done = std::make_shared<Done>();
    RunCounts counts;
    Signal changed;   ///< a line has ended
    Signal stopping;  ///< `stop` was called
    TaskGroup tasks;
    std::size_t under_way = 0;
    std::size_t bytes_under_way = 0;
    bool stopped = false;
    bool left = false;  ///< a line was begun and has no result
    TimePoint grace_end = kNever;
    std::string refusal;
    std::exception_ptr broken;
    std::function<void()> on_progress;
    std::minstd_rand random{std::random_device{}()};

    LineRef ref(const RequestLine& line) const { return {options.id, line.number, line.custom_id}; }
    double chance() { return static_cast<double>(random()) / static_cast<double>(std::minstd_rand::max()); }
};

Run::Run(std::unique_ptr<State> state) : state_(std::move(state)) {}
Run::~Run() = default;

asio::awaitable<Result<std::unique_ptr<Run>>> Run::open(asio::any_io_executor io, CpuPool& pool, Clock& clock,
                                                        const Target& target, RunPaths paths,
                                                        RunOptions options) {
    auto state = std::make_unique<State>(io, pool, clock, target, std::move(paths), std::move(options));
    auto done = state->done;
    auto counts = std::make_shared<RunCounts>();
    const RunId id = state->options.id;
    const auto remember = [done, counts, id](std::string_view line, bool good) -> Result<void> {
        const auto stored = read_answer_line(line, id);
        if (!stored) return stored.error();
        if (!done->add(stored->number)) return {};
        auto& count = good ? counts->completed : stored->made ? counts->failed : counts->unmade;
        count += 1;
        counts->usage.prompt_tokens += stored->usage.prompt_tokens;
        counts->usage.cached_tokens += stored->usage.cached_tokens;
        counts->usage.completion_tokens += stored->usage.completion_tokens;
        return {};
    };
    ResultLog::OnLine on_answer = [remember](std::string_view line) { return remember(line, true); };
    ResultLog::OnLine on_error = [remember](std::string_view line) { return remember(line, false); };
    auto opening = ResultLog::open(io, pool, state->paths.output, std::move(on_answer));
    auto output = co_await std::move(opening);
    if (!output) co_return output.error();
    opening = ResultLog::open(io, pool, state->paths.errors, std::move(on_error));
    auto errors = co_await std::move(opening);
    if (!errors) co_return errors.error();
    state->output = std::move(*output);
    state->errors = std::move(*errors);
    state->counts = *counts;
    co_return std::unique_ptr<Run>(new Run(std::move(state)));
}

asio::awaitable<RunEnd> Run::execute() {
    State& state = *state_;
    try {
        auto reading = co_await read_input();
        auto beginning = begin_all(std::move(reading));
        co_await std::move(beginning);
    } catch (...) {
        state.broken = std::current_exception();
    }
    if (state.broken) stop(Duration::zero());
    co_await wait_for_end();
    if (state.broken) std::rethrow_exception(state.broken);
    if (!state.refusal.empty()) co_return RunEnd::refused;
    co_return state.stopped || state.left ? RunEnd::stopped : RunEnd::complete;
}

asio::awaitable<std::shared_ptr<Run::Reading>> Run::read_input() {
    auto work = [path = state_->paths.input, endpoint = state_->options.endpoint] {
        auto reader = LineReader::open(path);
        if (!reader) throw MachineError(reader.error().detail);
        return std::make_shared<Reading>(std::move(*reader), endpoint);
    };
    co_return co_await state_->pool.run(std::move(work));
}

asio::awaitable<void> Run::begin_all(std::shared_ptr<Reading> reading) {
    State& state = *state_;
    while (!state.stopped) {
        // The pool reads what this thread writes: it gets a copy, a bit for each line.
        auto work = [reading, done = *state.done] { return reading->next(done); };
        auto lines = co_await state.pool.run(std::move(work));
        if (lines.empty()) co_return;
        for (RequestLine& line : lines) {
            co_await wait_for_room(line.body.size());
            if (state.stopped) co_return;
            begin(std::move(line));
        }
    }
}

asio::awaitable<void> Run::wait_for_room(std::size_t bytes) {
    State& state = *state_;
    const bool embeds = state.options.endpoint == "/v1/embeddings";
    const std::size_t most = state.target.calls_at_once * (embeds ? state.target.lines_per_call : 1);
    const auto full = [&] {
        if (state.under_way == 0) return false;
        return state.under_way >= most || state.bytes_under_way + bytes > limits::batch_bytes_at_once_max;
    };
    while (!state.stopped && full()) co_await state.changed.wait();
}

/// Cancels what has not ended when the grace is over.
asio::awaitable<void> Run::wait_for_end() {
    State& state = *state_;
    while (state.under_way > 0) {
        if (!state.stopped) {
            co_await state.changed.wait();
            continue;
        }
        if (state.clock.now() >= state.grace_end) break;
        auto change = state.changed.wait();
        auto late = state.clock.sleep_until(state.grace_end);
        auto either = std::move(change) || std::move(late);
        co_await std::move(either);
    }
    co_await state.tasks.stop();
}

void Run::begin(RequestLine line) {
    State& state = *state_;
    state.under_way += 1;
    state.bytes_under_way += line.body.size();
    auto shared = std::make_shared<RequestLine>(std::move(line));
    state.tasks.start("line", carry(std::move(shared)));
}

/// One line from its first call to its result.
asio::awaitable<void> Run::carry(std::shared_ptr<RequestLine> line) {
    State& state = *state_;
    struct Leave {
        State& state;
        std::size_t bytes;
        ~Leave() {
            state.under_way -= 1;
            state.bytes_under_way -= bytes;
            state.changed.notify();
        }
    } const leave{state, line->body.size()};
    try {
        co_await ask(line);
    } catch (...) {
        const bool cancelled = state.stopped && state.clock.now() >= state.grace_end;
        if (!cancelled) {
            state.broken = std::current_exception();
            stop(Duration::zero());
        }
    }
    if (!state.done->has(line->number)) state.left = true;
    if (state.on_progress) state.on_progress();
}

asio::awaitable<void> Run::ask(std::shared_ptr<RequestLine> line) {
    State& state = *state_;
    int tries = 0;
    for (int waits = 0;;) {
        auto calling = call(line);
        auto outcome = co_await std::move(calling);
        if (!outcome) co_return;
        if (*outcome) {
            auto taking = take(line, std::move(**outcome));
            co_return co_await std::move(taking);
        }
        const Failure failure = outcome->error();
        const bool waits_only = is_wait(failure.kind);
        if (!waits_only) tries += 1;
        const bool again =
            waits_only || (failure.kind == FailureKind::transient && tries < state.options.tries_max);
        if (!again) co_return co_await give_up(line, failure);
        if (state.stopped) co_return;
        const Duration time = wait_time(failure, waits_only ? waits++ : tries, state.chance());
        co_await pause(time);
        if (state.stopped) co_return;
    }
}

/// Nothing if the run was stopped before the request was on its way.
asio::awaitable<std::optional<Outcome<RawAnswer>>> Run::call(std::shared_ptr<RequestLine> line) {
    State& state = *state_;
    const auto sent = std::make_shared<bool>(false);
    provider::RawRequest request{state.options.endpoint, line->body};
    provider::CallContext context;
    context.tenant = state.options.tenant;
    context.priority = provider::Priority::batch;
    context.on_sent = [sent] { *sent = true; };
    std::optional<Outcome<RawAnswer>> outcome;
    if (state.stopped) co_return outcome;
    std::exception_ptr broken;
    auto calling = [](provider::Provider& target, provider::RawRequest what, provider::CallContext whose,
                      std::optional<Outcome<RawAnswer>>& answer,
                      std::exception_ptr& thrown) -> asio::awaitable<void> {
        try {
            auto asking = target.call(std::move(what), std::move(whose));
            answer = co_await std::move(asking);
        } catch (...) {
            thrown = std::current_exception();  // `||` would wait for the other one
        }
    };
    auto asked = calling(*state.target.provider, std::move(request), std::move(context), outcome, broken);
    auto stopped = wait_for_stop(sent);
    auto either = std::move(asked) || std::move(stopped);
    const auto first = co_await std::move(either);
    if (first.index() == 0 && broken) std::rethrow_exception(broken);
    co_return outcome;
}

/// Until the run is stopped while the call of `sent` is not on its way.
asio::awaitable<void> Run::wait_for_stop(std::shared_ptr<bool> sent) {
    do {
        co_await state_->stopping.wait();
    } while (*sent);
}

/// Ends early when the run is stopped.
asio::awaitable<void> Run::pause(Duration time) {
    auto stopped = state_->stopping.wait();
    auto over = state_->clock.sleep_for(time);
    auto either = std::move(stopped) || std::move(over);
    co_await std::move(either);
}

asio::awaitable<void> Run::take(std::shared_ptr<RequestLine> line, provider::RawAnswer answer) {
    State& state = *state_;
    // It is paid for: whoever cancels the run waits until it is written down.
    const auto to_the_end = asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
    co_await to_the_end;
    const bool refused = answer.status == 401 || answer.status == 403;
    if (refused && state.options.stop_when_refused) {
        state.refusal = "the provider answered " + std::to_string(answer.status) + ": " + answer.body;
        stop(Duration::zero());
        co_return;
    }
    const bool good = answer.status >= 200 && answer.status < 300;
    const provider::Usage usage = answer.usage;
    const LineRef ref = state.ref(*line);
    std::string text;
    if (answer.body.size() < kPoolBytesMin) {
        text = answer_line(ref, answer);
    } else {
        auto work = [ref, answer = std::move(answer)] { return answer_line(ref, answer); };
        text = co_await state.pool.run(std::move(work));
    }
    ResultLog& log = good ? *state.output : *state.errors;
    co_await log.append(std::move(text));
    state.done->add(line->number);
    (good ? state.counts.completed : state.counts.failed) += 1;
    state.counts.usage.prompt_tokens += usage.prompt_tokens;
    state.counts.usage.cached_tokens += usage.cached_tokens;
    state.counts.usage.completion_tokens += usage.completion_tokens;
}

asio::awaitable<void> Run::give_up(std::shared_ptr<RequestLine> line, Failure failure) {
    State& state = *state_;
    const bool refused = failure.status == 401 || failure.status == 403;
    if (refused && state.options.stop_when_refused) {
        state.refusal = failure.detail;
        stop(Duration::zero());
        co_return;
    }
    std::string text = failure_line(state.ref(*line), failure);
    co_await state.errors->append(std::move(text));
    state.done->add(line->number);
    state.counts.failed += 1;
}

asio::awaitable<void> Run::end_unmade(std::string code, std::string message) {
    State& state = *state_;
    auto reading = co_await read_input();
    for (;;) {
        auto work = [reading, done = *state.done] { return reading->next(done); };
        auto lines = co_await state.pool.run(std::move(work));
        if (lines.empty()) co_return;
        std::string text;
        for (const RequestLine& line : lines) {
            if (!text.empty()) text += '\n';
            text += unmade_line(state.ref(line), code, message);
        }
        co_await state.errors->append(std::move(text));
        for (const RequestLine& line : lines) state.done->add(line.number);
        state.counts.unmade += static_cast<std::int64_t>(lines.size());
    }
}

void Run::stop(Duration grace) {
    State& state = *state_;
    const TimePoint end = state.clock.now() + grace;
    state.grace_end = state.stopped ? std::min(state.grace_end, end) : end;
    state.stopped = true;
    state.stopping.notify();
    state.changed.notify();
}

const RunCounts& Run::counts() const noexcept { return state_->counts; }
const std::string& Run::refusal() const noexcept { return state_->refusal; }
std::uint64_t Run::output_bytes() const noexcept { return state_->output->size(); }
std::uint64_t Run::error_bytes() const noexcept { return state_->errors->size(); }
void Run::on_progress(std::function<void()> tell) { state_->on_progress = std::move(tell); }

}  // namespace millrace::batch
