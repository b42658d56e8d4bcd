#include "http/page_guard.hpp"
#include "tests/http/api_fixture.hpp"

#include "http/router.hpp"
#include "http/work_watch.hpp"

namespace millrace::http {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(Router, TakesPathsApart) {
    struct {
        const char* pattern;
        std::vector<std::string> segments;
        bool fits;
        std::vector<std::string> arguments;
    } cases[] = {
        {"/", {}, true, {}},
        {"/", {"x"}, false, {}},
        {"/v1/queues/{q}", {"v1", "queues", "a/b"}, true, {"a/b"}},
        {"/v1/queues/{q}", {"v1", "queues"}, false, {}},
        {"/v1/queues/{q}", {"v1", "queues", "a", "b"}, false, {}},
        {"/v1/documents/{id...}", {"v1", "documents", "a", "b", ""}, true, {"a/b/"}},
        {"/v1/documents/{id...}", {"v1", "documents", ""}, false, {}},
        {"/v1/x/{y}:go", {"v1", "x", "a:go"}, true, {"a"}},
        {"/v1/x/{y}:go", {"v1", "x", ":go"}, false, {}},
    };
    for (const auto& [pattern, segments, fits, arguments] : cases) {
        std::vector<std::string> got;
        EXPECT_EQ(match(pattern, segments, got), fits) << pattern;
        EXPECT_TRUE(!fits || got == arguments) << pattern;
    }
}

TEST(WorkWatch, CallsNothingStuckThatWaitsForAModelThatIsDown) {
    WorkWatch watch(std::chrono::minutes(5));
    broker::EntityCounts queue;
    queue.name = "embed-queue";
    queue.locked = 3;
    const TimePoint begin = from_millis(1'000'000);
    watch.look({queue}, begin, true);
    watch.look({queue}, begin + std::chrono::hours(1), true);
    EXPECT_TRUE(watch.stuck(begin + std::chrono::hours(1)).empty());
    // The model is back, and still nothing ends.
    watch.look({queue}, begin + std::chrono::hours(2));
    EXPECT_EQ(watch.stuck(begin + std::chrono::hours(2)).size(), 1u);
}

TEST(WorkWatch, CallsWorkStuckThatMakesNoProgress) {
    WorkWatch watch(std::chrono::minutes(5));
    TimePoint now = from_millis(1'000'000);
    broker::EntityCounts queue;
    queue.name = "q";
    const auto look = [&] { watch.look({queue}, now); };
    look();
    now += std::chrono::hours(1);
    queue.active = 3;
    look();
    EXPECT_TRUE(watch.stuck(now).empty()) << "an hour without work is no hour without progress";
    now += std::chrono::minutes(4);
    queue.completed_total = 1;
    look();
    now += std::chrono::minutes(4);
    look();
    EXPECT_TRUE(watch.stuck(now).empty());
    now += std::chrono::minutes(1);
    look();
    ASSERT_EQ(watch.stuck(now).size(), 1u);
    EXPECT_EQ(watch.stuck(now)[0].since, std::chrono::minutes(5));
    queue.dead_lettered_total = 1;
    look();
    EXPECT_TRUE(watch.stuck(now).empty()) << "a dead letter is progress";
}

class ApiRoutes : public ApiTest {};

TEST_F(ApiRoutes, UnknownPathsAndMethodsAreProblems) {
    expect_problem(get("/v1/nothing"), 404, "there is nothing at /v1/nothing");
    const auto answer = send("PUT", "/v1/documents/a");
    expect_problem(answer, 405, "takes GET, DELETE");
    EXPECT_EQ(provider::find_field(answer.headers, "Allow"), "GET, DELETE");
}

TEST_F(ApiRoutes, AskForAKeyWhereKeysAreConfigured) {
    restart({.api_keys = {"alpha", "beta"}});
    struct {
        provider::HttpFields headers;
        int status;
    } cases[] = {
        {{}, 401},
        {{{"Authorization", "Bearer alpha"}}, 200},
        {{{"authorization", "bearer beta"}}, 200},
        {{{"api-key", "beta"}}, 200},
        {{{"Authorization", "Bearer alphabet"}}, 401},
        {{{"Authorization", "Basic alpha"}}, 401},
        {{{"Authorization", "Bearer "}}, 401},
        {{{"api-key", ""}}, 401},
    };
    for (const auto& [headers, status] : cases)
        EXPECT_EQ(send("GET", "/v1/queues", "", headers).status, status);
    const auto answer = get("/v1/queues");
    expect_problem(answer, 401, "an API key is needed");
    EXPECT_THAT(std::string(provider::find_field(answer.headers, "WWW-Authenticate")), HasSubstr("Bearer"));
    for (const char* path : {"/", "/metrics", "/v1/nothing", "/v1/documents/a"})
        EXPECT_EQ(get(path).status, 401) << path;
    for (const char* path : {"/healthz", "/readyz"}) EXPECT_NE(get(path).status, 401) << path;
}

TEST_F(ApiRoutes, TakeNothingFromPagesOfOtherSitesWhereNoKeyIsAskedFor) {
    const std::string body = R"({"title":"t","content":"c"})";
    const auto post = [&](provider::HttpFields headers) {
        headers.emplace_back("Content-Type", "application/json");
        return send("POST", "/v1/documents", body, std::move(headers));
    };
    for (const char* origin : {"https://pages.example", "null", "http://localhost:1"})
        expect_problem(post({{"Origin", origin}}), 403, "server.api_keys_file");
    EXPECT_EQ(broker_->counts("document-ingestion")->active, 0u);
    EXPECT_EQ(post({}).status, 202);
    EXPECT_EQ(send("GET", "/healthz", "", {{"Origin", "https://pages.example"}}).status, 200);
    EXPECT_EQ(send("GET", "/$namespaceinfo?api-version=2021-05", "", {{"Origin", "null"}}).status, 401);
    EXPECT_EQ(send("GET", "/$namespaceinfo?api-version=2021-05").status, 200);
    restart({.api_keys = {"alpha"}});
    EXPECT_EQ(post({{"Origin", "https://pages.example"}, {"api-key", "alpha"}}).status, 202);
}

TEST(PageGuard, ANameThatMayBeMadeToMeanThisMachineIsNotAnsweredTo) {
    const std::vector<std::string> names = {"ai.example"};
    const auto refused = [&](const std::string& host, const std::string& origin = "") {
        Request request;
        if (!host.empty()) request.headers.emplace_back("Host", host);
        if (!origin.empty()) request.headers.emplace_back("Origin", origin);
        return foreign_page(request, names).has_value();
    };
    for (const char* host : {"localhost", "LocalHost:8080", "app.localhost:80", "127.0.0.1", "10.0.0.1:8080",
                             "[::1]:8080", "ai.example", "AI.example:443", ""})
        EXPECT_FALSE(refused(host)) << host;
    for (const char* host : {"pages.example", "pages.example:8080", "localhost.pages.example", "notlocalhost",
                             "127.0.0.1.pages.example", "[pages.example]", "ai.example.pages.example"})
        EXPECT_TRUE(refused(host)) << host;
    EXPECT_FALSE(refused("127.0.0.1:8080", "http://127.0.0.1:8080"));
    EXPECT_FALSE(refused("ai.example", "https://ai.example"));
    EXPECT_FALSE(refused("127.0.0.1:8080", "https://AI.example:8443"));
    EXPECT_TRUE(refused("127.0.0.1:8080", "http://pages.example"));
    EXPECT_TRUE(refused("pages.example:8080", "http://pages.example:8080"));
}

TEST_F(ApiRoutes, ReadinessFollowsTheServer) {
    expect_problem(get("/readyz"), 503, "starting or stopping");
    api_->set_ready(true);
    EXPECT_EQ(get("/readyz").status, 200);
    EXPECT_EQ(get("/healthz").status, 200);
}

TEST_F(ApiRoutes, HealthTurnsRedWhenWorkIsStuck) {
    restart({.worked_queues = {"document-ingestion"}});
    EXPECT_EQ(get("/healthz").status, 200);
    post_json("/v1/documents", R"({"title":"t","content":"c"})");
    EXPECT_EQ(get("/healthz").status, 200);
    clock_.advance(std::chrono::minutes(6));
    const auto answer = get("/healthz");
    EXPECT_EQ(answer.status, 503);
    EXPECT_EQ(body_of(answer).at("stuck").at(0).at("queue"), "document-ingestion");
    EXPECT_EQ(body_of(answer).at("stuck").at(0).at("secondsWithoutProgress"), 360);
}

TEST_F(ApiRoutes, MetricsTellWhatHappened) {
    post_json("/v1/documents", R"({"title":"t","content":"c","category":"notes"})");
    const auto answer = get("/metrics");
    EXPECT_EQ(provider::find_field(answer.headers, "Content-Type"),
              "text/plain; version=0.0.4; charset=utf-8");
    EXPECT_THAT(answer.body, HasSubstr("documents_accepted_total{document_category=\"notes\"} 1\n"));
    EXPECT_THAT(answer.body, HasSubstr("queue_messages{queue=\"document-ingestion\",state=\"active\"} 1\n"));
    EXPECT_THAT(answer.body, HasSubstr("http_request_duration_seconds_count{method=\"POST\",route=\"/v1/"
                                       "documents\",status=\"202\"} 1\n"));
    EXPECT_THAT(answer.body, HasSubstr("store_commits_total"));
    EXPECT_TRUE(answer.body.ends_with('\n'));
}

TEST_F(ApiRoutes, TheStatusPageRefersToNothingOutside) {
    const auto answer = get("/");
    EXPECT_EQ(answer.status, 200);
    EXPECT_THAT(answer.body, HasSubstr("<!doctype html>"));
    EXPECT_THAT(answer.body, HasSubstr("</html>"));
    EXPECT_EQ(answer.body.find("src="), std::string::npos);
    EXPECT_EQ(answer.body.find("https://"), std::string::npos);
}

TEST_F(ApiRoutes, SearchAnswersPassages) {
    publish("fruit", "food", {"apples and pears", "bananas"});
    publish("metal", "work", {"iron and steel"});
    for (const char* mode : {"hybrid", "vector", "keyword"}) {
        const auto answer =
            post_json("/v1/search", R"({"query":"apples","mode":")" + std::string(mode) + "\",\"top\":5}");
        ASSERT_EQ(answer.status, 200) << answer.body;
        const auto body = body_of(answer);
        ASSERT_FALSE(body.at("results").as_array().empty()) << mode;
        const auto& best = body.at("results").at(0);
        EXPECT_EQ(best.at("documentId"), "fruit") << mode;
        EXPECT_EQ(best.at("text"), "apples and pears") << mode;
        EXPECT_EQ(best.at("title"), "Title of fruit");
        EXPECT_EQ(best.at("chunk"), 0);
        EXPECT_TRUE(best.at("score").is_number());
        EXPECT_TRUE(body.at("tookMs").is_number());
    }
    const auto filtered = body_of(post_json("/v1/search", R"({"query":"and","filter":{"category":"work"}})"));
    EXPECT_EQ(filtered.at("results").as_array().size(), 1u);
    for (const auto& hit : filtered.at("results").as_array()) EXPECT_EQ(hit.at("category"), "work");
    const auto one =
        post_json("/v1/search", R"({"query":"apples bananas","chunksPerDocument":1,"mode":"vector"})");
    EXPECT_EQ(body_of(one).at("results").as_array().size(), 2u);
}

