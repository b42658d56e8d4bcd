// Estimates beside what the work then costs.
#include "handlers/estimate.hpp"
#include "handlers/payload.hpp"
#include "tests/handlers/pipeline_fixture.hpp"

namespace millrace::handlers {
namespace {

/// So many passages: a section each.
std::string sections(int count) {
    std::string text;
    for (int i = 0; i < count; ++i) {
        text += "# Number " + std::to_string(i) + "\n\n";
        for (int j = 0; j < 12; ++j)
            text += "Wheel " + std::to_string(i) + " turns in sentence " + std::to_string(j) + ". ";
        text += "\n\n";
    }
    return text;
}

class EstimateTest : public PipelineTest {
  protected:
    void SetUp() override {
        PipelineTest::SetUp();
        set_price();
    }
    void set_price() {
        services->deployment = "main";
        services->price = {2, 0, 0};
    }
    /// As if the state had been shared from the start.
    void share_vectors() {
        close();
        shares_vectors = true;
        open();
        start();
        set_price();
    }
    /// Has the passages of a document that `chosen` picks embedded by another process.
    void embed_elsewhere(const std::string& content, const std::function<bool(std::size_t)>& chosen) {
        Content whole{content, "text/markdown", ""};
        auto extracted = test::run(io, extract_text(*services, std::move(whole)));
        auto text = std::make_shared<const text::ExtractedText>(std::move(*extracted));
        const auto chunks = test::run(io, split_text(*services, text)).value();
        std::vector<std::string> texts;
        for (std::size_t i = 0; i < chunks.size(); ++i)
            if (chosen(i)) texts.push_back(chunks[i].text);
        test::CountingProvider elsewhere;
        provider::Remembered other(elsewhere, *database, clock);
        const provider::CallContext context;
        ASSERT_TRUE(test::run(io, other.embed(std::move(texts), context)));
    }
    /// What waits for the deployment "main".
    work::Load waiting(BacklogView& view) {
        const auto passages = test::run(io, view.read(5)).passages;
        return passages.contains("main") ? passages.at("main") : work::Load();
    }
    void fail(const broker::Message& message) {
        auto work = [&](store::Connection& connection) -> Result<void> {
            work::records::fail(connection, *version_of(message), "embed", "why", clock.now());
            return {};
        };
        ASSERT_TRUE(test::run(io, database->write(work)));
    }

