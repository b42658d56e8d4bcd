#include "handlers/outcomes.hpp"

#include <gtest/gtest.h>

namespace millrace::handlers {
namespace {

using provider::Failure;
using provider::FailureKind;

/// An outcome as one line, for tables.
std::string show(const work::Outcome& outcome) {
    if (std::holds_alternative<work::Done>(outcome)) return "done";
    if (const auto* retry = std::get_if<work::RetryAfter>(&outcome)) {
        return "retry after " + std::to_string(retry->delay.count()) +
               (retry->spends_delivery ? ", spent" : ", free");
    }
    const auto& dead = std::get<work::DeadLetter>(outcome);
    return dead.reason + ": " + dead.description;
}

TEST(Outcomes, EveryProviderErrorGetsItsOutcome) {
    struct Case {
        Failure failure;
        std::string outcome;
    };
    const Duration asked = std::chrono::seconds(7);
    const Case cases[] = {
        {{FailureKind::throttled, 429, "slow down", asked}, "retry after 7000, free"},
        {{FailureKind::throttled, 429, "slow down", {}}, "retry after 4001, free"},
        {{FailureKind::throttled, 429, "slow down", Duration(0)}, "retry after 4001, free"},
        {{FailureKind::transient, 503, "overloaded", asked}, "retry after 7000, spent"},
        {{FailureKind::transient, 0, "connection lost", {}}, "retry after 501, spent"},
        {{FailureKind::rejected, 401, "bad key", {}}, "ApiError_401: bad key"},
        {{FailureKind::rejected, 429, "insufficient_quota", {}}, "ApiError_429: insufficient_quota"},
        {{FailureKind::content_filtered, 400, "filtered", {}}, "ContentFiltered: filtered"},
    };
    for (const auto& one : cases) EXPECT_EQ(show(outcome_for(one.failure, 0, Duration(0), 0.5)), one.outcome);
}

TEST(Outcomes, AnOutageSpendsNoDeliveryUntilTheMessageIsADayOld) {
    const Failure down{FailureKind::unavailable, 503, "down", std::chrono::seconds(7)};
    EXPECT_EQ(show(outcome_for(down, 0, kOutageAgeMax - Duration(1), 0.5)), "retry after 7000, free");
    EXPECT_EQ(show(outcome_for(down, 0, kOutageAgeMax, 0.5)), "retry after 7000, spent");
}

TEST(Outcomes, StoresThatAreBusyAreTriedAgainAndBadInputIsNot) {
    struct Case {
        Errc code;
        std::string outcome;
    };
    const Case cases[] = {
        {Errc::unavailable, "retry after 4001, free"}, {Errc::over_limit, "retry after 4001, free"},
        {Errc::conflict, "retry after 501, spent"},    {Errc::invalid_input, "MalformedPayload: why"},
        {Errc::corrupt, "MalformedPayload: why"},      {Errc::not_found, "MalformedPayload: why"},
    };
    for (const auto& one : cases) EXPECT_EQ(show(outcome_for(Error{one.code, "why"}, 0, 0.5)), one.outcome);
}

TEST(Outcomes, ContentPastALimitIsTooLargeAndTheRestMalformed) {
    EXPECT_EQ(show(dead_letter_for_content({Errc::over_limit, "9 pages"})), "InputTooLarge: 9 pages");
    EXPECT_EQ(show(dead_letter_for_content({Errc::corrupt, "cut"})), "MalformedPayload: cut");
    EXPECT_EQ(show(dead_letter_for_content({Errc::invalid_input, "no text"})), "MalformedPayload: no text");
}

}  // namespace
}  // namespace millrace::handlers
