// What a deployment allows, and how its provider counts.
#pragma once

#include "base/clock.hpp"

#include <cstdint>

namespace millrace::quota {

/// What a call counts against tokens per minute once the provider has answered it.
enum class Counting {
    estimate,  ///< what was estimated when it was admitted, for good: prompt and maximum output (Azure,
               ///< OpenAI)
    usage,     ///< what it used (most compatible servers)
};

/// Of one deployment; 0 where there is no limit.
struct Limits {
    std::int64_t tokens_per_minute = 0;
    std::int64_t requests_per_minute = 0;
    std::int64_t calls_at_once = 0;
    /// The shortest window over which the provider checks its requests per minute: Azure OpenAI 1 s or 10 s.
    Duration request_window = std::chrono::seconds(60);
    Counting counting = Counting::estimate;

    bool any() const noexcept {
        return tokens_per_minute > 0 || requests_per_minute > 0 || calls_at_once > 0;
    }
};

/// Who waits for a call: interactive work goes before batch work.
enum class Urgency { interactive, batch };

}  // namespace millrace::quota
