// The way to one deployment: calls wait here until the ledger lets them go.
#pragma once

#include "base/async.hpp"
#include "base/task_group.hpp"
#include "quota/ledger.hpp"
#include "quota/line.hpp"

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace millrace::quota {

struct GateOptions {
    std::string deployment;
    Limits limits;
    std::size_t inputs_max = 1;           ///< of a request that is shared
    /// Where that may change: how many it is now. Empty: `inputs_max`.
    std::function<std::size_t()> inputs_fit;
    std::int64_t request_tokens_max = 0;  ///< of a request that is shared; 0: no bound
    std::map<std::string, double> weights;  ///< of tenants
};

/// Why a call does not go.
struct Refusal {
    enum class Kind {
        too_large,    ///< it needs more than the whole quota
        capped,       ///< a spending cap; `again` says until when
        stopped,      ///< the process ends
        unavailable,  ///< the ledger is out of reach
    };
    Kind kind;
    std::string why;
    TimePoint again{};
};

/// Leave to send one request for all of `group`, in this order. Give it to `Gate::settle`, exactly once.
struct Pass {
    Reservation reservation;
    std::vector<Line::Item> group;
};

/// A piece of work and what becomes of it: one of the two functions is called, once, on the I/O thread,
/// unless it leaves the line before. `go` is called for the first of a group.
struct Applicant : Waiter {
    std::function<void(Pass)> go;
    std::function<void(Refusal)> refuse;
};

/// All calls on the I/O thread. `ledger` and `clock` outlive it.
class Gate {
  public:
    Gate(asio::any_io_executor io, Ledger& ledger, Clock& clock, GateOptions options);
    ~Gate();
    Gate(const Gate&) = delete;

    void enter(std::shared_ptr<Applicant> applicant);
    /// The work does not wait any more; nothing is called. False if it has gone already.
    bool withdraw(const std::shared_ptr<Applicant>& applicant);
    /// How the call of a pass ended. While the store is out of reach it is kept and told again.
    asio::awaitable<void> settle(const Pass& pass, Ending ending, std::vector<Bill> bills);

    /// The call of `reservation` was sent late, at `at`.
    asio::awaitable<void> sent(Reservation reservation, TimePoint at) {
        return ledger_.sent(options_.deployment, reservation, at);
    }

    std::size_t waiting() const noexcept { return line_.size(); }
    std::int64_t waiting_tokens() const noexcept { return line_.tokens(); }
    /// What the first one waits for: "", "tokens", "requests", "calls", "pacing", "throttled", "turn".
    std::string_view waits_for() const noexcept { return waits_for_; }
    /// When the first one asks again.
    TimePoint again() const noexcept { return again_; }
    const GateOptions& options() const noexcept { return options_; }
    asio::awaitable<PageView> view() { return ledger_.view(options_.deployment, options_.limits); }

    /// Refuses all that wait and gives this process's place up.
    asio::awaitable<void> stop();

  private:
    struct Unsettled {
        Reservation reservation;
        Ending ending;
        std::vector<Bill> bills;
    };

    asio::awaitable<void> run();
    asio::awaitable<bool> try_to_settle(Unsettled call);
    asio::awaitable<void> settle_again();
    asio::awaitable<void> renew();
    asio::awaitable<void> give_back(Verdict verdict, std::vector<Line::Item> parts,
                                    std::vector<Line::Item> smaller);
    void wake();
    asio::awaitable<void> wait_for_change(std::uint64_t seen);
    asio::awaitable<void> keep_lease();
    asio::awaitable<bool> ask();
    void grant(const Verdict& verdict, const std::vector<Line::Item>& parts,
               const std::vector<Line::Item>& smaller);
    void refuse(const Line::Item& item, Refusal refusal);
    void refuse_all(const Refusal& refusal);
    bool is_reason_to_ask(const Waiter& fresh) const;
    void choose(std::vector<Line::Item>& parts, std::vector<Line::Item>& smaller) const;

    Ledger& ledger_;
    Clock& clock_;
    GateOptions options_;
    Line line_;
    Signal changed_;
    TaskGroup tasks_;
    std::uint64_t changes_ = 0;
    bool running_ = false;
    bool stopped_ = false;
    Running running_calls_;
    bool asking_ = false;
    /// The ledger may count calls that have ended: a transaction failed, and nobody knows what of it is
    /// stored.
    bool miscounted_ = false;
    std::deque<Unsettled> unsettled_;
    bool settling_again_ = false;
    std::string_view waits_for_;
    TimePoint again_{};
    std::int64_t smallest_asked_ = 0;  ///< tokens of the smallest piece that was asked for and had to wait
};

}  // namespace millrace::quota