    static NewDocument document(const std::string& content, const std::string& type = "text/markdown",
                                const std::string& file = "") {
        NewDocument made;
        made.content = content;
        made.content_type = type;
        made.file_name = file;
        return made;
    }
    work::DocumentEstimate estimate(NewDocument document) {
        return test::run(io, estimate_document(*services, std::move(document)));
    }
    work::LetterEstimate letter(const char* handler, broker::Message message) {
        return test::run(io, estimate_letter(*services, *find_handler(handler), std::move(message)));
    }
    /// What the provider was asked to embed, in tokens.
    std::int64_t tokens_asked() const { return tokens_of(provider.texts); }
    static std::int64_t tokens_of(const std::vector<std::string>& texts) {
        std::size_t sum = 0;
        for (const std::string& text : texts) sum += text::estimate_tokens(text);
        return static_cast<std::int64_t>(sum);
    }
    /// Accepts without a worker; the first message of the pipeline.
    broker::Delivery accepted(const std::string& content, const std::string& id = "doc") {
        for (auto& processor : processors) test::run(io, processor->stop(std::chrono::seconds(10)));
        processors.clear();
        accept(id, content);
        broker::ReceiveOptions options;
        return test::run(io, broker->receive(work::queue::ingestion, options)).value().at(0);
    }
    /// Runs a stage; the messages that follow.
    std::vector<broker::Message> run_stage(asio::awaitable<work::Outcome> (*stage)(Services&, Job),
                                           const broker::Message& message) {
        Job job{{message}, *version_of(message)};
        auto outcome = test::run(io, stage(*services, std::move(job)));
        auto& done = std::get<work::Done>(outcome);
        auto with = std::move(done.with);
        EXPECT_TRUE(test::run(io, database->write(std::move(with))));
        std::vector<broker::Message> messages;
        for (auto& next : done.follow_ups) messages.push_back(std::move(next.message));
        return messages;
    }
};

TEST_P(EstimateTest, ADocumentIsThenBilledAsEstimated) {
    const std::string html = "<html><body><h1>Mill</h1><p>" + paragraphs("stone") + "</p></body></html>";
    const std::pair<std::string, std::string> cases[] = {
        {paragraphs("wheel"), "text/markdown"}, {html, "text/html"}, {sections(150), "text/markdown"}};
    for (const auto& [content, type] : cases) {
        const auto before = estimate(document(content, type));
        EXPECT_EQ(before.error, "");
        EXPECT_EQ(before.model, "counting");
        EXPECT_EQ(before.calls, before.loads.at("main").calls);
        EXPECT_EQ(before.prompt_tokens, before.loads.at("main").tokens);
        EXPECT_EQ(before.micros, 2 * before.prompt_tokens);
        provider.calls = 0;
        provider.texts.clear();
        const auto operation = wait(accept(type, content, type));
        EXPECT_EQ(before.chunks, operation.total);
        EXPECT_EQ(before.chunks - before.cached_chunks, static_cast<std::int64_t>(provider.texts.size()));
        EXPECT_EQ(before.prompt_tokens, tokens_asked());
        EXPECT_EQ(before.calls, static_cast<std::int64_t>(provider.calls));
    }
}

TEST_P(EstimateTest, NothingIsStoredQueuedOrAskedFor) {
    const auto found = estimate(document(paragraphs("wheel") + std::string(200'000, 'x')));
    EXPECT_GT(found.chunks, 3);
    for (const char* table : {"chunk", "document", "operation", "blob", "message"})
        EXPECT_EQ(rows(table), 0) << table;
    EXPECT_EQ(blobs->list(std::chrono::seconds(-5)).size(), 0u);
    EXPECT_EQ(provider.calls, 0u);
}

TEST_P(EstimateTest, PassagesThatHaveAVectorCostNothing) {
    ingest("doc", paragraphs("wheel"));
    const auto same = estimate(document(paragraphs("wheel")));
    EXPECT_EQ(same.cached_chunks, same.chunks);
    EXPECT_EQ(same.prompt_tokens, 0);
    EXPECT_EQ(same.calls, 0);
    EXPECT_TRUE(same.loads.empty());
    const auto changed = estimate(document(paragraphs("sluice")));
    EXPECT_GT(changed.cached_chunks, 0);
    EXPECT_GT(changed.prompt_tokens, 0);
    EXPECT_LT(changed.cached_chunks, changed.chunks);
}

TEST_P(EstimateTest, PassagesThatAnotherProcessHasPaidForCostNothing) {
    share_vectors();
    const std::string content = sections(150);
    const auto full = estimate(document(content));
    // Whole requests of eight, and one passage of others.
    embed_elsewhere(content, [](std::size_t i) { return i < 24 || i % 8 == 3; });
    const auto before = estimate(document(content));
    EXPECT_GT(before.cached_chunks, 30);
    EXPECT_LT(before.cached_chunks, before.chunks);
    EXPECT_EQ(before.calls, full.calls - 3);
    EXPECT_LT(before.prompt_tokens, full.prompt_tokens);
    EXPECT_EQ(provider.calls, 0u);
    const auto operation = wait(accept("doc", content));
    EXPECT_EQ(operation.status, Status::succeeded) << operation.error;
    EXPECT_EQ(before.chunks - before.cached_chunks, static_cast<std::int64_t>(provider.texts.size()));
    EXPECT_EQ(before.prompt_tokens, tokens_asked());
    EXPECT_EQ(before.calls, static_cast<std::int64_t>(provider.calls));
}

TEST_P(EstimateTest, ADeadLetterCostsNothingForPassagesThatAnotherProcessHasPaidFor) {
    share_vectors();
    const std::string content = sections(30);
    const broker::Delivery first = accepted(content);
    const auto extracted = run_stage(extract_document, first.message);
    const auto batches = run_stage(chunk_document, extracted.at(0));
    ASSERT_EQ(batches.size(), 1u);
    EXPECT_GT(letter("embed", batches[0]).prompt_tokens, 0);
    embed_elsewhere(content, [](std::size_t) { return true; });
    const std::pair<const char*, broker::Message> letters[] = {
        {"extract", first.message}, {"chunk", extracted[0]}, {"embed", batches[0]}};
    for (const auto& [handler, message] : letters) {
        const auto left = letter(handler, message);
        EXPECT_EQ(left.error, "");
        EXPECT_EQ(left.prompt_tokens, 0) << handler;
        EXPECT_EQ(left.calls, 0) << handler;
    }
}

TEST_P(EstimateTest, WhatWouldBeADeadLetterSaysWhich) {
    EXPECT_THAT(estimate(document("%PDF-1.7 cut off", "application/pdf")).error,
                testing::StartsWith("MalformedPayload: "));
    EXPECT_THAT(estimate(document(std::string("\x89PNG\0\0", 6), "", "a.png")).error,
                testing::StartsWith("MalformedPayload: "));
    EXPECT_EQ(estimate(document("Plain words, of which nothing is said.", "")).error, "");
}

TEST_P(EstimateTest, ADeadLetterOfAnyStageCostsWhatIsLeftToDo) {
    const std::string content = sections(100);
    const auto whole = estimate(document(content));
    const broker::Delivery first = accepted(content);
    EXPECT_EQ(letter("extract", first.message).prompt_tokens, whole.prompt_tokens);
    EXPECT_EQ(letter("embed-index", first.message).prompt_tokens, whole.prompt_tokens);

    const auto extracted = run_stage(extract_document, first.message);
    ASSERT_EQ(extracted.size(), 2u);
    EXPECT_EQ(letter("chunk", extracted[0]).prompt_tokens, whole.prompt_tokens);
    EXPECT_EQ(letter("metadata", extracted[1]).prompt_tokens, 0);

    const auto batches = run_stage(chunk_document, extracted[0]);
    ASSERT_GT(batches.size(), 1u);
    work::LetterEstimate sum;
    for (const auto& batch : batches) sum.add(letter("embed", batch));
    EXPECT_EQ(sum.prompt_tokens, whole.prompt_tokens);
    EXPECT_EQ(sum.calls, whole.calls);
    EXPECT_EQ(sum.loads["main"].tokens, whole.prompt_tokens);

    run_stage(embed_chunks, batches[0]);
    EXPECT_EQ(letter("embed", batches[0]).calls, 0) << "what has its vectors costs nothing";
    accept("doc", "A newer version.");
    EXPECT_EQ(letter("embed", batches[1]).calls, 0) << "superseded";
}

TEST_P(EstimateTest, ADeadLetterThatCanOnlyFailAgainSaysSo) {
    broker::Message message;
    EXPECT_THAT(letter("extract", message).error, testing::StartsWith("NullPayload"));
    message.body = "{}";
    EXPECT_THAT(letter("extract", message).error, testing::StartsWith("MalformedPayload"));
    message.body = R"({"documentId":"doc","contentRef":"gone"})";
    EXPECT_THAT(letter("extract", message).error, testing::StartsWith("MalformedPayload"));
}

TEST_P(EstimateTest, TheBacklogIsWhatWasCutUpAndHasNotFailed) {
    BacklogView empty(*services);
    EXPECT_TRUE(test::run(io, empty.read(5)).passages.empty());
    std::vector<broker::Message> ingested;
    std::int64_t tokens = 0, batches = 0;
    for (const int count : {100, 20, 30}) {
        const auto own = estimate(document(sections(count), "text/markdown"));
        ingested.push_back(accepted(sections(count), "doc-" + std::to_string(count)).message);
        const auto extracted = run_stage(extract_document, ingested.back());
        run_stage(chunk_document, extracted[0]);
        if (count == 20) continue;
        tokens += own.prompt_tokens;
        batches += (own.chunks + 63) / 64;
    }
    fail(ingested[1]);
    BacklogView two(*services);
    EXPECT_EQ(waiting(two).tokens, tokens);
    EXPECT_EQ(waiting(two).calls, batches);
    fail(ingested[0]);
    fail(ingested[2]);
    BacklogView none(*services);
    EXPECT_TRUE(test::run(io, none.read(5)).passages.empty());
}

TEST_P(EstimateTest, TheBacklogIsLookedAtOnceInAFewSeconds) {
    ManualClock turned;
    Services others{tasks,    *database,  *blobs,      pool,    turned, *index,
                    provider, *documents, *operations, nullptr, {}};
    others.deployment = "main";
    BacklogView view(others);
    EXPECT_EQ(waiting(view).tokens, 0);
    const broker::Delivery first = accepted(sections(30));
    const auto extracted = run_stage(extract_document, first.message);
    run_stage(chunk_document, extracted.at(0));
    turned.advance(kBacklogKept - Duration(1));
    EXPECT_EQ(waiting(view).tokens, 0) << "as it was found";
    turned.advance(Duration(1));
    EXPECT_GT(waiting(view).tokens, 0);
    fail(first.message);
    EXPECT_GT(waiting(view).tokens, 0);
    turned.advance(kBacklogKept);
    EXPECT_EQ(waiting(view).tokens, 0);
}

MILLRACE_ON_EVERY_ENGINE(EstimateTest);

}  // namespace
}  // namespace millrace::handlers
