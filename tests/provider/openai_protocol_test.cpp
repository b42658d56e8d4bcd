#include "provider/openai_protocol.hpp"

#include "provider/openai_vectors.hpp"

#include <boost/json/parse.hpp>

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace millrace::provider {
namespace {

const TimePoint kNow = from_millis(1'800'000'000'000);   // Fri, 15 Jan 2027 08:00:00 GMT

OpenAiServer server(std::string endpoint, bool azure = false) {
    OpenAiServer server;
    server.endpoint = std::move(endpoint);
    server.model = "text-embedding-3-small";
    server.azure = azure;
    return server;
}

TEST(OpenAiUrl, FollowsTheFormOfTheEndpoint) {
    struct Case {
        std::string endpoint;
        bool azure;
        std::string deployment, version, url;
    };
    const Case cases[] = {
        {"https://api.openai.com", false, "", "", "https://api.openai.com:443/v1/embeddings"},
        {"https://api.openai.com/", false, "", "", "https://api.openai.com:443/v1/embeddings"},
        {"https://api.openai.com/v1", false, "", "", "https://api.openai.com:443/v1/embeddings"},
        {"http://127.0.0.1:11434/v1/", false, "", "", "http://127.0.0.1:11434/v1/embeddings"},
        {"http://[::1]:8080", false, "", "", "http://[::1]:8080/v1/embeddings"},
        {"http://gateway/team/ai/v1", false, "", "", "http://gateway:80/team/ai/v1/embeddings"},
        {"http://tei:3000/v1/embeddings", false, "", "", "http://tei:3000/v1/embeddings"},
        {"https://r.openai.azure.com", true, "", "", "https://r.openai.azure.com:443/openai/v1/embeddings"},
        {"https://r.openai.azure.com/openai", true, "dep", "",
         "https://r.openai.azure.com:443/openai/v1/embeddings"},
        {"https://r.openai.azure.com", true, "", "2024-10-21",
         "https://r.openai.azure.com:443/openai/deployments/text-embedding-3-small/"
         "embeddings?api-version=2024-10-21"},
        {"https://r.openai.azure.com/", true, "my embed/1", "2023-05-15",
         "https://r.openai.azure.com:443/openai/deployments/my%20embed%2F1/"
         "embeddings?api-version=2023-05-15"},
        {"https://r.openai.azure.com/openai/", true, "dep", "2024-10-21",
         "https://r.openai.azure.com:443/openai/deployments/dep/embeddings?api-version=2024-10-21"},
        {"https://r.openai.azure.com/openai/v1/", true, "dep", "",
         "https://r.openai.azure.com:443/openai/v1/embeddings"},
        {"https://r.openai.azure.com/openai/v1", true, "dep", "preview",
         "https://r.openai.azure.com:443/openai/v1/embeddings?api-version=preview"},
        {"https://r.openai.azure.com/openai/deployments/d2/embeddings?api-version=2023-05-15", true,
         "ignored", "",
         "https://r.openai.azure.com:443/openai/deployments/d2/embeddings?api-version=2023-05-15"},
        {"https://r.openai.azure.com/openai/deployments/d2", true, "", "",
         "https://r.openai.azure.com:443/openai/deployments/d2/embeddings?api-version=2024-10-21"},
        {"https://apim.example/azure", true, "dep", "2024-10-21",
         "https://apim.example:443/azure/openai/deployments/dep/embeddings?api-version=2024-10-21"},
    };
    for (const Case& c : cases) {
        OpenAiServer s = server(c.endpoint, c.azure);
        s.deployment = c.deployment;
        s.api_version = c.version;
        const auto url = operation_url(s, Operation::embed);
        ASSERT_TRUE(url) << c.endpoint;
        EXPECT_EQ(url->origin() + url->target, c.url);
    }
}

TEST(OpenAiRequest, HoldsTheKeyWhereTheServerLooksForIt) {
    OpenAiServer s = server("http://x");
    EXPECT_EQ(find_field(request_headers(s), "authorization"), "");
    s.key = "k1";
    EXPECT_EQ(find_field(request_headers(s), "authorization"), "Bearer k1");
    EXPECT_EQ(find_field(request_headers(s), "api-key"), "");
    s.azure = true;
    EXPECT_EQ(find_field(request_headers(s), "authorization"), "");
    EXPECT_EQ(find_field(request_headers(s), "api-key"), "k1");
}

TEST(OpenAiRequest, AsksForBase64AndForDimensionsThatAreNotTheModelsOwn) {
    const std::vector<std::string> inputs = {"a \"quoted\" line\n", "\xC3\xA4"};
    OpenAiServer s = server("http://x");
    const auto body = boost::json::parse(embeddings_body(s, inputs, 256));
    EXPECT_EQ(body.at("model"), "text-embedding-3-small");
    EXPECT_EQ(body.at("encoding_format"), "base64");
    EXPECT_EQ(body.at("dimensions"), 256);
    EXPECT_EQ(body.at("input").as_array()[0], "a \"quoted\" line\n");
    EXPECT_EQ(body.at("input").as_array()[1], "\xC3\xA4");
    EXPECT_FALSE(boost::json::parse(embeddings_body(s, inputs, 0)).as_object().contains("dimensions"));
    EXPECT_FALSE(boost::json::parse(embeddings_body(s, inputs, 1536)).as_object().contains("dimensions"));
    s.model = "nomic-embed-text";
    EXPECT_EQ(boost::json::parse(embeddings_body(s, inputs, 256)).at("dimensions"), 256);
    s.azure = true;
    s.deployment = "dep";
    EXPECT_EQ(boost::json::parse(embeddings_body(s, inputs, 0)).at("model"), "dep");
}

TEST(OpenAiModels, KnowTheirLengths) {
    EXPECT_EQ(known_model("text-embedding-3-small").dimensions, 1536u);
    EXPECT_EQ(known_model("text-embedding-3-large").dimensions, 3072u);
    EXPECT_EQ(known_model("text-embedding-ada-002").dimensions, 1536u);
    EXPECT_EQ(known_model("anything-else").dimensions, 0u);
}

const std::vector<std::string> kTwo = {"first", "second"};

/// `[1,0]` and `[0,1]` in base64.
const std::string kX = encode_vector(std::vector<float>{1, 0});
const std::string kY = encode_vector(std::vector<float>{0, 1});

TEST(OpenAiAnswer, IsReadInEveryFormThatServersSend) {
    const std::string x = R"({"index":0,"embedding":")" + kX + "\"}";
    const std::string y = R"({"index":1,"embedding":")" + kY + "\"}";
    const std::pair<std::string, std::string> cases[] = {
        {"as documented", R"({"object":"list","data":[)" + x + "," + y + R"(],"usage":{"prompt_tokens":9}})"},
        {"unsorted", R"({"data":[)" + y + "," + x + R"(],"usage":{"prompt_tokens":9,"total_tokens":9}})"},
        {"without index",
         R"({"data":[{"embedding":[1,0]},{"embedding":[0,1]}],"usage":{"prompt_tokens":9}})"},
        {"null index", R"({"data":[{"index":null,"embedding":[1,0]},{"index":null,"embedding":[0,1]}],)"
                       R"("usage":{"total_tokens":9}})"},
        {"numbers though base64 was asked for",
         R"({"data":[{"index":1,"embedding":[0,2.5]},{"index":0,"embedding":[1e0,0.0]}],)"
         R"("usage":{"prompt_tokens":9}})"},
        {"not of unit length",
         R"({"data":[{"index":0,"embedding":[3,0]},{"index":1,"embedding":[0,18446744073709551615]}],)"
         R"("usage":{"prompt_tokens":9.0}})"},
        {"base64 without padding", R"({"data":[{"index":0,"embedding":")" + kX.substr(0, kX.find('=')) +
                                       "\"}," + y + R"(],"usage":{"prompt_tokens":9}})"},
    };
    for (const auto& [name, body] : cases) {
        for (const std::size_t dimensions : {0u, 2u}) {
            const auto result = parse_embeddings(body, kTwo, dimensions);
            ASSERT_TRUE(result) << name << ": " << result.error().detail;
            EXPECT_EQ(result->vectors, (std::vector<std::vector<float>>{{1, 0}, {0, 1}})) << name;
            EXPECT_EQ(result->usage.prompt_tokens, 9) << name;
        }
    }
}