TEST_F(ApiRoutes, SearchTellsTheModelTheTraceOfItsRequest) {
    publish("fruit", "food", {"apples and pears"});
    const std::string traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    ASSERT_EQ(post_json("/v1/search", R"({"query":"apples"})", {{"traceparent", traceparent}}).status, 200);
    EXPECT_EQ(model_.last_trace, TraceContext::parse(traceparent));
    ASSERT_EQ(post_json("/v1/search", R"({"query":"apples"})").status, 200);
    EXPECT_FALSE(model_.last_trace);
}

TEST_F(ApiRoutes, SearchesThatAreWrongAreRefused) {
    struct {
        const char* body;
        const char* words;
    } cases[] = {
        {"{}", "query is missing"},
        {R"({"query":"  "})", "query is missing or empty"},
        {R"({"query":5})", "query: expected text, found a number"},
        {R"({"query":"x","top":0})", "top must be from 1 to 1000"},
        {R"({"query":"x","top":1.5})", "top: expected a whole number"},
        {R"({"query":"x","mode":"fast"})", "mode must be hybrid, vector or keyword"},
        {R"({"query":"x","filter":{"categroy":"c"}})",
         "filter: unknown field \"categroy\" (did you mean \"category\"?)"},
        {R"({"query":"x","tops":3})", "did you mean \"top\"?"},
        {"[", "malformed JSON"},
        {"[]", "expected an object, found a list"},
    };
    for (const auto& [body, words] : cases) expect_problem(post_json("/v1/search", body), 400, words);
    const std::string long_query(9000, 'q');
    expect_problem(post_json("/v1/search", "{\"query\":\"" + long_query + "\"}"), 400,
                   "longer than 8192 bytes");
    expect_problem(send("POST", "/v1/search", "{}"), 415, "application/json");
}

