#include "tests/handlers/task_fixture.hpp"

namespace millrace::handlers {
namespace {

using provider::FailureKind;
using work::Status;

TEST_F(TaskTest, ATaskIsAnsweredByItsKindAndItsResultIsStored) {
    const auto operation = run_task("summarize", "a long story", R"({"maxWords":9,"language":"German"})");
    EXPECT_EQ(operation.status, Status::succeeded) << operation.error;
    EXPECT_EQ(operation.result, R"({"summary":"short","keyPoints":["a point"]})");
    EXPECT_EQ(operation.kind, "task");
    EXPECT_EQ(operation.prompt_tokens, 12);
    EXPECT_EQ(operation.completion_tokens, 7);
    ASSERT_EQ(provider.requests.size(), 1u);
    const auto& request = provider.requests.front();
    EXPECT_EQ(request.task, "summarize");
    EXPECT_EQ(request.input, "a long story");
    EXPECT_NE(request.instructions.find("at most 9 words"), std::string::npos);
    EXPECT_NE(request.instructions.find("German"), std::string::npos);
    EXPECT_NE(request.schema.find("keyPoints"), std::string::npos);
    const auto task = find("t1");
    EXPECT_EQ(task.status, Status::succeeded);
    EXPECT_EQ(task.result, operation.result);
    EXPECT_EQ(task.model, "counting-1");
    EXPECT_EQ(task.cost_micros, 12 * 1 + 7 * 2);
    EXPECT_EQ(task.attempts, 1);
}

TEST_F(TaskTest, ASecondMessageOfTheSameIdIsAnsweredWithoutACall) {
    start();
    for (int i = 0; i < 2; ++i) send(R"({"Id":"x","Type":"sentiment","Content":"fine"})");
    test::run_until(io, [&] { return broker->counts(work::queue::tasks)->completed_total == 2; });
    EXPECT_EQ(provider.requests.size(), 1u);
    EXPECT_EQ(find("x").result, R"({"sentiment":"positive","score":0.5})");
}

TEST_F(TaskTest, MessagesOfOtherProducersAreTakenInEveryCaseStyle) {
    start();
    send(R"({"id":"a","type":"sentiment","content":"x"})",
         {{"tenant", std::string("acme")}, {"priority", std::string("batch")}});
    test::run_until(io, [&] { return broker->counts(work::queue::tasks)->completed_total == 1; });
    EXPECT_EQ(provider.contexts.at(0).tenant, "acme");
    EXPECT_EQ(provider.contexts.at(0).priority, provider::Priority::batch);
    EXPECT_EQ(find("a").tenant, "acme");
    send(R"({"id":"b","type":"classify","content":"x","options":{"labels":["a","b"]}})");
    test::run_until(io, [&] { return broker->counts(work::queue::tasks)->completed_total == 2; });
    EXPECT_EQ(provider.requests.at(1).labels, (std::vector<std::string>{"a", "b"}));
    EXPECT_NE(provider.requests.at(1).schema.find(R"("enum":["a","b"])"), std::string::npos);
    EXPECT_EQ(provider.contexts.at(1).priority, provider::Priority::interactive);
}

TEST_F(TaskTest, WhatCanNeverBeDoneIsADeadLetterWithItsReason) {
    const std::pair<const char*, const char*> cases[] = {
        {"", "NullPayload: "},
        {"null", "NullPayload: "},
        {"[]", "MalformedPayload: the body is not a JSON object"},
        {R"({"id":"a","content":"x"})", "MalformedPayload: the member \"type\" is missing"},
        {R"({"id":"a","type":"sentiment"})", "MalformedPayload: neither \"content\" nor \"documentId\""},
        {R"({"id":"a","type":"sentimemt","content":"x"})",
         "UnknownTaskType: there is no task \"sentimemt\" (did you mean \"sentiment\"?)"},
        {R"({"id":"a","type":"sentiment","content":"x","options":{"maxWords":3}})",
         "MalformedPayload: options: \"maxWords\" is unknown to sentiment"},
        {R"({"id":"a","type":"summarize","content":"x","options":{"maxWords":"three"}})",
         "MalformedPayload: options: \"maxWords\" is not a whole number"},
        {R"({"id":"a","type":"classify","content":"x"})", "MalformedPayload: options: labels are missing"},
        {R"({"id":"a","type":"sentiment","documentId":"none"})",
         "MalformedPayload: there is no document \"none\""},
    };
    start();
    for (const auto& [body, expected] : cases) {
        send(body);
        EXPECT_EQ(dead_letter().substr(0, std::string_view(expected).size()), expected) << body;
        test::run(io, broker->drop_dead_letters(work::queue::tasks, {})).value();
    }
    EXPECT_EQ(provider.requests.size(), 0u);
    EXPECT_EQ(find("a").status, Status::failed);
}

TEST_F(TaskTest, EveryFailureOfTheModelGetsItsOutcome) {
    start();
    const std::string refusal(300, 'n');
    const std::pair<provider::Failure, std::string> cases[] = {
        {{FailureKind::refused, 200, refusal}, "ContentFiltered: " + refusal.substr(0, 200)},
        {{FailureKind::content_filtered, 400, "filtered"}, "ContentFiltered: filtered"},
        {{FailureKind::rejected, 404, "no such model"}, "ApiError_404: no such model"},
    };
    int number = 0;
    for (const auto& [failure, expected] : cases) {
        provider.failures.push_back(failure);
        const auto operation = wait(accept("sentiment", "x", "", "f" + std::to_string(++number)));
        EXPECT_EQ(operation.status, Status::failed);
        EXPECT_EQ(operation.error, expected);
        EXPECT_EQ(dead_letter(), expected);
        test::run(io, broker->drop_dead_letters(work::queue::tasks, {})).value();
    }
}

TEST_F(TaskTest, AThrottledCallIsTriedAgainAndNotedAsAnAttempt) {
    provider.failures.push_back({FailureKind::throttled, 429, "slow down", std::chrono::milliseconds(1)});
    const auto operation = run_task("sentiment", "x");
    EXPECT_EQ(operation.status, Status::succeeded);
    EXPECT_NE(operation.attempts.find("slow down"), std::string::npos);
    EXPECT_EQ(find("t1").attempts, 2);
}

TEST_F(TaskTest, AnAnswerThatDoesNotFitIsAskedForOnceMoreWithTheProblemTold) {
    provider.answers = {R"({"sentiment":"great","score":1})"};
    EXPECT_EQ(run_task("sentiment", "x").status, Status::succeeded);
    ASSERT_EQ(provider.requests.size(), 2u);
    EXPECT_NE(provider.requests[1].instructions.find("$.sentiment: \"great\" is none of"), std::string::npos);
    EXPECT_EQ(find("t1").completion_tokens, 14) << "both were paid for";
}

TEST_F(TaskTest, AnAnswerThatDoesNotFitTwiceIsADeadLetter) {
    provider.answers = {"no JSON", R"({"sentiment":"great","score":1})"};
    const auto operation = run_task("sentiment", "x");
    EXPECT_EQ(operation.error.substr(0, 17), "MalformedResult: ");
    EXPECT_NE(operation.error.find("$.sentiment: \"great\" is none of"), std::string::npos);
    EXPECT_EQ(find("t1").completion_tokens, 14);
}

TEST_F(TaskTest, AnAnswerThatIsCutOffIsAskedForWithTwiceTheRoomThenTooLarge) {
    const provider::Failure cut{FailureKind::cut_off, 200, "length", {}, {10, 5, 0}};
    provider.failures = {cut};
    EXPECT_EQ(run_task("sentiment", "x").status, Status::succeeded);
    ASSERT_EQ(provider.requests.size(), 2u);
    EXPECT_EQ(provider.requests[1].output_tokens_max, 2 * provider.requests[0].output_tokens_max);
    EXPECT_EQ(find("t1").completion_tokens, 5 + 7);
    provider.failures = {cut, cut};
    const auto operation = wait(accept("sentiment", "x", "", "t2"));
    EXPECT_EQ(operation.error.substr(0, 15), "InputTooLarge: ");
    EXPECT_EQ(provider.requests.size(), 4u);
}

TEST_F(TaskTest, ConfigurationAloneMakesATask) {
    TaskType haiku;
    haiku.name = "haiku";
    haiku.prompt = "Write a haiku about the text.";
    haiku.deployment = "big";
    TaskType number;
    number.name = "number";
    number.prompt = "Find the number.";
    number.schema =
        R"({"type":"object","additionalProperties":false,"required":["x"],"properties":{"x":{"type":"integer"}}})";
    configure({haiku, number});
    provider.answer = nullptr;
    EXPECT_EQ(run_task("haiku", "x").result, R"({"text":"answer 1"})");
    EXPECT_EQ(deployments.back(), "big");
    provider.answers = {R"({"x":4})"};
    EXPECT_EQ(wait(accept("number", "x", "", "t2")).result, R"({"x":4})");
}

TEST_F(TaskTest, ATaskWhoseDeploymentIsNotThereIsADeadLetterThatSaysSo) {
    TaskType type;
    type.name = "lost";
    type.prompt = "p";
    type.deployment = "nowhere";
    configure({type});
    EXPECT_EQ(run_task("lost", "x").error, "UnknownTaskType: no deployment \"nowhere\"");
}

TEST_F(TaskTest, VectorsComeForEveryPieceOfAText) {
    provider.info().tokens_per_input_max = 20;
    std::string text;
    for (int i = 0; i < 30; ++i) text += "The mill stands at the river number " + std::to_string(i) + ". ";
    const auto result = boost::json::parse(run_task("embed", text).result);
    EXPECT_EQ(result.at("dimensions").to_number<int>(), 64);
    EXPECT_EQ(result.at("vectors").as_array().size(), provider.texts.size());
    EXPECT_GT(provider.texts.size(), provider.info().inputs_per_request_max);
    EXPECT_EQ(find("t1").model, "counting");
}

TEST_F(TaskTest, LargeContentComesFromTheBlobStoreAndLeavesNone) {
    const auto operation = run_task("sentiment", std::string(100'000, 'x'));
    EXPECT_EQ(operation.status, Status::succeeded) << operation.error;
    EXPECT_EQ(provider.requests.back().input.size(), 100'000u);
    test::run_until(io, [&] { return blobs.list(std::chrono::seconds(-5)).empty(); });
}

TEST_F(TaskTest, AMessageThatUsedUpItsDeliveriesFailsItsTask) {
    accept("sentiment", "x");
    for (int i = 0; i < 3; ++i) {
        broker::ReceiveOptions options;
        const auto received = test::run(io, broker->receive(work::queue::tasks, options)).value();
        const broker::LockRef lock{received.at(0).entity, received.at(0).lock_token};
        test::run(io, broker->abandon(lock, {})).value();
    }
    DeadLetterWatch watch(*services, *broker, {work::queue::tasks});
    test::run(io, watch.look());
    EXPECT_EQ(find("t1").status, Status::failed);
    EXPECT_EQ(find("t1").error.substr(0, 25), "MaxDeliveryCountExceeded:");
}

TEST_F(TaskTest, ARedrivenTaskIsWorkedOnAgain) {
    provider.failures.push_back({FailureKind::rejected, 401, "wrong key"});
    EXPECT_EQ(run_task("sentiment", "x").status, Status::failed);
    dead_letter();
    test::run(io, broker->redrive(work::queue::tasks, {}, 0, false)).value();
    test::run_until(io, [&] { return broker->counts(work::queue::tasks)->completed_total == 1; });
    EXPECT_EQ(find("t1").status, Status::succeeded);
    EXPECT_EQ(find("t1").error, "");
}

}  // namespace
}  // namespace millrace::handlers