TEST(OpenAiAnswer, WithoutUsageIsEstimated) {
    const std::string data = R"({"data":[{"embedding":[1,0]},{"embedding":[0,1]}])";
    for (const std::string end : {"}", R"(,"usage":null})", R"(,"usage":{"prompt_tokens":"many"}})",
                                  R"(,"usage":{"prompt_tokens":-5}})"}) {
        const auto result = parse_embeddings(data + end, kTwo, 0);
        ASSERT_TRUE(result) << end;
        EXPECT_EQ(result->usage.prompt_tokens, 4) << end;
    }
    EXPECT_EQ(estimate_tokens(""), 0);
    EXPECT_EQ(estimate_tokens("abcd"), 1);
    EXPECT_EQ(estimate_tokens("abcde"), 2);
    EXPECT_EQ(estimate_tokens("\xE4\xBD\xA0\xE5\xA5\xBD"), 2);
}

TEST(OpenAiAnswer, ThatMakesNoSenseIsTransient) {
    const std::string nan = encode_vector(std::vector<float>{std::numeric_limits<float>::quiet_NaN(), 1});
    const std::string infinity = encode_vector(std::vector<float>{std::numeric_limits<float>::infinity(), 1});
    const auto two = [](const std::string& a, const std::string& b) {
        return R"({"data":[)" + a + "," + b + "]}";
    };
    const std::string good = R"({"index":0,"embedding":[1,0]})";
    const std::string cases[] = {
        "",
        "<html>",
        "null",
        "[]",
        "{}",
        R"({"data":null})",
        R"({"data":{}})",
        R"({"data":[]})",
        R"({"error":{"message":"in a 200"}})",
        two(good, good),
        two(good, R"({"index":2,"embedding":[0,1]})"),
        two(good, R"({"index":-1,"embedding":[0,1]})"),
        two(good, R"({"index":"1","embedding":[0,1]})"),
        two(good, R"({"index":1})"),
        two(good, R"({"index":1,"embedding":null})"),
        two(good, R"({"index":1,"embedding":{}})"),
        two(good, R"({"index":1,"embedding":["0",1]})"),
        two(good, R"({"index":1,"embedding":[0,0]})"),
        two(good, R"({"index":1,"embedding":[]})"),
        two(good, R"({"index":1,"embedding":[0,1,2]})"),
        two(good, R"({"index":1,"embedding":[1e999,1]})"),
        two(good, R"({"index":1,"embedding":"@@@"})"),
        two(good, R"({"index":1,"embedding":"AAAA"})"),
        two(good, R"({"index":1,"embedding":"A"})"),
        two(good, R"({"index":1,"embedding":")" + nan + "\"}"),
        two(good, R"({"index":1,"embedding":")" + infinity + "\"}"),
        two(good, "7"),
        two(good, good + "," + good),
        std::string(2000, '['),
        R"({"data":[{"embedding":[1,0]},{"embedding":[0,1]}]} trailing)",
    };
    for (const std::string& body : cases) {
        const auto result = parse_embeddings(body, kTwo, 0);
        ASSERT_FALSE(result) << body;
        EXPECT_EQ(result.error().kind, FailureKind::transient) << body;
        EXPECT_EQ(result.error().status, 200) << body;
    }
}