TEST_F(ApiRoutes, SearchDoesWithoutTheModelWhereItCan) {
    publish("fruit", "food", {"apples and pears"});
    model_.failure =
        provider::Failure{provider::FailureKind::throttled, 429, "slow down", std::chrono::seconds(3)};
    const auto hybrid = body_of(post_json("/v1/search", R"({"query":"apples"})"));
    EXPECT_EQ(hybrid.at("mode"), "keyword");
    EXPECT_THAT(std::string(hybrid.at("warning").as_string()), HasSubstr("slow down"));
    EXPECT_EQ(hybrid.at("results").as_array().size(), 1u);
    const auto vector = post_json("/v1/search", R"({"query":"apples","mode":"vector"})");
    expect_problem(vector, 429, "slow down");
    EXPECT_EQ(provider::find_field(vector.headers, "Retry-After"), "3");
    EXPECT_EQ(body_of(post_json("/v1/search", R"({"query":"apples","mode":"keyword"})")).at("mode"),
              "keyword");
}

class Queues : public ApiTest {
  protected:
    void send_messages(const std::vector<std::string>& ids) {
        std::vector<broker::Message> messages;
        for (const std::string& id : ids) {
            broker::Message message;
            message.message_id = id;
            message.body = "body of " + id;
            messages.push_back(std::move(message));
        }
        test::run(io_, broker_->send("embed-queue", messages)).value();
    }

