// What calls cost, and how much may be spent.
#pragma once

#include "base/clock.hpp"

#include <cstdint>
#include <string>

namespace millrace::quota {

/// Prices of a deployment, in units of currency for a million tokens.
struct Price {
    double prompt = 0;
    double cached_prompt = 0;  ///< 0: as `prompt`
    double completion = 0;

    /// Millionths of the currency, rounded up.
    std::int64_t micros(std::int64_t prompt_tokens, std::int64_t completion_tokens,
                        std::int64_t cached_tokens = 0) const noexcept;
};

/// At most this much in a day or a calendar month, both UTC.
struct Cap {
    enum class Period { day, month };
    std::string deployment;  ///< empty: over all of them
    std::string tenant;      ///< empty: over all of them; "*": each of them
    Period period = Period::day;
    std::int64_t micros = 0;

    bool holds_for(const std::string& deployment_used, const std::string& tenant_used) const noexcept {
        return (deployment.empty() || deployment == deployment_used) &&
               (tenant.empty() || tenant == "*" || tenant == tenant_used);
    }
};

/// "2026-11-21", in UTC.
std::string day_of(TimePoint when);
/// The first day of the period that `when` is in, and the moment at which the next one begins.
std::string first_day_of(Cap::Period period, TimePoint when);
TimePoint next_period(Cap::Period period, TimePoint when);

}  // namespace millrace::quota
