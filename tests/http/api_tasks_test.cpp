#include "tests/http/api_fixture.hpp"

namespace millrace::http {
namespace {

constexpr char kTask[] = R"({"id":"t1","type":"sentiment","content":"a fine day"})";

class ApiTasksTest : public ApiTest {
  protected:
    ApiTasksTest() { test::run(io_, broker_->put_entity(work::queue::tasks, {})).value(); }
    std::uint64_t waiting() { return broker_->counts(work::queue::tasks)->active; }
    broker::Message message() { return receive(work::queue::tasks, 1).at(0).message; }
    asio::awaitable<void> dry_run(std::vector<int>& answered) {
        provider::HttpRequest request;
        request.method = "POST";
        const std::string origin = "http://127.0.0.1:" + std::to_string(server_->port());
        request.url = provider::parse_url(origin + "/v1/tasks?dryRun=true").value();
        request.headers = {{"Content-Type", "application/json"}};
        request.body = kTask;
        auto answer = co_await client_->send(std::move(request));
        answered.push_back(answer ? answer->status : 0);
    }
    void finish(const std::string& id) {
        auto work = [&](store::Connection& connection) -> Result<void> {
            const work::TaskCost cost{"model-x", 12, 3, 1, 2'500'000};
            work::records::begin_task(connection, id, "sentiment", clock_.now());
            work::records::finish_task(connection, id, R"({"score":0.5})", cost, clock_.now());
            return {};
        };
        test::run(io_, database_->write(work)).value();
        operations_->changed(id);
    }
};

TEST_F(ApiTasksTest, ATaskIsAcceptedAndItsResultIsFoundUnderItsIdAndItsOperation) {
    const auto accepted = post_json("/v1/tasks", kTask);
    ASSERT_EQ(accepted.status, 202) << accepted.body;
    const std::string operation = text_of(accepted, "operation");
    EXPECT_EQ(text_of(accepted, "id"), "t1");
    EXPECT_THAT(std::string(provider::find_field(accepted.headers, "Location")),
                testing::EndsWith("/v1/tasks/t1"));
    EXPECT_THAT(std::string(provider::find_field(accepted.headers, "Operation-Location")),
                testing::EndsWith("/v1/operations/" + operation));
    const auto before = body_of(get("/v1/tasks/t1"));
    EXPECT_EQ(before.at("status").as_string(), "accepted");
    EXPECT_FALSE(before.as_object().contains("result"));
    finish("t1");
    const auto task = body_of(get("/v1/tasks/t1"));
    EXPECT_EQ(task.at("status").as_string(), "succeeded");
    EXPECT_EQ(task.at("result").at("score").as_double(), 0.5);
    EXPECT_EQ(task.at("model").as_string(), "model-x");
    EXPECT_EQ(task.at("tokens").at("prompt").to_number<int>(), 12);
    EXPECT_EQ(task.at("cost").as_double(), 2.5);
    EXPECT_EQ(task.at("attempts").to_number<int>(), 1);
    const auto view = body_of(get("/v1/operations/" + operation + "?wait=30"));
    EXPECT_EQ(view.at("kind").as_string(), "task");
    EXPECT_EQ(view.at("taskId").as_string(), "t1");
    EXPECT_EQ(view.at("result").at("score").as_double(), 0.5);
}

TEST_F(ApiTasksTest, ListsAndLinesAreAnsweredByLists) {
    const auto list = post_json("/v1/tasks", R"([{"type":"sentiment","content":"a"},
                                                {"Type":"sentiment","document_id":"d"}])");
    ASSERT_EQ(list.status, 202) << list.body;
    EXPECT_EQ(body_of(list).as_array().size(), 2u);
    const auto lines = send("POST", "/v1/tasks", std::string(kTask) + "\n\n" + kTask + "\n",
                            {{"Content-Type", "application/x-ndjson"}});
    ASSERT_EQ(lines.status, 202) << lines.body;
    EXPECT_EQ(body_of(lines).as_array().size(), 2u);
    EXPECT_EQ(waiting(), 3u) << "the same task twice is one task";
}

TEST_F(ApiTasksTest, TheTenantComesFromTheHeaderOrTheTask) {
    post_json("/v1/tasks", R"({"type":"sentiment","content":"a"})", {{"Millrace-Tenant", "acme"}});
    EXPECT_EQ(std::get<std::string>(message().properties.at("tenant")), "acme");
    post_json("/v1/tasks", R"({"type":"sentiment","content":"a","tenant":"own","priority":"batch"})",
              {{"Millrace-Tenant", "acme"}});
    const auto second = message();
    EXPECT_EQ(std::get<std::string>(second.properties.at("tenant")), "own");
    EXPECT_EQ(std::get<std::string>(second.properties.at("priority")), "batch");
}

TEST_F(ApiTasksTest, TheSameTaskAgainAnswersTheSameAndAnotherUnderItsIdIsAConflict) {
    const auto first = post_json("/v1/tasks", kTask);
    const auto second = post_json("/v1/tasks", kTask);
    EXPECT_EQ(second.status, 202);
    EXPECT_EQ(text_of(second, "operation"), text_of(first, "operation"));
    expect_problem(post_json("/v1/tasks", R"({"id":"t1","type":"sentiment","content":"a bad day"})"), 409,
                   "the task \"t1\" is known with other content");
    EXPECT_EQ(waiting(), 1u);
}

TEST_F(ApiTasksTest, AnIdempotencyKeyAnswersTheSame) {
    const provider::HttpFields key{{"Idempotency-Key", "\"k\""}};
    const std::string body = R"({"type":"sentiment","content":"a"})";
    const auto first = post_json("/v1/tasks", body, key);
    const auto second = post_json("/v1/tasks", body, key);
    EXPECT_EQ(first.status, 202);
    EXPECT_EQ(first.body, second.body);
    EXPECT_EQ(waiting(), 1u);
    expect_problem(post_json("/v1/tasks", R"({"type":"sentiment","content":"b"})", key), 422,
                   "was used for another request");
}

TEST_F(ApiTasksTest, ADryRunSaysWhatItWouldCostAndAcceptsNothing) {
    const auto one = body_of(post_json("/v1/tasks?dryRun=true", R"({"type":"sentiment","content":"four"})"));
    EXPECT_EQ(one.at("calls").to_number<int>(), 1);
    EXPECT_EQ(one.at("promptTokens").to_number<int>(), 4);
    EXPECT_EQ(one.at("outputTokensMax").to_number<int>(), 128);
    EXPECT_DOUBLE_EQ(one.at("costMax").to_number<double>(), 5e-6);
    const auto two = body_of(post_json("/v1/tasks?dryRun=true", R"([{"type":"sentiment","content":"four"},
                                                                   {"type":"sentiment","content":"fives"}])"));
    EXPECT_EQ(two.at("tasks").as_array().size(), 2u);
    EXPECT_EQ(two.at("total").at("promptTokens").to_number<int>(), 9);
    EXPECT_EQ(waiting(), 0u);
    EXPECT_TRUE(one.at("secondsUntilDone").is_null()) << "no limit is known";
    quota::PageView view;
    view.deployment = "letters";
    view.tokens_per_minute = 60;
    view.waiting_tokens = 3;
    views_ = {view};
    const auto timed =
        body_of(post_json("/v1/tasks?dryRun=true", R"({"type":"sentiment","content":"four"})"));
    EXPECT_EQ(timed.at("backlogSeconds"), 3);
    EXPECT_EQ(timed.at("secondsUntilDone"), 3 + 4 + 128);
    expect_problem(post_json("/v1/tasks?dryRun=true", R"({"type":"sentiment","documentId":"none"})"), 404,
                   "there is no document");
    expect_problem(post_json("/v1/tasks?dryRun=yes", kTask), 400, "?dryRun must be true or false");
}

TEST_F(ApiTasksTest, ADryRunOfManyTasksEndsWhenItHasTakenTooLong) {
    estimate_time_ = std::chrono::seconds(21);
    const std::string task = R"({"type":"sentiment","content":"a fine day"})";
    EXPECT_EQ(post_json("/v1/tasks?dryRun=true", task).status, 200);
    expect_problem(post_json("/v1/tasks?dryRun=true", "[" + task + "," + task + "]"), 413,
                   "send fewer tasks to a dry run");
}

TEST_F(ApiTasksTest, NoMoreThanFourDryRunsOfAnyKindGoOnAtOnce) {
    estimate_gate_.emplace(io_.get_executor());
    std::vector<int> answered;
    for (int i = 0; i < 4; ++i) spawn(io_.get_executor(), dry_run(answered));
    test::run_until(io_, [&] { return estimates_held_ == 4; });
    const std::string words = "other dry runs are under way";
    const std::string batch =
        R"({"input_file_id":"none","endpoint":"/v1/embeddings","completion_window":"24h"})";
    expect_problem(post_json("/v1/tasks?dryRun=true", kTask), 429, words);
    expect_problem(post_json("/v1/documents?dryRun=true", R"({"title":"t","content":"x"})"), 429, words);
    expect_problem(post_json("/v1/queues/embed-queue/dead-letters:redrive", R"({"dryRun":true})"), 429,
                   words);
    const auto refused = post_json("/v1/batches?dryRun=true", batch);
    EXPECT_EQ(refused.status, 429);
    EXPECT_THAT(refused.body, testing::HasSubstr(words));
    EXPECT_EQ(estimates_held_, 4);

    estimate_gate_->notify();
    test::run_until(io_, [&] { return answered.size() == 4; });
    EXPECT_THAT(answered, testing::Each(200));
    estimate_gate_.reset();
    EXPECT_EQ(post_json("/v1/tasks?dryRun=true", kTask).status, 200);
    for (int i = 0; i < 5; ++i) EXPECT_EQ(post_json("/v1/batches?dryRun=true", batch).status, 404);
}

TEST_F(ApiTasksTest, WhatIsWrongIsNamedAndNothingIsAccepted) {
    const std::tuple<const char*, int, const char*> cases[] = {
        {"{", 400, "JSON"},
        {"[]", 400, "the list is empty"},
        {R"({"content":"x"})", 400, "type is missing"},
        {R"({"type":"sentiment"})", 400, "content is missing, or a documentId"},
        {R"({"type":"sentiment","content":""})", 400, "content is empty"},
        {R"({"type":"sentiment","content":"x","documentId":"d"})", 400, "both given"},
        {R"({"type":"sentiment","content":"x","id":".."})", 400, "id is"},
        {R"({"type":"sentiment","content":"x","contnet":"y"})", 400, "did you mean \"content\"?"},
        {R"({"type":"sentiment","content":"x","priority":"high"})", 400, "priority is"},
        {R"([{"type":"sentiment","content":"x"},{"type":"nothing","content":"x"}])", 400,
         "tasks[1]: there is no task \"nothing\""},
    };
    for (const auto& [body, status, words] : cases)
        expect_problem(post_json("/v1/tasks", body), status, words);
    expect_problem(send("POST", "/v1/tasks", "text", {{"Content-Type", "text/plain"}}), 415,
                   "application/json");
    expect_problem(get("/v1/tasks/none"), 404, "no task with this id");
    EXPECT_EQ(waiting(), 0u);
}

}  // namespace
}  // namespace millrace::http
