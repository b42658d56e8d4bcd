// Tasks of many calls: long texts, parts, crashes, fan-outs, estimates.
#include "handlers/estimate.hpp"
#include "handlers/task_run.hpp"
#include "handlers/task_text.hpp"
#include "provider/remembered.hpp"
#include "tests/handlers/task_fixture.hpp"

#include <map>

namespace millrace::handlers {
namespace {

using provider::FailureKind;
using work::Status;

std::string long_text(int sentences) {
    std::string text;
    for (int i = 0; i < sentences; ++i)
        text += "The mill race number " + std::to_string(i) + " carries water to the great wheel. ";
    return text;
}

class LongTaskTest : public TaskTest {
  protected:
    LongTaskTest() { provider.info().context_tokens_max = 3'000; }
};

TEST_F(LongTaskTest, ALongTextIsSummarizedPieceByPieceUntilOneCallTakesTheRest) {
    const auto operation = run_task("summarize", long_text(400));
    ASSERT_EQ(operation.status, Status::succeeded) << operation.error;
    ASSERT_GT(provider.requests.size(), 3u);
    EXPECT_EQ(operation.done, operation.total);
    EXPECT_EQ(operation.total, static_cast<std::int64_t>(provider.requests.size()));
    std::string together;
    for (std::size_t i = 0; i + 1 < provider.requests.size(); ++i) {
        EXPECT_LE(text::estimate_tokens(provider.requests[i].input), 3'000u);
        together += provider.requests[i].input;
    }
    EXPECT_NE(together.find("number 0 "), std::string::npos);
    EXPECT_NE(together.find("number 399 "), std::string::npos);
    EXPECT_NE(provider.requests.back().input.find("short\n- a point"), std::string::npos);
}

TEST_F(LongTaskTest, EntitiesOfALongTextAreCountedTogether) {
    const auto operation = run_task("entities", long_text(400));
    ASSERT_EQ(operation.status, Status::succeeded) << operation.error;
    const auto calls = static_cast<std::int64_t>(provider.requests.size());
    EXPECT_GT(calls, 2);
    EXPECT_EQ(operation.result,
              R"({"entities":[{"text":"Ada","type":"person","count":)" + std::to_string(2 * calls) + "}]}");
}

TEST_F(LongTaskTest, AnEstimateSaysTheCallsThatAreThenMade) {
    start();
    for (const std::string type : {"summarize", "entities", "analyze"}) {
        work::NewTask task;
        task.type = type;
        task.content = long_text(400);
        const auto estimate = test::run(io, estimate_task(*services, *parts, task));
        ASSERT_TRUE(estimate) << estimate.error().detail;
        EXPECT_EQ(provider.requests.size(), 0u) << "an estimate calls nobody";
        EXPECT_EQ(estimate->model, "counting");
        EXPECT_EQ(wait(accept(type, task.content, "", "of-" + type)).status, Status::succeeded);
        // Real notes are shorter than the longest that they may be.
        EXPECT_GE(estimate->calls, static_cast<std::int64_t>(provider.requests.size()));
        EXPECT_GE(estimate->prompt_tokens, static_cast<std::int64_t>(text::estimate_tokens(task.content)));
        EXPECT_EQ(estimate->micros, estimate->prompt_tokens + 2 * estimate->output_tokens_max);
        provider.requests.clear();
    }
}

TEST_F(LongTaskTest, AnEstimateOfEmbeddingCountsEveryCall) {
    start();
    provider.info().tokens_per_input_max = 100;
    const std::pair<std::size_t, std::size_t> limits[] = {{8, 0},
                                                          {1'000, 1'500}};  // inputs, tokens a request
    for (const auto& [inputs, tokens] : limits) {
        provider.info().inputs_per_request_max = inputs;
        provider.info().tokens_per_request_max = tokens;
        work::NewTask task;
        task.type = "embed";
        task.content = long_text(400) + std::to_string(inputs);
        const auto estimate = test::run(io, estimate_task(*services, *parts, task)).value();
        provider.calls = 0;
        provider.texts.clear();
        const std::string id = "of-" + std::to_string(inputs);
        ASSERT_EQ(wait(accept("embed", task.content, "", id)).status, Status::succeeded);
        EXPECT_GT(provider.calls, 2u);
        EXPECT_EQ(estimate.calls, static_cast<std::int64_t>(provider.calls));
        std::size_t asked = 0;
        for (const std::string& text : provider.texts) asked += text::estimate_tokens(text);
        EXPECT_EQ(estimate.prompt_tokens, static_cast<std::int64_t>(asked));
        EXPECT_EQ(estimate.micros, estimate.prompt_tokens);

        broker::Message letter;
        letter.body = R"({"id":")" + id + R"(","type":"embed","content":"is not asked for again"})";
        EXPECT_EQ(test::run(io, estimate_task(*services, *parts, letter)).value().calls, 0) << "it is done";
    }
}

TEST_F(TaskTest, AnEstimateOfEmbeddingLeavesOutWhatAnotherProcessHasPaidFor) {
    start();
    provider.info().tokens_per_input_max = 100;
    provider::Remembered shared(provider, *database, clock);
    parts->model = [&shared](const std::string&, bool) -> Result<TaskModel> {
        return TaskModel{&shared, quota::Price{1, 0, 2}, nullptr, "main"};
    };
    work::NewTask task;
    task.type = "embed";
    task.content = long_text(400);
    const auto full = test::run(io, estimate_task(*services, *parts, task)).value();
    auto pieces = embed_pieces({&shared, {}, nullptr}, task.content);
    pieces.resize(12);  // a whole request of eight, and half of the next
    const provider::CallContext context;
    ASSERT_TRUE(test::run(io, shared.embed(std::move(pieces), context)));
    provider.calls = 0;
    provider.texts.clear();
    const auto rest = test::run(io, estimate_task(*services, *parts, task)).value();
    EXPECT_EQ(rest.calls, full.calls - 1);
    EXPECT_EQ(rest.loads.at("main").calls, rest.calls);
    EXPECT_EQ(provider.calls, 0u) << "an estimate calls nobody";
    ASSERT_EQ(wait(accept("embed", task.content)).status, Status::succeeded);
    EXPECT_EQ(rest.calls, static_cast<std::int64_t>(provider.calls));
    std::size_t asked = 0;
    for (const std::string& text : provider.texts) asked += text::estimate_tokens(text);
    EXPECT_EQ(rest.prompt_tokens, static_cast<std::int64_t>(asked));
    task.id = "again";
    const auto none = test::run(io, estimate_task(*services, *parts, task)).value();
    EXPECT_EQ(none.calls, 0);
    EXPECT_EQ(none.micros, 0);
    EXPECT_TRUE(none.loads.empty());
}

TEST_F(TaskTest, QueuedTasksWaitForTheDeploymentsThatAnswer) {
    TaskType own;
    own.name = "own";
    own.deployment = "nowhere";
    own.prompt = "Do it.";
    configure({own});
    parts->model = [inner = parts->model](const std::string& name, bool embeds) {
        auto found = inner(name, embeds);
        if (found) found->deployment = embeds ? "vectors" : "answers";
        return found;
    };
    BacklogView backlog(*services);
    const auto waiting = test::run(io, backlog.read(7)).tasks;
    EXPECT_EQ(waiting, (std::map<std::string, std::int64_t>{{"answers", 7}}));
    EXPECT_TRUE(test::run(io, backlog.read(0)).tasks.empty());
}

TEST_F(TaskTest, ADeadLetterThatWouldWaitForItsDocumentIsNotSaidToFail) {
    std::vector<work::NewDocument> one(1);
    one[0].id = "doc";
    one[0].content = "It waits to be cut up.";
    test::run(io, documents->accept(std::move(one), nullptr)).value();
    const auto estimate = [&](const std::string& document) {
        broker::Message letter;
        letter.body = R"({"id":"t1","type":"sentiment","documentId":")" + document + "\"}";
        return test::run(io, estimate_letter(*services, *find_handler("task"), letter));
    };
    EXPECT_EQ(estimate("doc").error, "");
    EXPECT_EQ(estimate("doc").calls, 0);
    EXPECT_EQ(estimate("none").error, "there is no document \"none\"");
}

TEST(CountCalls, LevelsOfNotesEndInOneAnswer) {
    const CallBudget budget{1'000, 100, 10};
    const auto one = count_calls(TaskShape::summary, {400}, budget);
    EXPECT_EQ(one.calls, 1);
    EXPECT_EQ(one.prompt_tokens, 410);
    EXPECT_EQ(one.output_tokens_max, 100);
    // Four pieces make 2,000 tokens of notes, these two pieces make 1,000, and those one answer.
    const auto four = count_calls(TaskShape::summary, {1'000, 1'000, 1'000, 500}, budget);
    EXPECT_EQ(four.calls, 4 + 2 + 1);
    EXPECT_EQ(four.prompt_tokens, 3'500 + 2'000 + 1'000 + 7 * 10);
    EXPECT_EQ(four.output_tokens_max, 4 * 500 + 2 * 500 + 100);
    const auto pieces = count_calls(TaskShape::entities, {1'000, 500}, budget);
    EXPECT_EQ(pieces.calls, 2);
    EXPECT_EQ(pieces.output_tokens_max, 200);
}

TEST(SchemaFor, NarrowsWhateverSchemaACatalogueTakes) {
    std::string list = R"({"type":"string"})";
    for (int i = 0; i < 40; ++i) list = R"({"type":"array","items":)" + list + "}";
    TaskType type;
    type.shape = TaskShape::classes;
    type.labels = {"good", "bad"};
    type.schema = R"({"type":"object","properties":{"label":{"type":"string"},"lists":)" + list +
                  R"(},"required":["label","lists"],"additionalProperties":false})";
    ASSERT_TRUE(JsonSchema::parse(type.schema));
    const std::string narrowed = schema_for(type, {});
    EXPECT_NE(narrowed.find(R"("enum":["good","bad"])"), std::string::npos) << narrowed;
    EXPECT_NE(narrowed.find(list), std::string::npos) << narrowed;
}

TEST(JoinPassages, LeaveOutWhatIsRepeated) {
    EXPECT_EQ(join_passages({"One sentence here. And another one.", "And another one. The third."}),
              "One sentence here. And another one. The third.");
    EXPECT_EQ(join_passages({"First.", "Second."}), "First.\n\nSecond.");
    EXPECT_EQ(join_passages({}), "");
}

TEST_F(TaskTest, AnalyzeRunsItsPartsAtOnceAndJoinsThem) {
    std::size_t at_once = 0;
    Signal all(io.get_executor());
    provider.on_complete = [&](const auto&) -> boost::asio::awaitable<void> {
        at_once += 1;
        if (at_once == 3) all.notify();
        while (at_once < 3) co_await all.wait();
    };
    const auto operation = run_task("analyze", "Ada is glad");
    EXPECT_EQ(operation.status, Status::succeeded) << operation.error;
    EXPECT_EQ(operation.result, R"({"summarize":{"summary":"short","keyPoints":["a point"]},)"
                                R"("entities":{"entities":[{"text":"Ada","type":"person","count":2}]},)"
                                R"("sentiment":{"sentiment":"positive","score":0.5}})");
    EXPECT_EQ(operation.done, 3);
    EXPECT_EQ(find("t1").prompt_tokens, 3 * 11);
}

TEST_F(TaskTest, AFailedPartIsNamedAndFinishedPartsAreNotRepeated) {
    bool broken = true;
    provider.on_complete = [&](const auto& request) -> boost::asio::awaitable<void> {
        if (broken && request.task == "entities")
            provider.failures.push_back({FailureKind::rejected, 401, "wrong key"});
        co_return;
    };
    const auto operation = run_task("analyze", "Ada is glad");
    EXPECT_EQ(operation.error, "ApiError_401: entities: wrong key");
    EXPECT_EQ(dead_letter(), operation.error);
    ASSERT_EQ(provider.requests.size(), 3u);
    broken = false;
    test::run(io, broker->redrive(work::queue::tasks, {}, 0, false)).value();
    test::run_until(io, [&] { return broker->counts(work::queue::tasks)->completed_total == 1; });
    ASSERT_EQ(provider.requests.size(), 4u);
    EXPECT_EQ(provider.requests.back().task, "entities");
    EXPECT_EQ(find("t1").prompt_tokens, 3 * 11) << "what the first run paid for counts";
}

TEST_F(LongTaskTest, ACrashRepeatsOnlyTheCallsInFlight) {
    // The process ends while the third of the calls is under way; a new one takes the task up.
    std::map<std::string, int> answered;
    bool stuck = true;
    Signal never(io.get_executor());
    provider.on_complete = [&](const auto& request) -> boost::asio::awaitable<void> {
        while (stuck && answered.size() >= 2) co_await never.wait();
        answered[request.input] += 1;
    };
    accept("summarize", long_text(400));
    start();
    auto steps = [&] {
        auto count = [](store::Connection& c) { return c.integer("SELECT count(*) FROM step"); };
        return test::run(io, database->read(count));
    };
    while (steps() < 2) {
    }
    test::run(io, processor->stop(Duration::zero()));
    processor.reset();
    stuck = false;
    start();
    test::run_until(io, [&] { return broker->counts(work::queue::tasks)->completed_total == 1; });
    EXPECT_EQ(find("t1").status, Status::succeeded);
    for (const auto& [input, times] : answered) EXPECT_EQ(times, 1) << input.substr(0, 40);
    EXPECT_EQ(find("t1").completion_tokens, static_cast<std::int64_t>(7 * answered.size()));
    EXPECT_EQ(steps(), 0);
}

TEST_F(TaskTest, ALostCompletionCostsNoSecondCall) {
    fail_completion = 1;
    accept("sentiment", "x");
    start();
    test::run_until(io, [&] { return broker->counts(work::queue::tasks)->completed_total == 1; });
    EXPECT_EQ(provider.requests.size(), 1u);
    EXPECT_EQ(find("t1").attempts, 2);
}

TEST_F(TaskTest, TheTextOfADocumentIsThatOfItsPassages) {
    start();
    send(R"({"id":"a","type":"sentiment","documentId":"doc"})");
    EXPECT_EQ(dead_letter(), "MalformedPayload: there is no document \"doc\"");
    std::vector<work::NewDocument> list(1);
    list[0].id = "doc";
    list[0].content = "x";
    list[0].content_type = "text/plain";
    const auto accepted = test::run(io, documents->accept(std::move(list), nullptr)).value().front();
    // Not ready yet: the task waits and spends no delivery.
    const auto waiting = accept_document("doc");
    test::run_until(io, [&] { return processor->stats().retried > 0; });
    const index::DocumentVersion version{"doc", accepted.generation, "T", ""};
    std::vector<index::ChunkText> chunks(2);
    chunks[0].text = "One sentence here. And another one.";
    chunks[1].text = "And another one. The third.";
    test::run(io, index->stage(version, "counting/64", chunks)).value();
    std::vector<std::pair<std::uint32_t, std::vector<float>>> vectors;
    for (std::uint32_t i = 0; i < 2; ++i)
        vectors.emplace_back(i, test::CountingProvider::vector_of(chunks[i].text));
    test::run(io, index->put_vectors("doc", accepted.generation, std::move(vectors))).value();
    index::AlsoWrite live = [&](store::Connection& connection) -> Result<void> {
        const work::VersionRef ref{"doc", accepted.generation};
        work::records::set_progress(connection, ref, 2, 2, clock.now());
        work::records::set_live(connection, ref);
        return {};
    };
    test::run(io, index->publish(version, std::move(live))).value();
    const auto ready = wait(waiting);
    EXPECT_EQ(ready.status, Status::succeeded);
    EXPECT_NE(ready.attempts.find("is not ready yet"), std::string::npos);
    EXPECT_EQ(provider.requests.back().input, "One sentence here. And another one. The third.");
}

TEST_F(TaskTest, TasksCanBeThePiecesOfAFanOut) {
    work::FanOutPlan plan;
    plan.id = "job";
    plan.join_queue = "joins";
    for (int i = 0; i < 20; ++i)
        plan.bodies.push_back(R"({"type":"sentiment","content":"text )" + std::to_string(i) + "\"}");
    auto spread = fan_out->spread(std::move(plan));
    test::run(io, database->write(std::move(spread.with))).value();
    for (auto& one : spread.follow_ups) {
        std::vector<broker::Message> list;
        list.push_back(std::move(one.message));
        test::run(io, broker->send(one.entity, std::move(list))).value();
    }
    start();
    test::run_until(io, [&] { return broker->counts("joins")->active == 1; });
    const auto results = test::run(io, fan_out->results("job")).value();
    EXPECT_EQ(results, std::vector<std::string>(20, R"({"sentiment":"positive","score":0.5})"));
    EXPECT_EQ(find("job/7").status, Status::succeeded);
}

}  // namespace
}  // namespace millrace::handlers
