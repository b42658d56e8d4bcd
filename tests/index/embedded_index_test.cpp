#include "tests/index/fixture.hpp"

#include <gmock/gmock.h>

namespace millrace::index {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

class EmbeddedIndex : public IndexFixture {};

TEST_F(EmbeddedIndex, FindsAPublishedPassageInEveryMode) {
    put(version("sea", 1, "water"), {"waves break on the shore", "tides follow the moon"});
    put(version("sky"), {"clouds carry rain"});
    for (const Mode mode : {Mode::keyword, Mode::vector, Mode::hybrid}) {
        const auto hits = search(request("tides follow the moon", mode));
        ASSERT_FALSE(hits.empty());
        EXPECT_EQ(hits[0].document_id, "sea");
        EXPECT_EQ(hits[0].chunk, 1u);
        EXPECT_EQ(hits[0].title, "Title of sea");
        EXPECT_EQ(hits[0].category, "water");
        EXPECT_EQ(hits[0].heading, "Part");
        EXPECT_EQ(hits[0].text, "tides follow the moon");
        EXPECT_GT(hits[0].score, 0);
    }
}

TEST_F(EmbeddedIndex, StagedVersionsAreUnseen) {
    stage(version("a"), {"unseen words"});
    EXPECT_THAT(places(request("unseen words")), IsEmpty());
    EXPECT_EQ(index_->stats().documents, 0u);
    ASSERT_TRUE(run(index_->publish(version("a"), {})));
    EXPECT_THAT(places(request("unseen words")), ElementsAre("a/0"));
    EXPECT_EQ(index_->stats().documents, 1u);
    EXPECT_EQ(index_->stats().vectors, 1u);
    EXPECT_GT(index_->stats().bytes, 0u);
}

TEST_F(EmbeddedIndex, APublishReplacesTheOlderVersionAndItsRows) {
    put(version("a", 1), {"old words", "kept words"});
    put(version("a", 2), {"new words", "kept words"});
    EXPECT_THAT(places(request("words", Mode::keyword)), UnorderedElementsAre("a/0", "a/1"));
    EXPECT_THAT(places(request("words", Mode::vector)), UnorderedElementsAre("a/0", "a/1"));
    EXPECT_THAT(places(request("old", Mode::keyword)), IsEmpty());
    EXPECT_EQ(number("SELECT count(*) FROM version"), 1);
    EXPECT_EQ(number("SELECT count(*) FROM chunk"), 2);
    EXPECT_EQ(number("SELECT count(*) FROM chunk_vector"), 2);
    EXPECT_EQ(number("SELECT count(*) FROM chunk_words_docsize"), 2);
    EXPECT_EQ(index_->stats().chunks, 2u);
}

TEST_F(EmbeddedIndex, TellsWhichTextsHaveAVectorWithoutStagingThem) {
    const auto remembered = [&](const std::string& model, const std::vector<std::string>& texts) {
        auto asked = std::make_shared<const std::vector<ChunkText>>(chunks(texts));
        return run(index_->remembered(model, std::move(asked)));
    };
    EXPECT_THAT(remembered(kModel, {"one"}), ElementsAre(false)) << "of a model that nobody knows";
    put(version("a"), {"one", "two"});
    ASSERT_TRUE(run(index_->stage(version("b"), kModel, chunks({"three"}))));
    EXPECT_THAT(remembered(kModel, {"two", "three", "one", "four"}), ElementsAre(true, false, true, false));
    EXPECT_THAT(remembered("other/4", {"one"}), ElementsAre(false));
    EXPECT_THAT(remembered(kModel, {}), IsEmpty());
    EXPECT_EQ(number("SELECT count(*) FROM chunk"), 3);
}

TEST_F(EmbeddedIndex, TellsWhichVersionsWaitForVectors) {
    EXPECT_THAT(run(index_->unembedded()), IsEmpty());
    put(version("a"), {"one", "two"});
    auto waiting = chunks({"three", "one", "four"});
    for (auto& chunk : waiting) chunk.tokens = 7;
    ASSERT_TRUE(run(index_->stage(version("b", 5), kModel, waiting)));
    const auto found = run(index_->unembedded());
    ASSERT_EQ(found.size(), 1u);
    EXPECT_EQ(found[0].document, "b");
    EXPECT_EQ(found[0].generation, 5);
    EXPECT_EQ(found[0].chunks, 2);
    EXPECT_EQ(found[0].tokens, 14);
    run(index_->discard("b", 5));
    EXPECT_THAT(run(index_->unembedded()), IsEmpty());
}

TEST_F(EmbeddedIndex, AKnownTextTakesItsVectorFromAnyDocument) {
    EXPECT_THAT(put(version("a"), {"one", "two"}).missing, ElementsAre(0u, 1u));
    EXPECT_THAT(put(version("b"), {"two", "three", "one"}).missing, ElementsAre(1u));
    EXPECT_THAT(put(version("a", 2), {"one", "two"}).missing, IsEmpty());
    auto other = run(index_->stage(version("c"), "other/4", chunks({"one"})));
    ASSERT_TRUE(other);
    EXPECT_THAT(other->missing, ElementsAre(0u)) << "another model's vector is of no use";
}

TEST_F(EmbeddedIndex, StagingTheSameAgainChangesNothing) {
    auto first = run(index_->stage(version("a"), kModel, chunks({"one", "two"})));
    const std::int64_t row = number("SELECT id FROM version");
    ASSERT_TRUE(run(index_->put_vectors("a", 1, {{1, vector_of("two")}})));
    auto again = run(index_->stage(version("a"), kModel, chunks({"one", "two"})));
    ASSERT_TRUE(again);
    EXPECT_EQ(again->total, 2u);
    EXPECT_THAT(again->missing, ElementsAre(0u));
    EXPECT_EQ(number("SELECT id FROM version"), row);
}

TEST_F(EmbeddedIndex, StagingOtherTextReplacesTheStagingAndKeepsVectorsForReuse) {
    stage(version("a"), {"one", "two"});
    EXPECT_THAT(stage(version("a"), {"zero", "one", "two"}).missing, ElementsAre(0u));
    EXPECT_EQ(number("SELECT count(*) FROM version"), 1);
    EXPECT_EQ(number("SELECT count(*) FROM chunk"), 3);
    ASSERT_TRUE(run(index_->publish(version("a"), {})));
    EXPECT_THAT(places(request("one two zero", Mode::keyword)), UnorderedElementsAre("a/0", "a/1", "a/2"));
}

TEST_F(EmbeddedIndex, PublishingAndPuttingAgainChangeNothing) {
    put(version("a"), {"one"});
    const std::int64_t stamp = number("SELECT stamp FROM index_state");
    auto again = run(index_->publish(version("a"), {}));
    ASSERT_TRUE(again);
    EXPECT_EQ(*again, 1u);
    auto staged = run(index_->stage(version("a"), kModel, chunks({"one"})));
    ASSERT_TRUE(staged);
    EXPECT_THAT(staged->missing, IsEmpty());
    auto missing = run(index_->put_vectors("a", 1, {{0, vector_of("else")}}));
    ASSERT_TRUE(missing);
    EXPECT_EQ(number("SELECT stamp FROM index_state"), stamp);
    EXPECT_EQ(index_->stats().documents, 1u);
    EXPECT_NEAR(search(request("one", Mode::vector)).at(0).score, 1, 1e-5) << "the first vector stays";
}

TEST_F(EmbeddedIndex, RefusesWhatIsOutOfOrder) {
    put(version("a", 5), {"one"});
    EXPECT_EQ(run(index_->stage(version("a", 4), kModel, chunks({"x"}))).error().code, Errc::conflict);
    EXPECT_EQ(run(index_->publish(version("a", 4), {})).error().code, Errc::not_found);
    EXPECT_EQ(run(index_->put_vectors("a", 4, {{0, vector_of("x")}})).error().code, Errc::not_found);
    EXPECT_EQ(run(index_->staged_texts("a", 4, {0})).error().code, Errc::not_found);
    EXPECT_EQ(run(index_->staged_texts("a", 5, {1})).error().code, Errc::not_found);

    ASSERT_TRUE(run(index_->stage(version("a", 6), kModel, chunks({"x", "y"}))));
    EXPECT_EQ(run(index_->publish(version("a", 6), {})).error().code, Errc::conflict);
    EXPECT_EQ(run(index_->put_vectors("a", 6, {{2, vector_of("x")}})).error().code, Errc::not_found);
    EXPECT_EQ(run(index_->put_vectors("a", 6, {{0, {1, 0, 0}}})).error().code, Errc::invalid_input);
    EXPECT_EQ(run(index_->put_vectors("a", 6, {{0, {1, NAN, 0, 0}}})).error().code, Errc::invalid_input);
    EXPECT_EQ(*run(index_->put_vectors("a", 6, {{0, vector_of("x")}})), 1u);
    EXPECT_EQ(*run(index_->put_vectors("a", 6, {{0, vector_of("x")}})), 1u);
    EXPECT_EQ(run(index_->publish(version("a", 6), {})).error().code, Errc::conflict);
    EXPECT_THAT(places(request("one")), ElementsAre("a/0"));
}

TEST_F(EmbeddedIndex, StagedTextsSayWhichAreEmbedded) {
    ASSERT_TRUE(run(index_->stage(version("a"), kModel, chunks({"one", "two", "three"}))));
    ASSERT_TRUE(run(index_->put_vectors("a", 1, {{2, vector_of("three")}})));
    auto texts = run(index_->staged_texts("a", 1, {2, 0}));
    ASSERT_TRUE(texts);
    ASSERT_EQ(texts->size(), 2u);
    EXPECT_EQ((*texts)[0].text, "three");
    EXPECT_TRUE((*texts)[0].embedded);
    EXPECT_EQ((*texts)[1].text, "one");
    EXPECT_FALSE((*texts)[1].embedded);
}

TEST_F(EmbeddedIndex, WritesTheCallersRowsInTheSameTransactionOrNothing) {
    put(version("a", 1), {"old"});
    stage(version("a", 2), {"new"});
    const AlsoWrite refuse = [](store::Connection& database) -> Result<void> {
        database.execute("INSERT INTO step VALUES ('m', 's', '', 0)");
        return Error{Errc::conflict, "no"};
    };
    EXPECT_EQ(run(index_->publish(version("a", 2), refuse)).error().detail, "no");
    EXPECT_EQ(run(index_->remove("a", refuse)).error().detail, "no");
    EXPECT_THAT(places(request("old new")), ElementsAre("a/0"));
    EXPECT_EQ(search(request("old new"))[0].text, "old");
    EXPECT_EQ(number("SELECT count(*) FROM step"), 0);
    const AlsoWrite agree = [](store::Connection& database) -> Result<void> {
        database.execute("INSERT INTO step VALUES ('m', 's', '', 0)");
        return {};
    };
    ASSERT_TRUE(run(index_->publish(version("a", 2), agree)));
    EXPECT_EQ(search(request("old new"))[0].text, "new");
    EXPECT_EQ(number("SELECT count(*) FROM step"), 1);
}

TEST_F(EmbeddedIndex, RemoveAndDiscardLeaveNoRow) {
    put(version("a", 1), {"one", "two"});
    stage(version("a", 2), {"three"});
    stage(version("b", 1), {"four"});
    ASSERT_TRUE(run(index_->discard("b", 1)));
    ASSERT_TRUE(run(index_->discard("b", 1)));
    ASSERT_TRUE(run(index_->discard("a", 1))) << "a live version is not discarded";
    EXPECT_THAT(places(request("one two")), UnorderedElementsAre("a/0", "a/1"));
    ASSERT_TRUE(run(index_->remove("a", {})));
    ASSERT_TRUE(run(index_->remove("unknown", {})));
    EXPECT_THAT(places(request("one two three four")), IsEmpty());
    for (const char* table : {"version", "chunk", "chunk_vector", "chunk_words", "chunk_words_docsize",
                              "document_words_docsize"}) {
        EXPECT_EQ(number("SELECT count(*) FROM " + std::string(table)), 0) << table;
    }
    EXPECT_EQ(index_->stats().documents, 0u);
    EXPECT_EQ(index_->stats().chunks, 0u);
}

TEST_F(EmbeddedIndex, KnowsEverythingAgainAfterARestart) {
    put(version("a", 1, "x"), {"one", "two"});
    put(version("b", 1), {"three"});
    put(version("b", 2), {"four"});
    const auto before = places(request("one two three four"));
    restart();
    EXPECT_EQ(places(request("one two three four")), before);
    EXPECT_EQ(index_->stats().documents, 2u);
    EXPECT_EQ(index_->stats().chunks, 3u);
    put(version("a", 2), {"five"});
    EXPECT_THAT(places(request("five", Mode::vector)), ::testing::SizeIs(2));
}

TEST_F(EmbeddedIndex, FiltersBothRankingsByCategory) {
    put(version("a", 1, "red"), {"shared words", "more shared words"});
    put(version("b", 1, "blue"), {"shared words too"});
    put(version("c", 1), {"shared words as well"});
    for (const Mode mode : {Mode::keyword, Mode::vector, Mode::hybrid}) {
        SearchRequest blue = request("shared words", mode);
        blue.category = "blue";
        EXPECT_THAT(places(blue), ElementsAre("b/0"));
        SearchRequest none = request("shared words", mode);
        none.category = "green";
        EXPECT_THAT(places(none), IsEmpty());
    }
}

TEST_F(EmbeddedIndex, BoundsPassagesOfOneDocumentAndTheNumberOfHits) {
    put(version("a"), {"apple pie", "apple tart", "apple cake"});
    put(version("b"), {"apple tree in the garden behind the house"});
    SearchRequest one_each = request("apple");
    one_each.chunks_per_document_max = 1;
    EXPECT_THAT(places(one_each), ::testing::SizeIs(2));
    SearchRequest two = request("apple");
    two.top = 2;
    EXPECT_THAT(places(two), ::testing::SizeIs(2));
    two.top = 0;
    EXPECT_THAT(places(two), IsEmpty());
    two.top = 1'000'000;
    EXPECT_THAT(places(two), ::testing::SizeIs(4));
}

TEST_F(EmbeddedIndex, FallsBackToWordsWithoutVectorsOfTheModel) {
    put(version("a"), {"some words"});
    SearchRequest other = request("words");
    other.model = "unknown/4";
    EXPECT_THAT(places(other), ElementsAre("a/0"));
    other.mode = Mode::vector;
    EXPECT_THAT(places(other), IsEmpty());
}

TEST_F(EmbeddedIndex, NoQueryIsAnError) {
    put(version("a"), {"plain words and \xF0\x9F\x98\x80 signs"});
    const std::string long_query(8192, 'x');
    std::string many_words;
    for (int i = 0; i < 2000; ++i) many_words += "w" + std::to_string(i) + " ";
    const std::vector<std::string> queries = {"",
                                              " ",
                                              "\"",
                                              "\"\"\"",
                                              "'",
                                              "?!",
                                              "*",
                                              "words*",
                                              "AND",
                                              "OR",
                                              "NOT",
                                              "NEAR(words, 2)",
                                              "title:words",
                                              "{title text}:words",
                                              "-words",
                                              "^words",
                                              "words)",
                                              "(((words",
                                              "a AND OR b",
                                              "\xF0\x9F\x98\x80",
                                              "\xFF\xFE",
                                              std::string("wo\0rds", 6),
                                              std::string(1, '\0'),
                                              "; DROP TABLE chunk; --",
                                              "the of and",
                                              "%s%n",
                                              long_query,
                                              many_words,
                                              "words \xC3",
                                              "\xE2\x80\x94words\xE2\x80\x94"};
    for (const std::string& query : queries) {
        for (const Mode mode : {Mode::keyword, Mode::hybrid}) {
            EXPECT_TRUE(run(index_->search(request(query, mode)))) << query;
        }
    }
    EXPECT_THAT(places(request("title:words NEAR NOT -plain \xF0\x9F\x98\x80", Mode::keyword)),
                ElementsAre("a/0"));
    EXPECT_THAT(places(request("words \xF0\x9F\x98\x80", Mode::keyword)), ElementsAre("a/0"));
}

}  // namespace
}  // namespace millrace::index