TEST(OpenAiAnswer, OfTheWrongLengthIsRejected) {
    const auto result = parse_embeddings(R"({"data":[{"embedding":[1,0]},{"embedding":[0,1]}]})", kTwo, 1536);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().kind, FailureKind::rejected);
    EXPECT_NE(result.error().detail.find("2"), std::string::npos);
    EXPECT_NE(result.error().detail.find("1536"), std::string::npos);
}

TEST(OpenAiVectors, SurviveBase64) {
    for (std::size_t size = 0; size < 9; ++size) {
        std::vector<float> vector(size), read;
        for (std::size_t i = 0; i < size; ++i)
            vector[i] = std::ldexp(1.0f + static_cast<float>(i) / 7, static_cast<int>(i) - 4);
        const std::string text = encode_vector(vector);
        EXPECT_EQ(text.size() % 4, 0u);
        ASSERT_TRUE(decode_vector(text, read));
        EXPECT_EQ(read, vector);
    }
    // RFC 4648 and IEEE 754: 1.0f is 00 00 80 3F in little-endian order.
    EXPECT_EQ(encode_vector(std::vector<float>{1.0f}), "AACAPw==");
}

struct StatusCase {
    int status;
    std::string body;
    FailureKind kind;
    std::string about;
};

TEST(OpenAiFailure, FollowsTheStatusTable) {
    using enum FailureKind;
    const std::string filter =
        R"({"error":{"message":"filtered","type":null,"param":"prompt","code":"content_filter","status":400,)"
        R"("innererror":{"code":"ResponsibleAIPolicyViolation",)"
        R"("content_filter_result":{"hate":{"filtered":true}}}}})";
    const StatusCase cases[] = {
        {429, R"({"error":{"message":"m","type":"tokens","code":"rate_limit_exceeded"}})", throttled,
         "HTTP 429 rate_limit_exceeded: m"},
        {429, R"({"error":{"code":"429","message":"Please retry after 37 seconds."}})", throttled,
         "HTTP 429: Please retry after 37 seconds."},
        {429, R"({"statusCode":429,"message":"Rate limit is exceeded."})", throttled,
         "Rate limit is exceeded."},
        {429, R"({"message":"Model is overloaded","code":429,"error_type":"Overloaded"})", throttled,
         "Overloaded"},
        {429, "", throttled, "HTTP 429"},
        {429, R"({"error":{"message":"m","type":"insufficient_quota","code":"insufficient_quota"}})",
         rejected, "insufficient_quota"},
        {429, R"({"error":{"message":"m","type":"insufficient_quota","code":null}})", rejected,
         "insufficient_quota"},
        {408, "", transient, "HTTP 408"},
        {409, "", transient, "HTTP 409"},
        {424, R"({"message":"backend","type":"Backend","code":424})", transient, "backend"},
        {500, R"({"error":{"message":"oops","type":"server_error","param":null,"code":null}})", transient,
         "HTTP 500 server_error: oops"},
        {502, "<html>Bad Gateway</html>", transient, "HTTP 502"},
        {503, R"({"error":{"code":503,"message":"Loading model","type":"unavailable_error"}})", transient,
         "HTTP 503 unavailable_error: Loading model"},
        {504, "", transient, "HTTP 504"},
        {529, "", transient, "HTTP 529"},
        {400, R"({"error":{"message":"too long","code":"context_length_exceeded"}})", rejected, "too long"},
        {400, R"({"error":"just a text"})", rejected, "HTTP 400: just a text"},
        {400, filter, content_filtered, "content_filter"},
        {400, R"({"error":{"code":"BadRequest","innererror":{"code":"ResponsibleAIPolicyViolation"}}})",
         content_filtered, "BadRequest"},
        {401, R"({"error":{"message":"Incorrect API key provided: sk-ab","code":"invalid_api_key"}})",
         rejected, "HTTP 401 invalid_api_key"},
        {402, "", rejected, "HTTP 402"},
        {403, "", rejected, "HTTP 403"},
        {404, R"({"error":{"code":"DeploymentNotFound","message":"no such deployment"}})", rejected,
         "HTTP 404 DeploymentNotFound: no such deployment"},
        {413,
         R"({"message":"batch size 64 > maximum allowed batch size 32","code":413,)"
         R"("error_type":"Validation"})",
         rejected, "maximum allowed batch size 32"},
        {422, "", rejected, "HTTP 422"},
        {301, "", rejected, "HTTP 301"},
    };
    for (const StatusCase& c : cases) {
        const HttpAnswer answer{c.status, {}, c.body};
        const Failure failure = failure_for(answer, kNow);
        EXPECT_EQ(failure.kind, c.kind) << c.status << " " << c.body;
        EXPECT_EQ(failure.status, c.status);
        EXPECT_NE(failure.detail.find(c.about), std::string::npos) << failure.detail;
        EXPECT_EQ(failure.detail.find("sk-ab"), std::string::npos) << failure.detail;
    }
}

