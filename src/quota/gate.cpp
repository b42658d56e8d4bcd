#include "quota/gate.hpp"

#include "telemetry/log.hpp"

#include <boost/asio/experimental/awaitable_operators.hpp>

#include <algorithm>

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
    in_flight_ -= 1;
    co_await ledger_.settle(options_.deployment, options_.limits, pass.reservation, std::move(ending),
                            std::move(bills));
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
    auto reserving = ledger_.reserve(options_.deployment, options_.limits, std::move(application));
    const Answer answer = co_await std::move(reserving);
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
    const std::size_t look = std::max(options_.inputs_max, kSmallerMax + 1);
    const auto order = line_.first(look);
    parts.push_back(order.front());
    std::size_t inputs = order.front()->count;
    std::int64_t tokens = order.front()->part.tokens;
    for (std::size_t i = 1; i < order.size(); ++i) {
        const auto& one = order[i];
        const bool mate =
            parts.front()->packs && one->packs && one->pack == parts.front()->pack &&
            one->urgency == parts.front()->urgency && inputs + one->count <= options_.inputs_max &&
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
    in_flight_ += 1;
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

/// Others learn from the ledger that this process is alive and what waits in it.
asio::awaitable<void> Gate::keep_lease() {
    bool idle = false;
    while (!stopped_) {
        const bool nothing = line_.empty() && in_flight_ == 0;
        if (!nothing || !idle) {
            try {
                auto renewing = ledger_.renew(options_.deployment, static_cast<std::int64_t>(line_.size()),
                                              line_.tokens());
                co_await std::move(renewing);
            } catch (const MachineError& broken) {
                telemetry::log_error("quota", options_.deployment, broken.what());
            }
        }
        idle = nothing;
        co_await clock_.sleep_for(Page::kLease / 3);
    }
}

asio::awaitable<void> Gate::stop() {
    if (std::exchange(stopped_, true)) co_return;
    refuse_all({Refusal::Kind::stopped, "the process ends"});
    wake();
    co_await tasks_.stop();
    if (!running_ || in_flight_ > 0) co_return;  // what is still running ends with its lease
    try {
        co_await ledger_.leave(options_.deployment);
    } catch (const MachineError&) {
        // The lease ends by itself.
    }
}

}  // namespace millrace::quota
