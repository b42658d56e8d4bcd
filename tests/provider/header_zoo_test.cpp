// What answers of different servers say about their quota, as they were seen to say it.
#include "provider/openai_protocol.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>

namespace millrace::provider {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

const TimePoint kNow = from_millis(1'800'000'000'000);   // Fri, 15 Jan 2027 08:00:00 GMT

struct Animal {
    std::string name;
    int status;
    HttpFields headers;
    std::string body;
    std::optional<Duration> retry_after;
    RateHeaders rate;
};

HttpFields openai_headers() {
    return {{"x-ratelimit-limit-requests", "500"},     {"x-ratelimit-limit-tokens", "200000"},
            {"x-ratelimit-remaining-requests", "499"}, {"x-ratelimit-remaining-tokens", "199984"},
            {"x-ratelimit-reset-requests", "120ms"},   {"x-ratelimit-reset-tokens", "4ms"}};
}

RateHeaders openai_rate() {
    return {500, 200'000, 499, 199'984, Duration(120), Duration(4), std::nullopt, 200};
}

std::vector<Animal> animals_of_openai() {
    HttpFields project = openai_headers();
    project.insert(project.end(), {{"x-ratelimit-limit-project-tokens", "90000"},
                                   {"x-ratelimit-remaining-project-tokens", "12"},
                                   {"x-ratelimit-reset-project-tokens", "59.5s"}});
    RateHeaders project_rate = openai_rate();
    project_rate.limit_tokens = 90'000;
    project_rate.remaining_tokens = 12;
    project_rate.reset_tokens = Duration(59'500);
    return {
        {"OpenAI, 200", 200, openai_headers(), "{}", {}, openai_rate()},
        {"OpenAI, 200 with a project's bucket", 200, project, "{}", {}, project_rate},
        {"OpenAI, 200 of a route without a quota",
         200,
         {{"x-request-id", "req_1"}},
         "{}",
         {},
         {{}, {}, {}, {}, {}, {}, {}, 200}},
        {"OpenAI, 429 for tokens",
         429,
         {{"retry-after-ms", "1374"}, {"retry-after", "2"}, {"x-ratelimit-remaining-tokens", "0"}},
         R"({"error":{"message":"Rate limit reached. Please try again in 1.374s.","type":"tokens","code":"rate_limit_exceeded"}})",
         Duration(1374),
         {{}, {}, {}, 0, {}, {}, Duration(1374), 429}},
    };
}

std::vector<Animal> animals_of_azure() {
    return {
        {"Azure, 200: no resets, a request limit of ten seconds",
         200,
         {{"x-ratelimit-remaining-requests", "9"},
          {"x-ratelimit-remaining-tokens", "9982"},
          {"x-ratelimit-limit-requests", "10"}},
         "{}",
         {},
         {10, {}, 9, 9'982, {}, {}, {}, 200}},
        {"Azure, 429 in whole seconds",
         429,
         {{"Retry-After", "37"}, {"x-ratelimit-reset-requests", "37"}, {"x-ratelimit-reset-tokens", "37"}},
         R"({"error":{"code":"429","message":"Requests have exceeded token rate limit. Please retry after 37 seconds."}})",
         seconds(37),
         {{}, {}, {}, {}, seconds(37), seconds(37), seconds(37), 429}},
        {"Azure, 429 that only its text explains",
         429,
         {},
         R"({"error":{"code":"429","message":"... call rate limit of your current pricing tier. Please retry after 86400 seconds. ..."}})",
         hours(1),
         {{}, {}, {}, {}, {}, {}, hours(1), 429}},
        {"a gateway, 429 without an envelope",
         429,
         {},
         R"({"statusCode":429,"message":"Rate limit is exceeded. Try again in 20 seconds."})",
         seconds(20),
         {{}, {}, {}, {}, {}, {}, seconds(20), 429}},
    };
}

std::vector<Animal> animals_of_others() {
    return {
        {"a proxy that asks for a day",
         429,
         {{"Retry-After", "86400"}},
         "",
         hours(1),
         {{}, {}, {}, {}, {}, {}, hours(1), 429}},
        {"a proxy with a date",
         503,
         {{"Date", "Fri, 15 Jan 2027 07:30:00 GMT"}, {"Retry-After", "Fri, 15 Jan 2027 07:32:00 GMT"}},
         "",
         minutes(2),
         {{}, {}, {}, {}, {}, {}, minutes(2), 503}},
        {"a proxy with a date and no clock",
         503,
         {{"Retry-After", "Fri, 15 Jan 2027 08:00:09 GMT"}},
         "",
         seconds(9),
         {{}, {}, {}, {}, {}, {}, seconds(9), 503}},
        {"a proxy with a date that has passed",
         503,
         {{"Retry-After", "Thu, 01 Jan 1970 00:00:00 GMT"}},
         "",
         seconds(0),
         {{}, {}, {}, {}, {}, {}, seconds(0), 503}},
        {"no milliseconds, then seconds",
         429,
         {{"retry-after-ms", "0"}, {"retry-after", "3"}},
         "",
         seconds(3),
         {{}, {}, {}, {}, {}, {}, seconds(3), 429}},
        {"milliseconds in Azure's own header",
         429,
         {{"x-ms-retry-after-ms", "250.5"}},
         "",
         Duration(251),
         {{}, {}, {}, {}, {}, {}, Duration(251), 429}},
        {"a reset that is a point in time is no duration",
         200,
         {{"x-ratelimit-reset-requests", "1800000060"}, {"x-ratelimit-reset-tokens", "1800000060000"}},
         "{}",
         {},
         {{}, {}, {}, {}, {}, {}, {}, 200}},
        {"a server that sends nonsense",
         429,
         {{"retry-after", "later"},
          {"retry-after-ms", "-"},
          {"x-ratelimit-limit-tokens", "unlimited"},
          {"x-ratelimit-remaining-tokens", "-5"},
          {"x-ratelimit-reset-tokens", "soon"}},
         "slow down",
         {},
         {{}, {}, {}, {}, {}, {}, {}, 429}},
        {"text-embeddings-inference, full",
         429,
         {},
         R"({"error":"Model is overloaded","error_type":"Overloaded"})",
         {},
         {{}, {}, {}, {}, {}, {}, {}, 429}},
    };
}

TEST(HeaderZoo, EveryServersWordsOnItsQuotaAreUnderstood) {
    std::vector<Animal> zoo = animals_of_openai();
    std::ranges::move(animals_of_azure(), std::back_inserter(zoo));
    std::ranges::move(animals_of_others(), std::back_inserter(zoo));
    for (const Animal& animal : zoo) {
        const HttpAnswer answer{animal.status, animal.headers, animal.body};
        const RateHeaders rate = parse_rate_headers(answer, kNow);
        EXPECT_EQ(rate, animal.rate) << animal.name;
        if (animal.status == 200) continue;
        const Failure failure = failure_for(answer, kNow);
        EXPECT_EQ(failure.retry_after, animal.retry_after) << animal.name;
        EXPECT_EQ(failure.kind, animal.status == 429 ? FailureKind::throttled : FailureKind::transient)
            << animal.name;
    }
}

TEST(HeaderZoo, AUsedUpQuotaOfDaysIsNotSleptOn) {
    const HttpAnswer billing{
        429,
        {{"retry-after", "5"}},
        R"({"error":{"message":"You exceeded your current quota","type":"insufficient_quota","code":"insufficient_quota"}})"};
    EXPECT_EQ(failure_for(billing, kNow).kind, FailureKind::rejected);
    const HttpAnswer daily{
        429, {{"x-ratelimit-remaining-requests", "0"}, {"x-ratelimit-reset-requests", "23h59m"}}, ""};
    EXPECT_EQ(failure_for(daily, kNow).retry_after, kRetryAfterMax);
}

}  // namespace
}  // namespace millrace::provider
