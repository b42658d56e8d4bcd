// The ledger of all deployments in the store: every process that shares the store shares it.
#pragma once

#include "quota/page.hpp"
#include "quota/spend.hpp"
#include "store/database.hpp"

#include <boost/asio/awaitable.hpp>

#include <optional>
#include <string>
#include <vector>

namespace millrace::quota {

namespace asio = boost::asio;

/// A piece of work that takes part in one call.
struct Part {
    std::int64_t tokens = 0;  ///< counted prompt and maximum output
    std::string tenant;
    std::int64_t micros = 0;  ///< what it costs at most
};

/// One request to a deployment; see `Ask`.
struct Application {
    std::vector<Part> parts;
    std::vector<Part> smaller;
    Urgency urgency = Urgency::interactive;
    TimePoint since{};
};

/// A spending cap forbids the first part until `until`.
struct Capped {
    std::string why;  ///< one line
    TimePoint until{};
};

struct Answer {
    Verdict verdict;
    std::optional<Capped> capped;  ///< then nothing was granted, whatever the verdict says
};

/// What one part cost in the end.
struct Bill {
    std::string tenant;
    std::int64_t reserved_micros = 0;
    std::int64_t micros = 0;
    std::int64_t prompt_tokens = 0;
    std::int64_t completion_tokens = 0;
};

/// A deployment as operators see it.
struct PageView {
    std::string deployment;
    std::int64_t tokens_per_minute = 0;  ///< that holds now; 0: no limit is known
    std::int64_t requests_per_minute = 0;
    std::int64_t tokens_used = 0;        ///< in the last 60 s
    std::int64_t requests_used = 0;
    std::int64_t reserved = 0;           ///< tokens of running calls
    std::int64_t calls = 0;
    std::int64_t waiting_calls = 0;
    std::int64_t waiting_tokens = 0;
    std::size_t processes = 0;
    TimePoint frozen_until{};
    std::int64_t throttled_total = 0;
    std::int64_t micros_today = 0;
    std::int64_t tokens_today = 0;

    /// Until what waits now has been admitted, and behind it `more_calls` with `more_tokens`; none where
    /// nothing limits it.
    std::optional<Duration> drain(TimePoint now, std::int64_t more_calls = 0,
                                  std::int64_t more_tokens = 0) const noexcept;
};

/// Every function is one transaction. `database` and `clock` outlive it. Throws MachineError where the store
/// is out of reach: then nothing was granted or settled.
class Ledger {
  public:
    /// `holder` names this process; two that run at once have different names.
    Ledger(store::Database& database, const Clock& clock, std::string holder, std::vector<Cap> caps);

    asio::awaitable<Answer> reserve(std::string deployment, Limits limits, Application application);
    asio::awaitable<void> settle(std::string deployment, Limits limits, Reservation reservation,
                                 Ending ending, std::vector<Bill> bills);
    /// As `Page::sent`.
    asio::awaitable<void> sent(std::string deployment, Reservation reservation, TimePoint at);
    /// This process is alive and so many calls of it wait. Due every `Page::kLease` / 3. `running`: what runs
    /// of it in truth, where a failure may have left more in the ledger.
    asio::awaitable<void> renew(std::string deployment, std::int64_t waiting_calls,
                                std::int64_t waiting_tokens, std::optional<Running> running = {});
    /// This process ends.
    asio::awaitable<void> leave(std::string deployment);
    asio::awaitable<PageView> view(std::string deployment, Limits limits);

    const std::string& holder() const noexcept { return holder_; }

  private:
    store::Database& database_;
    const Clock& clock_;
    std::string holder_;
    std::vector<Cap> caps_;
};

}  // namespace millrace::quota