    void dead_letter_all(const std::string& reason) {
        for (const auto& delivery : receive("embed-queue", 100))
            test::run(io_, broker_->dead_letter({"embed-queue", delivery.lock_token}, reason, "why", {}))
                .value();
    }

    /// As `dead_letter_all` for many: side by side, so that they share commits.
    void dead_letter_together(std::size_t count) {
        for (const auto& delivery : receive("embed-queue", count))
            spawn(io_.get_executor(), dead_letter_one({"embed-queue", delivery.lock_token}));
        test::run_until(io_, [&] { return broker_->counts("embed-queue")->dead_lettered == count; });
    }
    asio::awaitable<void> dead_letter_one(broker::LockRef lock) {
        const broker::Properties none;
        auto moved = co_await broker_->dead_letter(std::move(lock), "ApiError_400", "why", none);
        EXPECT_TRUE(moved);
    }

    std::int64_t number(const provider::HttpAnswer& answer, std::string_view member) {
        return body_of(answer).at(member).to_number<std::int64_t>();
    }
};

TEST_F(Queues, AreListedWithWhatTheyHold) {
    send_messages({"a", "b"});
    receive("embed-queue", 1);
    const auto queues = body_of(get("/v1/queues")).at("queues").as_array();
    EXPECT_EQ(queues.size(), 2u);
    const auto queue = body_of(get("/v1/queues/embed-queue"));
    EXPECT_EQ(queue.at("active"), 1);
    EXPECT_EQ(queue.at("locked"), 1);
    EXPECT_EQ(queue.at("scheduled"), 0);
    EXPECT_EQ(queue.at("deferred"), 0);
    EXPECT_EQ(queue.at("deadLettered"), 0);
    EXPECT_TRUE(queue.at("oldestAgeSeconds").is_number());
    EXPECT_TRUE(queue.at("rates").at("enqueuedPerSecond").is_number());
    expect_problem(get("/v1/queues/none"), 404, "none");
}

TEST_F(Queues, ShowTheirMessages) {
    send_messages({"a", "b", "c"});
    const auto page = body_of(get("/v1/queues/embed-queue/messages?limit=2"));
    ASSERT_EQ(page.at("messages").as_array().size(), 2u);
    EXPECT_EQ(page.at("messages").at(0).at("messageId"), "a");
    EXPECT_EQ(page.at("messages").at(0).at("body"), "body of a");
    const auto next = page.at("next").to_number<std::int64_t>();
    const auto rest = body_of(get("/v1/queues/embed-queue/messages?limit=2&from=" + std::to_string(next)));
    EXPECT_EQ(rest.at("messages").as_array().size(), 1u);
    EXPECT_TRUE(rest.at("next").is_null());
    EXPECT_EQ(
        body_of(get("/v1/queues/embed-queue/messages?state=scheduled")).at("messages").as_array().size(), 0u);
    expect_problem(get("/v1/queues/embed-queue/messages?state=lost"), 400, "?state must be");
    expect_problem(get("/v1/queues/none/messages"), 404, "none");
}

