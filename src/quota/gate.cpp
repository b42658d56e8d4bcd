#include "quota/gate.hpp"

#include "telemetry/log.hpp"

#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/this_coro.hpp>

#include <algorithm>
#include <utility>

namespace millrace::quota {

namespace {

constexpr std::size_t kSmallerMax = 64;  // how far behind the first one a smaller call is looked for
constexpr Duration kStoreRetry{1'000};

}  // namespace

Gate::Gate(asio::any_io_executor io, Ledger& ledger, Clock& clock, GateOptions options)
    : ledger_(ledger),
      clock_(clock),
      options_(std::move(options)),
      line_(options_.weights),
      changed_(io),
      tasks_(io,
             [](const std::string& name, const char* what) { telemetry::log_error("quota", name, what); }) {}

Gate::~Gate() = default;

void Gate::enter(std::shared_ptr<Applicant> applicant) {
    if (stopped_) return applicant->refuse({Refusal::Kind::stopped, "the process ends"});
    if (applicant->since == TimePoint{}) applicant->since = clock_.now();
    const bool asks = is_reason_to_ask(*applicant);
    line_.add(std::move(applicant));
    if (!running_) {
        running_ = true;
        tasks_.start("gate of " + options_.deployment, run());
        tasks_.start("lease of " + options_.deployment, keep_lease());
    } else if (asks) {
        wake();
    }
}

/// One that joins those who wait for tokens changes nothing, unless it may go before them.
bool Gate::is_reason_to_ask(const Waiter& fresh) const {
    if (line_.empty() || waits_for_.empty()) return true;
    if (waits_for_ == "throttled") return false;
    const bool first =
        fresh.urgency == Urgency::interactive && line_.first(1).front()->urgency == Urgency::batch;
    return first || (waits_for_ == "tokens" && fresh.part.tokens < smallest_asked_);
}

bool Gate::withdraw(const std::shared_ptr<Applicant>& applicant) { return line_.remove(applicant); }

asio::awaitable<void> Gate::settle(const Pass& pass, Ending ending, std::vector<Bill> bills) {
    running_calls_.calls -= 1;
    running_calls_.interactive -= pass.reservation.interactive();
    running_calls_.tokens -= pass.reservation.tokens;
    Unsettled call{pass.reservation, std::move(ending), std::move(bills)};
    auto trying = try_to_settle(call);
    const bool settled = co_await std::move(trying);
    if (!settled && !stopped_) {
        unsettled_.push_back(std::move(call));
        if (!std::exchange(settling_again_, true)) tasks_.start("settle again", settle_again());
    }
    wake();
}

asio::awaitable<bool> Gate::try_to_settle(Unsettled call) {
    try {
        co_await ledger_.settle(options_.deployment, options_.limits, call.reservation,
                                std::move(call.ending), std::move(call.bills));
        co_return true;
    } catch (const MachineError& broken) {
        telemetry::log_error("quota", options_.deployment, broken.what());
    }
    miscounted_ = true;
    co_return false;
}

/// Until the ledger knows of every call that has ended.
asio::awaitable<void> Gate::settle_again() {
    while (!unsettled_.empty()) {
        co_await clock_.sleep_for(kStoreRetry);
        auto trying = try_to_settle(unsettled_.front());
        const bool settled = co_await std::move(trying);
        if (settled) unsettled_.pop_front();
    }
    settling_again_ = false;
    wake();
}

void Gate::wake() {
    changes_ += 1;
    changed_.notify();
}

/// Until something has changed since `changes_` was `seen`, also while nobody waited yet.
asio::awaitable<void> Gate::wait_for_change(std::uint64_t seen) {
    while (changes_ == seen) co_await changed_.wait();
}

asio::awaitable<void> Gate::run() {
    using namespace asio::experimental::awaitable_operators;
    while (!stopped_) {
        const std::uint64_t seen = changes_;
        bool ask_again = false;
        if (!line_.empty()) {
            std::string broken;
            try {
                ask_again = co_await ask();
            } catch (const MachineError& error) {
                broken = error.what();
            }
            if (!broken.empty()) {
                miscounted_ = true;
                telemetry::log_error("quota", options_.deployment, broken);
                again_ = clock_.now() + kStoreRetry;
            }
        }
        if (ask_again) continue;
        const TimePoint until = line_.empty() ? kNever : again_;
        auto sleeping = clock_.sleep_until(until);
        auto changed = wait_for_change(seen);
        auto first = std::move(sleeping) || std::move(changed);
        co_await std::move(first);
    }
}

/// Asks the ledger for the first of the line; true if something went, so that there is more to ask for.
asio::awaitable<bool> Gate::ask() {
    std::vector<Line::Item> parts;
    std::vector<Line::Item> smaller;
    choose(parts, smaller);
    Application application;
    application.urgency = parts.front()->urgency;
    application.since = parts.front()->since;
    for (const auto& one : parts) application.parts.push_back(one->part);
    for (const auto& one : smaller) application.smaller.push_back(one->part);
    struct Asking {
        bool& asking;
        explicit Asking(bool& flag) : asking(flag) { asking = true; }
        ~Asking() { asking = false; }
    };
    std::optional<Asking> asking(asking_);
    auto reserving = ledger_.reserve(options_.deployment, options_.limits, std::move(application));
    const Answer answer = co_await std::move(reserving);
    asking.reset();
    if (stopped_) {  // all that waited was refused meanwhile
        const auto to_the_end = asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
        co_await to_the_end;
        auto giving = give_back(answer.verdict, std::move(parts), std::move(smaller));
        co_await std::move(giving);
        co_return false;
    }
    if (answer.capped) {
        refuse(parts.front(), {Refusal::Kind::capped, answer.capped->why, answer.capped->until});
        co_return true;
    }
    if (answer.verdict.kind == Verdict::Kind::too_large) {
        refuse(parts.front(), {Refusal::Kind::too_large,
                               "the call needs more tokens than the whole quota of "
                               "deployment \"" +
                                   options_.deployment + "\""});
        co_return true;
    }
    if (answer.verdict.kind == Verdict::Kind::wait) {
        waits_for_ = answer.verdict.why;
        again_ = answer.verdict.again;
        smallest_asked_ = parts.front()->part.tokens;
        for (const auto& one : smaller) smallest_asked_ = std::min(smallest_asked_, one->part.tokens);
        co_return false;
    }
    waits_for_ = {};
    grant(answer.verdict, parts, smaller);
    co_return true;
}

/// What shares the first one's request, and what may go instead of it.
void Gate::choose(std::vector<Line::Item>& parts, std::vector<Line::Item>& smaller) const {
    const std::size_t inputs_max = options_.inputs_fit ? options_.inputs_fit() : options_.inputs_max;
    const std::size_t look = std::max(inputs_max, kSmallerMax + 1);
    const auto order = line_.first(look);
    parts.push_back(order.front());
    std::size_t inputs = order.front()->count;
    std::int64_t tokens = order.front()->part.tokens;
    for (std::size_t i = 1; i < order.size(); ++i) {
        const auto& one = order[i];
        const bool mate =
            parts.front()->packs && one->packs && one->pack == parts.front()->pack &&
            one->urgency == parts.front()->urgency && inputs + one->count <= inputs_max &&
            (options_.request_tokens_max == 0 || tokens + one->part.tokens <= options_.request_tokens_max);
        if (mate) {
            parts.push_back(one);
            inputs += one->count;
            tokens += one->part.tokens;
        }
        if (one->part.tokens < parts.front()->part.tokens && smaller.size() < kSmallerMax)
            smaller.push_back(one);
    }
}

void Gate::grant(const Verdict& verdict, const std::vector<Line::Item>& parts,
                 const std::vector<Line::Item>& smaller) {
    Pass pass{verdict.reservation, {}};
    const std::size_t count = std::max<std::size_t>(verdict.parts, 1);
    for (std::size_t i = 0; i < count; ++i)
        pass.group.push_back(verdict.parts > 0 ? parts[i] : smaller[verdict.smaller]);
    running_calls_.calls += 1;
    running_calls_.interactive += pass.reservation.interactive();
    running_calls_.tokens += pass.reservation.tokens;
    // Who has left the line meanwhile is let go all the same: its share is settled by whoever carries it.
    for (const auto& one : pass.group) line_.take(one);
    const auto leader = std::static_pointer_cast<Applicant>(pass.group.front());
    leader->go(std::move(pass));
}

void Gate::refuse(const Line::Item& item, Refusal refusal) {
    if (!line_.remove(item)) return;
    std::static_pointer_cast<Applicant>(item)->refuse(std::move(refusal));
}

void Gate::refuse_all(const Refusal& refusal) {
    for (const auto& one : line_.first(line_.size())) refuse(one, refusal);
}

/// The provider sees nothing of what was granted.
asio::awaitable<void> Gate::give_back(Verdict verdict, std::vector<Line::Item> parts,
                                      std::vector<Line::Item> smaller) {
    if (verdict.kind != Verdict::Kind::granted) co_return;
    Unsettled call{verdict.reservation, {}, {}};
    call.ending.kind = Ending::Kind::unsent;
    if (verdict.parts == 0) parts = {smaller[verdict.smaller]};
    parts.resize(std::max<std::size_t>(verdict.parts, 1));
    for (const auto& one : parts) call.bills.push_back({one->part.tenant, one->part.micros});
    auto trying = try_to_settle(std::move(call));
    const bool settled = co_await std::move(trying);
    (void)settled;  // else it ends with this process's lease
}

asio::awaitable<void> Gate::renew() {
    // Nothing that is under way in the store changes the count meanwhile.
    const bool counts = miscounted_ && !asking_ && unsettled_.empty();
    const std::uint64_t before = changes_;
    std::optional<Running> running;
    if (counts) running = running_calls_;
    try {
        auto renewing = ledger_.renew(options_.deployment, static_cast<std::int64_t>(line_.size()),
                                      line_.tokens(), running);
        co_await std::move(renewing);
        if (counts && changes_ == before) miscounted_ = false;
        if (counts) wake();
    } catch (const MachineError& broken) {
        telemetry::log_error("quota", options_.deployment, broken.what());
    }
}

/// Others learn from the ledger that this process is alive and what waits in it.
asio::awaitable<void> Gate::keep_lease() {
    bool idle = false;
    while (!stopped_) {
        const bool nothing = line_.empty() && running_calls_.calls == 0;
        if (!nothing || !idle) co_await renew();
        idle = nothing;
        co_await clock_.sleep_for(Page::kLease / 3);
    }
}

asio::awaitable<void> Gate::stop() {
    if (std::exchange(stopped_, true)) co_return;
    refuse_all({Refusal::Kind::stopped, "the process ends"});
    wake();
    co_await tasks_.stop();
    if (!running_ || running_calls_.calls > 0) co_return;  // what is still running ends with its lease
    try {
        co_await ledger_.leave(options_.deployment);
    } catch (const MachineError&) {
        // The lease ends by itself.
    }
}

}  // namespace millrace::quota
