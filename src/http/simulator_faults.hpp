// Faults that the provider simulator injects, from a line of text; the same seed gives the same faults.
#pragma once

#include "base/error.hpp"

#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::http {

/// What goes wrong with one call.
struct Fault {
    enum class Kind { none, status, timeout, reset, garbage, slow, cut, refusal, filter, length };
    Kind kind = Kind::none;
    unsigned status = 0;   ///< of Kind::status: 400 to 599
    auto operator<=>(const Fault&) const = default;
};

/// Decides the fault of each call, in the order of the calls.
class FaultPlan {
  public:
    FaultPlan() = default;

    /// Parses rules separated by commas; the first N calls that a `first` rule names come before any chance:
    ///
    ///     plan   = rule *("," rule)
    ///     rule   = fault ":" chance | "first:" count ":" fault
    ///     fault  = status (400 to 599) | "timeout" | "reset" | "garbage" | "slow" | "cut"
    ///            | "refusal" | "filter" | "length"
    ///
    /// e.g. "429:0.05,timeout:0.01" or "first:2:503". invalid_input: another form, a chance outside 0 to 1,
    /// or chances that add up to more than 1. "" is no fault.
    static Result<FaultPlan> parse(std::string_view text, std::uint64_t seed);

    /// The fault of the next call.
    Fault next();

  private:
    struct Chance {
        Fault fault;
        double probability;
    };
    struct Opening {
        Fault fault;
        std::uint64_t count;
    };
    std::vector<Opening> openings_;
    std::vector<Chance> chances_;
    std::mt19937_64 random_{1};
};

}  // namespace millrace::http