TEST_F(Queues, ShowWhatAMessageSaysWhateverItIsWrappedInto) {
    using namespace std::string_literals;
    std::vector<broker::Message> messages(2);
    messages[0].body_format = broker::kAmqpSections;
    messages[0].body = "\x00\x53\x77\xa1\x04text"s;
    messages[1].body_format = broker::kAmqpSections;
    messages[1].body = "\x00\x53\x77\x54\xff"s;
    test::run(io_, broker_->send("embed-queue", messages)).value();
    const auto shown = body_of(get("/v1/queues/embed-queue/messages")).at("messages");
    EXPECT_EQ(shown.at(0).at("body"), "text");
    EXPECT_EQ(shown.at(0).at("bodyBytes"), 4);
    EXPECT_EQ(shown.at(1).at("bodyBase64"), "AFN3VP8=") << "a number: its section as it is";
}

TEST_F(Queues, GiveDeadLettersBackToWork) {
    send_messages({"a", "b", "c"});
    dead_letter_all("ApiError_400");
    const auto dead = body_of(get("/v1/queues/embed-queue/messages?state=deadLettered"));
    ASSERT_EQ(dead.at("messages").as_array().size(), 3u);
    EXPECT_EQ(dead.at("messages").at(0).at("deadLetterReason"), "ApiError_400");
    EXPECT_EQ(dead.at("messages").at(0).at("deadLetterDescription"), "why");

    const std::string redrive = "/v1/queues/embed-queue/dead-letters:redrive";
    const auto dry = post_json(redrive, R"({"dryRun":true})");
    EXPECT_EQ(number(dry, "matched"), 3);
    EXPECT_EQ(number(dry, "moved"), 0);
    EXPECT_EQ(number(post_json(redrive, R"({"filter":{"reason":"other"}})"), "moved"), 0);
    EXPECT_EQ(number(post_json(redrive, R"({"filter":{"messageId":"b"}})"), "moved"), 1);
    EXPECT_EQ(number(send("POST", redrive), "moved"), 2);
    EXPECT_EQ(broker_->counts("embed-queue")->active, 3u);
    EXPECT_EQ(broker_->counts("embed-queue")->dead_lettered, 0u);
}

TEST_F(Queues, ADryRunOfARedriveSaysWhatItWouldCost) {
    send_messages({"a", "b", "c"});
    dead_letter_all("ApiError_400");
    quota::PageView view;
    view.deployment = "letters";
    view.tokens_per_minute = 60;
    views_ = {view};
    const std::string redrive = "/v1/queues/Embed-Queue/dead-letters:redrive";
    const auto all = body_of(post_json(redrive, R"({"dryRun":true})"));
    EXPECT_EQ(all, (boost::json::value{{"matched", 3},
                                       {"moved", 0},
                                       {"dryRun", true},
                                       {"estimated", 3},
                                       {"failing", 1},
                                       {"model", "letters"},
                                       {"calls", 3},
                                       {"promptTokens", 300},
                                       {"outputTokensMax", 30},
                                       {"costMax", 360e-6},
                                       {"backlogSeconds", 0},
                                       {"secondsUntilDone", 330}}));
    const auto one = body_of(post_json(redrive, R"({"filter":{"messageId":"c"},"dryRun":true})"));
    EXPECT_EQ(one.at("estimated"), 1);
    EXPECT_EQ(one.at("promptTokens"), 100);
    EXPECT_EQ(body_of(post_json(redrive, R"({"filter":{"max":2},"dryRun":true})")).at("estimated"), 2);
    EXPECT_EQ(body_of(post_json(redrive, R"({"filter":{"reason":"no"},"dryRun":true})")).at("estimated"), 0);
    const auto slow = body_of(post_json(redrive, R"({"rate":0.001,"dryRun":true})"));
    EXPECT_EQ(slow.at("secondsUntilDone"), 3000) << "at the rate that was asked for";
    EXPECT_EQ(broker_->counts("embed-queue")->dead_lettered, 3u);
}