TEST(OpenAiFailure, IsOneShortLine) {
    const HttpAnswer answer{
        500, {}, R"({"error":{"message":"two\nlines)" + std::string(5000, 'x') + R"("}})"};
    const Failure failure = failure_for(answer, kNow);
    EXPECT_EQ(failure.detail.find('\n'), std::string::npos);
    EXPECT_LT(failure.detail.size(), 500u);
    // Cut inside a character of three bytes.
    std::string body = R"({"error":{"message":")" + std::string(399, 'x') + "\xE2\x82\xAC\"}}";
    EXPECT_EQ(failure_for(HttpAnswer{500, {}, body}, kNow).detail, "HTTP 500: " + std::string(399, 'x'));
    const std::string whole = R"({"error":{"message":"zu gro\u00df f\u00fc"}})";
    EXPECT_EQ(failure_for(HttpAnswer{500, {}, whole}, kNow).detail, "HTTP 500: zu gro\u00df f\u00fc");
}

TEST(OpenAiFailure, WithoutAnAnswerIsTransientUnlessItCanNeverBeSent) {
    EXPECT_EQ(failure_for(Error{Errc::unavailable, "x"}).kind, FailureKind::transient);
    EXPECT_EQ(failure_for(Error{Errc::corrupt, "x"}).kind, FailureKind::transient);
    EXPECT_EQ(failure_for(Error{Errc::invalid_input, "x"}).kind, FailureKind::rejected);
}

