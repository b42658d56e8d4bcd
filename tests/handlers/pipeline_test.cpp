#include "tests/handlers/pipeline_fixture.hpp"

#include <set>

namespace millrace::handlers {
namespace {

TEST_P(PipelineTest, ADocumentBecomesSearchableWithItsPlaceAndMetadata) {
    const auto operation = ingest("doc", paragraphs("wheel"));
    EXPECT_EQ(operation.status, Status::succeeded);
    EXPECT_EQ(operation.done, operation.total);
    EXPECT_GT(operation.prompt_tokens, 0);
    const auto hits = search("wheel stands");
    ASSERT_FALSE(hits.empty());
    EXPECT_EQ(hits.front().document_id, "doc");
    EXPECT_EQ(hits.front().heading, "About wheel");
    const auto document = *test::run(io, documents->find("doc"));
    EXPECT_EQ(document.status, Status::succeeded);
    EXPECT_EQ(document.chunks, operation.total);
    EXPECT_EQ(document.title, "About mill");
    EXPECT_NE(document.metadata.find("\"language\":\"en\""), std::string::npos) << document.metadata;
}

TEST_P(PipelineTest, AReadyDocumentLeavesNoBlobAndNoMessage) {
    ingest("doc", paragraphs("wheel") + std::string(200'000, 'x'));
    EXPECT_EQ(rows("blob"), 0);
    test::run_until(io, [&] { return blobs->list(std::chrono::seconds(-5)).empty(); });
    test::run_until(io, [&] { return broker->counts(work::queue::index)->completed_total == 1; });
    EXPECT_EQ(rows("message"), 0);
}

TEST_P(PipelineTest, UnchangedContentCostsNoProviderCall) {
    ingest("doc", paragraphs("wheel"));
    const std::size_t calls = provider.calls;
    EXPECT_EQ(ingest("doc", paragraphs("wheel")).status, Status::succeeded);
    EXPECT_EQ(ingest("copy", paragraphs("wheel")).status, Status::succeeded);
    EXPECT_EQ(provider.calls, calls);
}

TEST_P(PipelineTest, AChangedParagraphEmbedsOnlyItsOwnPassages) {
    ingest("doc", paragraphs("wheel"));
    provider.texts.clear();
    ingest("doc", paragraphs("sluice"));
    ASSERT_FALSE(provider.texts.empty());
    for (const auto& text : provider.texts) EXPECT_NE(text.find("sluice"), std::string::npos) << text;
    for (const auto& hit : search("wheel")) EXPECT_EQ(hit.text.find("wheel"), std::string::npos);
    EXPECT_EQ(rows("chunk"), static_cast<std::int64_t>(test::run(io, documents->find("doc"))->chunks));
}

TEST_P(PipelineTest, APassageThatAPartialAnswerHeldIsNotPaidForAgain) {
    provider.answers_max = 1;
    const auto operation = ingest("doc", paragraphs("wheel"));
    EXPECT_EQ(operation.status, Status::succeeded);
    EXPECT_EQ(static_cast<std::int64_t>(provider.texts.size()), operation.total);
    const std::set<std::string> distinct(provider.texts.begin(), provider.texts.end());
    EXPECT_EQ(distinct.size(), provider.texts.size());
}

TEST_P(PipelineTest, TheNewestOfSeveralVersionsWins) {
    std::vector<std::string> accepted;
    for (const char* topic : {"one", "two", "three", "four"})
        accepted.push_back(accept("doc", paragraphs(topic)));
    for (const auto& operation : accepted) EXPECT_EQ(wait(operation).status, Status::succeeded);
    const auto hits = search("stands here in sentence");
    ASSERT_FALSE(hits.empty());
    EXPECT_FALSE(search("four").empty());
    EXPECT_EQ(rows("chunk"), static_cast<std::int64_t>(test::run(io, documents->find("doc"))->chunks));
}

TEST_P(PipelineTest, TransientFailuresAreTriedAgainAndStayInTheHistory) {
    provider.failures.push_back({provider::FailureKind::transient, 503, "overloaded", Duration(1)});
    provider.failures.push_back({provider::FailureKind::throttled, 429, "slow down", Duration(1)});
    const auto operation = ingest("doc", paragraphs("wheel"));
    EXPECT_EQ(operation.status, Status::succeeded);
    EXPECT_NE(operation.attempts.find("overloaded"), std::string::npos) << operation.attempts;
    EXPECT_NE(operation.attempts.find("slow down"), std::string::npos) << operation.attempts;
}

TEST_P(PipelineTest, ARefusedDocumentIsDeadLetteredAndItsOldVersionStays) {
    ingest("doc", paragraphs("wheel"));
    provider.failures.push_back({provider::FailureKind::rejected, 401, "bad key", {}});
    const auto operation = ingest("doc", paragraphs("sluice"));
    EXPECT_EQ(operation.status, Status::failed);
    EXPECT_EQ(operation.error, "ApiError_401: bad key");
    EXPECT_EQ(dead_letter_reason(work::queue::embed), "ApiError_401");
    EXPECT_FALSE(search("wheel").empty());
    EXPECT_EQ(test::run(io, documents->find("doc"))->error, "ApiError_401: bad key");
}

TEST_P(PipelineTest, ARedriveGoesOnWhereItFailed) {
    provider.failures.push_back({provider::FailureKind::rejected, 401, "bad key", {}});
    const std::string operation = accept("doc", paragraphs("wheel"));
    EXPECT_EQ(wait(operation).status, Status::failed);
    EXPECT_EQ(dead_letter_reason(work::queue::embed), "ApiError_401");
    auto redriven = test::run(io, broker->redrive(work::queue::embed, {}, 0, false));
    ASSERT_TRUE(redriven);
    EXPECT_EQ(redriven->moved, 1u);
    test::run_until(io, [&] { return broker->counts(work::queue::index)->completed_total == 1; });
    EXPECT_EQ(wait(operation).status, Status::succeeded);
    EXPECT_FALSE(search("wheel").empty());
}

TEST_P(PipelineTest, AProviderThatStaysDownEndsInTheDeadLetterQueueAndTheOperationSaysSo) {
    for (int i = 0; i < 3; ++i)
        provider.failures.push_back({provider::FailureKind::transient, 500, "down", Duration(1)});
    const std::string operation = accept("doc", paragraphs("wheel"));
    test::run_until(io, [&] { return broker->counts(work::queue::embed)->dead_lettered == 1; });
    DeadLetterWatch watch(*services, *broker, {work::queue::embed});
    test::run(io, watch.look());
    const auto view = *test::run(io, operations->find(operation));
    EXPECT_EQ(view.status, Status::failed);
    EXPECT_NE(view.error.find("MaxDeliveryCountExceeded"), std::string::npos) << view.error;
}

TEST_P(PipelineTest, TextInAnotherCharsetIsReadAsItsSenderSays) {
    const std::string text = "Das M\xfchlrad dreht sich am Bach, weil das Wasser der M\xfchle es treibt.";
    EXPECT_EQ(wait(accept("latin", text, "text/plain; charset=iso-8859-1")).status, Status::succeeded);
    const auto hits = search("M\u00fchlrad");
    ASSERT_FALSE(hits.empty());
    EXPECT_NE(hits.front().text.find("M\u00fchlrad"), std::string::npos) << hits.front().text;
}

TEST_P(PipelineTest, BadContentBecomesADeadLetterWithItsReason) {
    struct Case {
        std::string content;
        const char* type;
        const char* reason;
    };
    const Case cases[] = {
        {"   \n ", "text/plain", "MalformedPayload"},
        {"%PDF-1.7 cut", "application/pdf", "MalformedPayload"},
        {"PK\x03\x04 no zip", "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
         "MalformedPayload"},
        {std::string("\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0", 22), "text/plain", "MalformedPayload"},
    };
    for (const auto& one : cases) {
        const auto view = wait(accept("", one.content, one.type));
        EXPECT_EQ(view.status, Status::failed) << one.type;
        EXPECT_TRUE(view.error.starts_with(one.reason)) << view.error;
        EXPECT_EQ(view.error.find('\n'), std::string::npos) << view.error;
    }
    test::run_until(
        io, [&] { return broker->counts(work::queue::ingestion)->dead_lettered == std::size(cases); });
}

TEST_P(PipelineTest, MessagesFromOtherProducersAreAdopted) {
    std::vector<broker::Message> messages(1);
    messages[0].body =
        R"({"DocumentId":"foreign","Title":"Theirs","Content":"The mill race turns the wheel.","Category":"c"})";
    const TimePoint before = clock.now();
    ASSERT_TRUE(test::run(io, broker->send(work::queue::ingestion, messages)));
    const TimePoint after = clock.now();
    test::run_until(io, [&] { return broker->counts(work::queue::index)->completed_total == 1; });
    const auto document = *test::run(io, documents->find("foreign"));
    // Its place among the versions is that of its enqueueing, not of its turn.
    EXPECT_GE(document.generation, to_millis(before) * 1000);
    EXPECT_LE(document.generation, to_millis(after) * 1000 + 999);
    EXPECT_EQ(document.title, "Theirs");
    EXPECT_EQ(document.category, "c");
    EXPECT_FALSE(search("mill race").empty());
}

constexpr char kTraceparent[] = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

TEST_P(PipelineTest, EveryStageAndTheProviderAreToldTheTraceOfTheRequest) {
    std::vector<NewDocument> one(1);
    one[0].content = paragraphs("trace");
    one[0].trace = TraceContext::parse(kTraceparent);
    const auto accepted = test::run(io, documents->accept(std::move(one), nullptr));
    ASSERT_TRUE(accepted);
    EXPECT_EQ(wait(accepted->front().operation).status, Status::succeeded);
    const std::map<std::string, std::string> everywhere = {{work::queue::chunk, kTraceparent},
                                                           {work::queue::metadata, kTraceparent},
                                                           {work::queue::embed, kTraceparent},
                                                           {work::queue::index, kTraceparent}};
    EXPECT_EQ(traced, everywhere);
    ASSERT_FALSE(provider.traces.empty());
    for (const auto& trace : provider.traces) EXPECT_EQ(trace, TraceContext::parse(kTraceparent));

    traced.clear();
    provider.traces.clear();
    EXPECT_EQ(ingest("untraced", "Nobody asked for a trace.").status, Status::succeeded);
    EXPECT_EQ(traced[work::queue::index], "none");
    ASSERT_FALSE(provider.traces.empty());
    EXPECT_FALSE(provider.traces[0]);
}

TEST_P(PipelineTest, EveryStageAndTheProviderAreToldForWhomItIsDoneAndHowSoon) {
    std::vector<NewDocument> one(1);
    one[0].content = paragraphs("tenant");
    one[0].requester = {"acme", true};
    const auto accepted = test::run(io, documents->accept(std::move(one), nullptr));
    ASSERT_TRUE(accepted);
    EXPECT_EQ(wait(accepted->front().operation).status, Status::succeeded);
    for (const char* queue :
         {work::queue::chunk, work::queue::metadata, work::queue::embed, work::queue::index})
        EXPECT_EQ(requesters[queue], (work::Requester{"acme", true})) << queue;
    ASSERT_FALSE(provider.embed_contexts.empty());
    for (const auto& context : provider.embed_contexts) {
        EXPECT_EQ(context.tenant, "acme");
        EXPECT_EQ(context.priority, provider::Priority::batch);
    }

    provider.embed_contexts.clear();
    EXPECT_EQ(ingest("nobody's", "Nobody asked for this in particular.").status, Status::succeeded);
    ASSERT_FALSE(provider.embed_contexts.empty());
    EXPECT_EQ(provider.embed_contexts[0].tenant, "");
    EXPECT_EQ(provider.embed_contexts[0].priority, provider::Priority::interactive);
}

TEST_P(PipelineTest, AMessageOfAnSdkSaysInItsPropertiesForWhomItIs) {
    for (const std::string& queue : {std::string(work::queue::ingestion), std::string("inline")}) {
        std::vector<broker::Message> messages(1);
        messages[0].body =
            R"({"DocumentId":")" + queue + R"(","Content":"The mill race of )" + queue + R"( turns."})";
        messages[0].properties["tenant"] = queue;
        messages[0].properties["priority"] = std::string("batch");
        ASSERT_TRUE(test::run(io, broker->send(queue, messages)));
        test::run_until(io, [&] { return !provider.embed_contexts.empty(); });
        EXPECT_EQ(provider.embed_contexts[0].tenant, queue);
        EXPECT_EQ(provider.embed_contexts[0].priority, provider::Priority::batch);
        provider.embed_contexts.clear();
    }
}

TEST_P(PipelineTest, TheTraceOfAnSdksMessageGoesOnUnderBothNames) {
    std::vector<broker::Message> messages(1);
    messages[0].body = R"({"DocumentId":"foreign","Content":"The mill race turns the wheel."})";
    messages[0].properties["Diagnostic-Id"] = std::string(kTraceparent);
    ASSERT_TRUE(test::run(io, broker->send(work::queue::ingestion, messages)));
    test::run_until(io, [&] { return broker->counts(work::queue::index)->completed_total == 1; });
    EXPECT_EQ(traced[work::queue::ingestion], kTraceparent) << "adopted";
    EXPECT_EQ(traced[work::queue::index], kTraceparent);
    ASSERT_FALSE(provider.traces.empty());
    EXPECT_EQ(provider.traces[0], TraceContext::parse(kTraceparent));
}

TEST_P(PipelineTest, MessagesFromOtherProducersAreReadWhateverTheyAreWrappedInto) {
    using namespace std::string_literals;
    const std::string payload = R"({"DocumentId":"foreign","Content":"The mill race turns the wheel."})";
    // Two data sections; then a sequence, which holds no payload.
    std::vector<broker::Message> messages(2);
    messages[0].body_format = broker::kAmqpSections;
    messages[0].body = "\x00\x53\x75\xa0\x0a"s + payload.substr(0, 10) + "\x00\x53\x75\xa0"s +
                       static_cast<char>(payload.size() - 10) + payload.substr(10);
    messages[1].body_format = broker::kAmqpSections;
    messages[1].body = "\x00\x53\x76\x45"s;
    ASSERT_TRUE(test::run(io, broker->send(work::queue::ingestion, messages)));
    EXPECT_EQ(dead_letter_reason(work::queue::ingestion), "MalformedPayload");
    test::run_until(io, [&] { return broker->counts(work::queue::index)->completed_total == 1; });
    EXPECT_FALSE(search("mill race").empty());
}

TEST_P(PipelineTest, AMessageFromAnotherProducerKeepsItsPlaceAmongVersionsWhenItIsRedriven) {
    provider.failures.push_back({provider::FailureKind::rejected, 401, "bad key", {}});
    const auto send = [&](const std::string& text) {
        std::vector<broker::Message> messages(1);
        messages[0].body = R"({"DocumentId":"foreign","Content":")" + text + R"("})";
        ASSERT_TRUE(test::run(io, broker->send("inline", messages)));
    };
    send("The old text is about windmills.");
    ASSERT_EQ(dead_letter_reason("inline"), "ApiError_401");
    DeadLetterWatch watch(*services, *broker, {"inline"});
    test::run(io, watch.look());
    EXPECT_EQ(test::run(io, documents->find("foreign"))->status, Status::failed);
    send("The new text is about waterwheels.");
    test::run_until(io,
                    [&] { return test::run(io, documents->find("foreign"))->status == Status::succeeded; });
    const auto before = broker->counts("inline")->completed_total;
    ASSERT_TRUE(test::run(io, broker->redrive("inline", {}, 0, false)));
    test::run_until(io, [&] { return broker->counts("inline")->completed_total == before + 1; });
    const auto hits = search("windmills");
    ASSERT_EQ(hits.size(), 1u);
    EXPECT_EQ(hits.front().text, "The new text is about waterwheels.");
}

TEST_P(PipelineTest, MalformedMessagesAreDeadLetteredAtOnce) {
    struct Case {
        const char* body;
        const char* reason;
    };
    const Case cases[] = {
        {"", "NullPayload"}, {"null", "NullPayload"}, {"{", "MalformedPayload"}, {"{}", "MalformedPayload"}};
    std::uint64_t dead = 0;
    for (const auto& one : cases) {
        std::vector<broker::Message> messages(1);
        messages[0].body = one.body;
        ASSERT_TRUE(test::run(io, broker->send(work::queue::ingestion, messages)));
        dead += 1;
        test::run_until(io, [&] { return broker->counts(work::queue::ingestion)->dead_lettered == dead; });
        auto letters =
            test::run(io, broker->peek(broker::dead_letter_queue_of(work::queue::ingestion), 1, 10));
        auto& last = letters->back();
        EXPECT_EQ(std::get<std::string>(last.message.properties[broker::kDeadLetterReason]), one.reason)
            << one.body;
        EXPECT_EQ(last.delivery_count, 1) << "handed out more than once";
    }
}

TEST_P(PipelineTest, TheSingleQueueHandlerDoesItAll) {
    std::vector<broker::Message> messages(1);
    messages[0].body = R"({"DocumentId":"inline","Content":"The mill race turns the wheel."})";
    ASSERT_TRUE(test::run(io, broker->send("inline", messages)));
    test::run_until(io, [&] { return broker->counts("inline")->completed_total == 2; });
    EXPECT_FALSE(search("mill race").empty());
    EXPECT_EQ(test::run(io, documents->find("inline"))->status, Status::succeeded);
}

TEST_P(PipelineTest, TheTimeOfEveryEmbeddingIsToldWithTheCategoryOfItsDocument) {
    std::vector<std::string> categories;
    services->observer.embedding_took = [&](const std::string& category, double seconds) {
        EXPECT_GE(seconds, 0);
        categories.push_back(category);
    };
    for (const std::string& queue : {std::string(work::queue::ingestion), std::string("inline")}) {
        std::vector<broker::Message> messages(1);
        messages[0].body = R"({"DocumentId":"of )" + queue + R"(","Content":"The wheel of )" + queue +
                           R"( turns.","Category":"for )" + queue + "\"}";
        ASSERT_TRUE(test::run(io, broker->send(queue, messages)));
    }
    test::run_until(io, [&] { return categories.size() == 2; });
    std::sort(categories.begin(), categories.end());
    EXPECT_EQ(categories, (std::vector<std::string>{"for document-ingestion", "for inline"}));
}

TEST_P(PipelineTest, ADeletedDocumentLeavesNothingEvenWhileItIsUnderWay) {
    const std::string operation = accept("doc", paragraphs("wheel"));
    index::AlsoWrite with = [](store::Connection& connection) -> Result<void> {
        work::records::remove_document(connection, "doc");
        return {};
    };
    ASSERT_TRUE(test::run(io, index->remove("doc", with)));
    test::run_until(io, [&] {
        const auto counts = broker->counts();
        return std::all_of(counts.begin(), counts.end(),
                           [](const auto& c) { return c.active + c.locked == 0; });
    });
    for (const char* table : {"document", "operation", "version", "chunk", "chunk_vector", "blob"})
        EXPECT_EQ(rows(table), 0) << table;
    EXPECT_FALSE(test::run(io, operations->find(operation)));
    EXPECT_TRUE(search("wheel").empty());
}

TEST_P(PipelineTest, ALostCompletionAtAnyStepRepeatsTheStepWithoutASecondEffect) {
    for (int step = 1; step <= 5; ++step) {
        close();
        completions = 0;
        fail_completion = step;
        open();
        start();
        const std::string id = "doc" + std::to_string(step);
        const std::string operation = accept(id, paragraphs("wheel" + id));
        test::run_until(io, [&] { return completions >= step; });
        // What a crash does: locks are gone, everything comes again.
        close();
        fail_completion = 0;
        open();
        start();
        const auto ended = wait(operation);
        EXPECT_EQ(ended.status, Status::succeeded) << "step " << step << ": " << ended.error;
        const auto document = *test::run(io, documents->find(id));
        auto mine = [&](store::Connection& c) {
            auto& row =
                c.prepare("SELECT count(*) FROM chunk c JOIN version v ON v.id=c.version WHERE v.document=?")
                    .bind(id);
            row.step();
            const auto count = row.integer(0);
            row.reset();
            return count;
        };
        EXPECT_EQ(test::run(io, local->read(mine)), document.chunks) << "step " << step;
    }
}

MILLRACE_ON_EVERY_ENGINE(PipelineTest);

}  // namespace
}  // namespace millrace::handlers