TEST_F(Queues, ADryRunOfARedriveEstimatesWhatItWouldMove) {
    send_messages({"a", "b", "c", "d", "e"});
    dead_letter_all("ApiError_400");
    const std::string dead_letters = broker::dead_letter_queue_of("embed-queue");
    const auto held = receive(dead_letters, 3);
    ASSERT_EQ(held.size(), 3u);
    test::run(io_, broker_->defer({dead_letters, held[1].lock_token}, {})).value();
    const std::string redrive = "/v1/queues/embed-queue/dead-letters:redrive";
    const auto rest = body_of(post_json(redrive, R"({"dryRun":true})"));
    EXPECT_EQ(rest.at("matched"), 2);
    EXPECT_EQ(rest.at("estimated"), 2);
    EXPECT_EQ(rest.at("promptTokens"), 200);
    EXPECT_EQ(rest.at("failing"), 0) << "b is held";
    const auto one = body_of(post_json(redrive, R"({"filter":{"max":1},"dryRun":true})"));
    EXPECT_EQ(one.at("matched"), 1);
    EXPECT_EQ(one.at("estimated"), 1);

    receive(dead_letters, 5);
    const auto none = body_of(post_json(redrive, R"({"dryRun":true})"));
    EXPECT_EQ(none.at("matched"), 0);
    EXPECT_EQ(none.at("estimated"), 0);
    EXPECT_EQ(number(post_json(redrive, "{}"), "moved"), 0) << "as it said";
}

TEST_F(Queues, ADryRunOfARedriveReadsForABoundedTimeAndSaysHowFarItCame) {
    send_messages({"a", "b", "c"});
    dead_letter_all("ApiError_400");
    estimate_time_ = std::chrono::seconds(11);
    const auto some = body_of(post_json("/v1/queues/embed-queue/dead-letters:redrive", R"({"dryRun":true})"));
    EXPECT_EQ(some.at("matched"), 3);
    EXPECT_EQ(some.at("estimated"), 2);
    EXPECT_EQ(some.at("promptTokens"), 200);
}

TEST_F(Queues, DropDeadLetters) {
    send_messages({"a", "b"});
    dead_letter_all("ApiError_400");
    const std::string drop = "/v1/queues/embed-queue/dead-letters:drop";
    EXPECT_EQ(number(post_json(drop, R"({"dryRun":true})"), "matched"), 2);
    EXPECT_EQ(broker_->counts("embed-queue")->dead_lettered, 2u);
    EXPECT_EQ(number(post_json(drop, R"({"filter":{"messageId":"a"}})"), "dropped"), 1);
    EXPECT_EQ(broker_->counts("embed-queue")->dead_lettered, 1u);
    expect_problem(post_json(drop, R"({"rate":3})"), 400, "unknown field \"rate\"");
    expect_problem(post_json("/v1/queues/none/dead-letters:drop", "{}"), 404, "none");
}

TEST_F(Queues, ALongRedriveGoesOnByItself) {
    send_messages({"a", "b", "c"});
    dead_letter_all("ApiError_400");
    const std::string redrive = "/v1/queues/embed-queue/dead-letters:redrive";
    const auto answer = post_json(redrive, R"({"rate":0.1})");
    EXPECT_EQ(answer.status, 202) << answer.body;
    EXPECT_EQ(number(answer, "matched"), 3);
    expect_problem(post_json(redrive, "{}"), 409, "under way");
}

TEST_F(Queues, ARedriveOfVeryManyIsAnsweredAtOnceAndMovesThemAll) {
    constexpr std::size_t count = 1100;  // more than a request moves, and more than one batch of the engine
    std::vector<std::string> ids;
    for (std::size_t i = 0; i < count; ++i) ids.push_back("m" + std::to_string(i));
    send_messages(ids);
    dead_letter_together(count);
    const std::string redrive = "/v1/queues/embed-queue/dead-letters:redrive";
    const auto few = post_json(redrive, R"({"filter":{"max":20}})");
    EXPECT_EQ(few.status, 200);
    EXPECT_EQ(number(few, "moved"), 20);

    const auto answer = send("POST", redrive);
    EXPECT_EQ(answer.status, 202) << answer.body;
    EXPECT_EQ(number(answer, "matched"), static_cast<std::int64_t>(count) - 20);
    EXPECT_EQ(number(answer, "moved"), 0);
    expect_problem(send("POST", redrive), 409, "under way");
    test::run_until(io_, [&] { return broker_->counts("embed-queue")->active == count; });
    EXPECT_EQ(broker_->counts("embed-queue")->dead_lettered, 0u);
    // The last letter is back a moment before the redrive ends.
    auto again = send("POST", redrive);
    for (int i = 0; i < 1000 && again.status == 409; ++i) again = send("POST", redrive);
    ASSERT_EQ(again.status, 200) << "the next one may come when it has ended";
    EXPECT_EQ(number(again, "matched"), 0);
}

}  // namespace
}  // namespace millrace::http
