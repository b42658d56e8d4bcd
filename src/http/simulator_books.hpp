// What a simulated provider has granted, refused and would have billed.
#pragma once

#include "base/clock.hpp"

#include <boost/json/object.hpp>

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace millrace::http {

/// A text that was asked for, by the hash of everything that decides its answer.
struct BilledInput {
    std::uint64_t hash = 0;
    std::int64_t tokens = 0;   ///< prompt and answer
};

std::uint64_t hash_of(std::string_view text) noexcept;

/// One decision of the simulator about a call.
struct Decision {
    TimePoint at{};   ///< when the call arrived
    std::string_view operation;
    std::string client;   ///< its x-client-id, or what its user-agent says
    std::int64_t estimated_tokens = 0;   ///< as they count against the quota
    std::int64_t prompt_tokens = 0;      ///< billed; 0 where it was turned away
    std::int64_t completion_tokens = 0;
    bool admitted = false;
    unsigned status = 200;
    std::vector<BilledInput> inputs;
};

/// Keeps count. A hundred bytes for each different input.
class SimulatorBooks {
  public:
    /// `log`, if set, gets a line of JSON for every decision.
    SimulatorBooks(TimePoint start, std::function<void(const std::string& line)> log)
        : start_(start), log_(std::move(log)) {}

    void note(const Decision& decision);
    /// {calls, granted, refused, throttled, billedTokens{prompt, completion, total}, inputs{billed, distinct,
    /// repeated}, neededTokens, amplification, minutes[{granted, throttled, tokens}]}; minutes since the
    /// start. `amplification`: tokens billed for every one that was needed, which is what the distinct inputs
    /// cost once.
    boost::json::object report() const;

  private:
    struct Minute {
        std::uint64_t granted = 0;
        std::uint64_t throttled = 0;
        std::int64_t tokens = 0;
    };
    void write(const Decision& decision) const;
    Minute& minute_of(TimePoint at);

    TimePoint start_;
    std::function<void(const std::string&)> log_;
    std::uint64_t calls_ = 0, granted_ = 0, throttled_ = 0, refused_ = 0, inputs_ = 0;
    std::int64_t prompt_tokens_ = 0, completion_tokens_ = 0, needed_tokens_ = 0;
    std::unordered_map<std::uint64_t, std::uint64_t> times_billed_;
    std::vector<Minute> minutes_;
};

}  // namespace millrace::http
