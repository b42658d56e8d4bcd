// Who is let in: the admission rules of OpenAI and Azure OpenAI, as their documentation states them.
#pragma once

#include "base/clock.hpp"
#include "base/error.hpp"
#include "http/simulator_window.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::http {

/// What of a call counts against the quota, and when.
enum class QuotaRule {
    sliding,  ///< what it is billed, in any 60 seconds
    openai,  ///< the larger of its estimated prompt and its maximum of output; calls turned away count too
    azure,  ///< its estimated prompt plus its maximum of output, since the last full minute; requests also in
            ///< windows of 1 or 10 seconds
};

enum class WindowKind { sliding, fixed, bucket };

/// A limit that changes while the simulator runs.
struct QuotaChange {
    Duration at{};  ///< since the start
    std::optional<std::int64_t> tokens_per_minute;
    std::optional<std::int64_t> requests_per_minute;
};

struct QuotaOptions {
    QuotaRule rule = QuotaRule::sliding;
    std::optional<WindowKind> window;  ///< nothing: what the rule has
    Duration request_window{};  ///< shorter than a minute, beside it; 0: what the rule has
    std::int64_t tokens_per_minute = 0;  ///< 0: unlimited
    std::int64_t requests_per_minute = 0;  ///< 0: unlimited
    std::vector<QuotaChange> changes;  ///< in order of time
    double foreign = 0;  ///< share of the quota that somebody else uses up, evenly; 0 to 1
};

/// "azure", "openai" or "sliding". invalid_input: another.
Result<QuotaRule> parse_quota_rule(std::string_view text);
/// "fixed", "sliding" or "bucket"; "" is the rule's own. invalid_input: another.
Result<std::optional<WindowKind>> parse_window_kind(std::string_view text);
/// Changes separated by commas, e.g. "300s:tpm=50000,10m:rpm=60". invalid_input: another form.
Result<std::vector<QuotaChange>> parse_quota_changes(std::string_view text);

/// What a call asks of the quota, in tokens.
struct QuotaDemand {
    std::int64_t billed = 0;  ///< what it costs in the end
    std::int64_t estimated_prompt = 0;  ///< from the characters
    std::int64_t output_max = 0;  ///< as asked for; else the model's own maximum
};

/// Admits calls. `now` never goes back.
class Quota {
  public:
    /// Sees its first call at `start` or later.
    Quota(QuotaOptions options, TimePoint start);

    /// The tokens that `demand` counts for.
    std::int64_t tokens_of(const QuotaDemand& demand) const noexcept;

    /// Zero: the call is in, and counted. Else how long until it may be, and what is used up.
    struct Verdict {
        Duration wait{};
        std::string_view what;  ///< "tokens" or "requests"
    };
    Verdict admit(std::int64_t tokens, TimePoint now);
    /// Counts a request that was refused for itself.
    void count_refused(TimePoint now);

    /// The state of "tokens" or "requests", as headers tell it. Azure tells that of the short window.
    struct State {
        std::int64_t limit = 0;
        std::int64_t remaining = 0;
        Duration reset{};
    };
    State state(std::string_view what, TimePoint now);

    QuotaRule rule() const noexcept { return options_.rule; }
    std::int64_t foreign_tokens() const noexcept { return foreign_tokens_; }

  private:
    void catch_up(TimePoint now);
    void set_limits(std::int64_t tokens, std::int64_t requests);
    void take_foreign(TimePoint now);
    void use_requests(std::int64_t count, TimePoint now);

    QuotaOptions options_;
    TimePoint start_;
    TimePoint foreign_until_;
    std::size_t changed_ = 0;  ///< changes that have happened
    Window tokens_;
    Window requests_;
    SlidingWindow short_requests_;
    double foreign_rest_tokens_ = 0;
    double foreign_rest_requests_ = 0;
    std::int64_t foreign_tokens_ = 0;
};

}  // namespace millrace::http