struct WaitCase {
    std::string name;
    HttpFields headers;
    std::string message;
    std::optional<Duration> wait;
};

TEST(OpenAiFailure, ReadsEveryWayToSayWhen) {
    using std::chrono::seconds;
    const WaitCase cases[] = {
        {"nothing", {}, "", std::nullopt},
        {"seconds", {{"Retry-After", "7"}}, "", seconds(7)},
        {"a fraction of seconds", {{"retry-after", " 0.5 "}}, "", Duration(500)},
        {"zero", {{"retry-after", "0"}}, "", seconds(0)},
        {"milliseconds win", {{"retry-after", "9"}, {"retry-after-ms", "50"}}, "", Duration(50)},
        {"a fraction of milliseconds", {{"retry-after-ms", "50.2"}}, "", Duration(51)},
        {"zero milliseconds don't", {{"retry-after", "9"}, {"retry-after-ms", "0"}}, "", seconds(9)},
        {"Azure's own name", {{"x-ms-retry-after-ms", "1500"}}, "", Duration(1500)},
        {"a date", {{"Retry-After", "Fri, 15 Jan 2027 08:00:20 GMT"}}, "", seconds(20)},
        {"a date and the server's clock",
         {{"Date", "Fri, 15 Jan 2027 09:30:00 GMT"}, {"Retry-After", "Fri, 15 Jan 2027 09:30:05 GMT"}},
         "",
         seconds(5)},
        {"a date that has passed", {{"Retry-After", "Sun, 06 Nov 1994 08:49:37 GMT"}}, "", seconds(0)},
        {"a day", {{"Retry-After", "86400"}}, "", kRetryAfterMax},
        {"for ever",
         {{"retry-after-ms", "1e300"}, {"Retry-After", "99999999999999999999"}},
         "",
         kRetryAfterMax},
        {"a date far off", {{"Retry-After", "Sun, 06 Nov 2994 08:49:37 GMT"}}, "", kRetryAfterMax},
        {"negative", {{"Retry-After", "-5"}}, "", seconds(0)},
        {"garbage", {{"Retry-After", "soon"}, {"retry-after-ms", "nan"}}, "", std::nullopt},
        {"Azure's text", {}, "Please retry after 37 seconds. Visit https://x", seconds(37)},
        {"Azure's absurd text", {}, "Please retry after 86400 seconds.", kRetryAfterMax},
        {"a text in milliseconds", {}, "retry after 500 milliseconds", Duration(500)},
        {"OpenAI's text", {}, "Limit 3, Requested 1. Please try again in 20s. Contact us", seconds(20)},
        {"OpenAI's text, long", {}, "Please try again in 6m0s. Visit", seconds(360)},
        {"OpenAI's text, fraction", {}, "Please try again in 1.374s.", Duration(1374)},
        {"OpenAI's text, short", {}, "Please try again in 364ms.", Duration(364)},
        {"a header beats the text", {{"retry-after", "2"}}, "Please try again in 20s.", seconds(2)},
        {"what is used up",
         {{"x-ratelimit-remaining-tokens", "0"},
          {"x-ratelimit-reset-tokens", "1m2s"},
          {"x-ratelimit-remaining-requests", "5"},
          {"x-ratelimit-reset-requests", "4m"}},
         "",
         seconds(62)},
    };
    for (const WaitCase& c : cases) {
        const HttpAnswer answer{429, c.headers, R"({"error":{"message":")" + c.message + R"("}})"};
        EXPECT_EQ(failure_for(answer, kNow).retry_after, c.wait) << c.name;
    }
}

TEST(HttpDate, IsReadInItsThreeForms) {
    const TimePoint when = from_millis(784'111'777'000);
    for (const char* text :
         {"Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"}) {
        EXPECT_EQ(parse_http_date(text), when) << text;
    }
    EXPECT_EQ(parse_http_date("Thu, 29 Feb 2024 23:59:60 GMT"), from_millis(1'709'251'200'000));
    for (const char* text :
         {"", "now", "12", "Sun, 06 Nov 1994", "Sun, 31 Feb 2024 08:49:37 GMT",
          "Sun, 06 Nov 1994 25:00:00 GMT", "Sun, 06 Nov 1994 08:61:00 GMT", "06 11 1994 08:49:37"}) {
        EXPECT_EQ(parse_http_date(text), std::nullopt) << text;
    }
}

TEST(ResetHeader, IsAGoDurationOrSeconds) {
    const std::pair<std::string, std::optional<Duration>> cases[] = {
        {"6m0s", Duration(360'000)},
        {"1s", Duration(1000)},
        {"250ms", Duration(250)},
        {"1h2m3.5s", Duration(3'723'500)},
        {"12ms", Duration(12)},
        {"0s", Duration(0)},
        {"88.5\xC2\xB5s", Duration(1)},
        {"1m", Duration(60'000)},
        {"12", Duration(12'000)},
        {"0.5", Duration(500)},
        {"9999h", std::chrono::hours(24)},
        {"1e9", std::nullopt},
        {"", std::nullopt},
        {"s", std::nullopt},
        {"5x", std::nullopt},
        {"5m3", std::nullopt},
        {"-5s", std::nullopt},
        {"-5", std::nullopt},
        {"1..5s", std::nullopt},
        {"1s 2s", std::nullopt},
    };
    for (const auto& [text, value] : cases) EXPECT_EQ(parse_reset(text), value) << text;
}

TEST(RateHeaders, AreReadFromEachKindOfServer) {
    const HttpAnswer openai{200,
                            {{"x-ratelimit-limit-requests", "60"},
                             {"x-ratelimit-limit-tokens", "150000"},
                             {"x-ratelimit-remaining-requests", "59"},
                             {"x-ratelimit-remaining-tokens", "149984"},
                             {"x-ratelimit-reset-requests", "1s"},
                             {"x-ratelimit-reset-tokens", "6m0s"}},
                            ""};
    RateHeaders rate = parse_rate_headers(openai, kNow);
    EXPECT_EQ(rate.limit_requests, 60);
    EXPECT_EQ(rate.limit_tokens, 150'000);
    EXPECT_EQ(rate.remaining_requests, 59);
    EXPECT_EQ(rate.remaining_tokens, 149'984);
    EXPECT_EQ(rate.reset_requests, Duration(1000));
    EXPECT_EQ(rate.reset_tokens, Duration(360'000));
    EXPECT_EQ(rate.retry_after, std::nullopt);

    HttpAnswer project = openai;
    project.headers.insert(project.headers.end(), {{"x-ratelimit-limit-project-tokens", "90000"},
                                                   {"x-ratelimit-remaining-project-tokens", "10"},
                                                   {"x-ratelimit-reset-project-tokens", "7m"}});
    rate = parse_rate_headers(project, kNow);
    EXPECT_EQ(rate.limit_tokens, 90'000);
    EXPECT_EQ(rate.remaining_tokens, 10);
    EXPECT_EQ(rate.reset_tokens, Duration(420'000));

    // Azure: no resets on success, whole seconds on a 429.
    const HttpAnswer azure{429,
                           {{"x-ratelimit-remaining-tokens", "-1"},
                            {"x-ratelimit-reset-tokens", "37"},
                            {"x-ratelimit-limit-tokens", "many"},
                            {"retry-after-ms", "37000"}},
                           ""};
    rate = parse_rate_headers(azure, kNow);
    EXPECT_EQ(rate.remaining_tokens, std::nullopt);
    EXPECT_EQ(rate.limit_tokens, std::nullopt);
    EXPECT_EQ(rate.reset_tokens, Duration(37'000));
    EXPECT_EQ(rate.retry_after, Duration(37'000));
    EXPECT_EQ(rate.status, 429);
}

struct RetryCase {
    std::string name;
    RetryInput input;
    std::optional<Duration> wait;
};

TEST(Retry, IsDecidedFromNumbers) {
    using enum FailureKind;
    const auto advised = [](FailureKind kind, RetryAdvice advice) {
        RetryInput input{kind};
        input.advice = advice;
        return input;
    };
    RetryInput second{transient}, last{transient}, late{transient}, soon{transient}, far{transient};
    second.tries_done = 2;
    last.tries_done = 3;
    late.tries_done = 9, late.tries_max = 100, late.random = 1 - 0x1p-53;
    soon.retry_after = Duration(1000);
    far.retry_after = kWaitMax + Duration(1);
    const RetryCase cases[] = {
        {"the first back-off is up to 0.5 s", RetryInput{transient}, Duration(250)},
        {"the second up to 1 s", second, Duration(500)},
        {"the third try is the last", last, std::nullopt},
        {"no back-off is above 8 s", late, Duration(7999)},
        {"what the server asks, and a tenth at most", soon, Duration(1050)},
        {"a long wait is the caller's", far, std::nullopt},
        {"a 429 is the caller's", RetryInput{throttled}, std::nullopt},
        {"a 429 stays so, whatever the advice", advised(throttled, RetryAdvice::yes), std::nullopt},
        {"a rejection stands", RetryInput{rejected}, std::nullopt},
        {"a filter stands", RetryInput{content_filtered}, std::nullopt},
        {"advice against", advised(transient, RetryAdvice::no), std::nullopt},
        {"advice for", advised(rejected, RetryAdvice::yes), Duration(250)},
    };
    for (const RetryCase& c : cases) EXPECT_EQ(wait_before_retry(c.input), c.wait) << c.name;
    EXPECT_EQ(retry_advice({{"X-Should-Retry", "true"}}), RetryAdvice::yes);
    EXPECT_EQ(retry_advice({{"x-should-retry", "false"}}), RetryAdvice::no);
    EXPECT_EQ(retry_advice({{"x-should-retry", "maybe"}}), RetryAdvice::none);
}

}  // namespace
}  // namespace millrace::provider
