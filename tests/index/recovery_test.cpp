// What a crash leaves half done is ended or removed at the next start; what is removed is gone from every
// table.
#include "index/rows.hpp"
#include "tests/index/fixture.hpp"

#include <gmock/gmock.h>

#include <map>

namespace millrace::index {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

class Recovery : public IndexFixture {
  protected:
    /// Runs `work` in one transaction, as a command that was the last before a crash.
    template <class F>
    void write(F work) {
        auto command = [work](store::Connection& database) -> Result<void> {
            work(database);
            return {};
        };
        ASSERT_TRUE(run(database_->write(std::move(command))));
    }

    void accept(const std::string& document, std::int64_t generation, std::int64_t live) {
        write([=](store::Connection& database) {
            database
                .prepare(
                    "INSERT INTO document (id, title, status, generation, live, created_at, updated_at)"
                    " VALUES (?, '', 'running', ?, ?, 0, 0)"
                    " ON CONFLICT (id) DO UPDATE SET generation = excluded.generation, live = excluded.live")
                .bind(document, generation, live)
                .run();
        });
    }

    std::vector<std::string> versions() {
        auto work = [](store::Connection& database) {
            std::vector<std::string> names;
            auto& rows = database.prepare("SELECT document, generation FROM version ORDER BY 1, 2");
            while (rows.step()) names.push_back(rows.string(0) + "/" + rows.string(1));
            return names;
        };
        return run(database_->read(std::move(work)));
    }

    /// How often `word` is in the words of documents.
    std::int64_t word_count(const std::string& word) {
        auto work = [word](store::Connection& database) {
            database.execute(
                "CREATE VIRTUAL TABLE temp.places USING fts5vocab(main, document_words, instance)");
            auto& count = database.prepare("SELECT count(*) FROM places WHERE term = ?").bind(word);
            count.step();
            const std::int64_t found = count.integer(0);
            count.reset();
            database.execute("DROP TABLE temp.places");
            return found;
        };
        return run(database_->read(std::move(work)));
    }

    /// Rows of every table of the index and of the database's own.
    std::map<std::string, std::int64_t> row_counts() {
        std::map<std::string, std::int64_t> counts;
        auto list = [](store::Connection& database) {
            std::vector<std::string> names;
            auto& rows = database.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'");
            while (rows.step()) names.push_back(rows.string(0));
            return names;
        };
        // The word index's own pages and its directory keep their size until it merges.
        for (const std::string& name : run(database_->read(std::move(list)))) {
            if (name.ends_with("_words_data") || name.ends_with("_words_idx")) continue;
            counts[name] = number("SELECT count(*) FROM " + name);
        }
        auto words = [](store::Connection& database) {
            database.execute(
                "CREATE VIRTUAL TABLE temp.of_chunks USING fts5vocab(main, chunk_words, row);"
                "CREATE VIRTUAL TABLE temp.of_documents USING fts5vocab(main, document_words, row)");
            const std::int64_t words = database.integer(
                "SELECT (SELECT count(*) FROM of_chunks) +"
                " (SELECT count(*) FROM of_documents)");
            database.execute("DROP TABLE temp.of_chunks; DROP TABLE temp.of_documents");
            return words;
        };
        counts["words"] = run(database_->read(std::move(words)));
        return counts;
    }
};

TEST_F(Recovery, RemovedDocumentsAreGoneFromEveryTable) {
    // One document more before the count, for the rows that stay once a model is known.
    put(version("first"), {"some words"});
    ASSERT_TRUE(run(index_->remove("first", {})));
    const auto before = row_counts();
    restart();
    std::vector<std::string> many;
    for (int i = 0; i < 200; ++i) many.push_back("passage number " + std::to_string(i));
    put(version("a", 1, "x"), many);
    put(version("a", 2, "y"), {"a second version"});
    std::vector<ChunkText> overlapping = chunks({"alpha beta gamma", "gamma delta", "delta"});
    overlapping[0].end = 16;
    overlapping[1].begin = 11;
    overlapping[1].end = 22;
    overlapping[2].begin = 17;
    overlapping[2].end = 22;
    ASSERT_TRUE(run(index_->stage(version("overlapping"), kModel, overlapping)));
    EXPECT_EQ(word_count("gamma"), 1) << "of the document as a whole";
    EXPECT_EQ(word_count("delta"), 1);
    ASSERT_TRUE(run(index_->remove("overlapping", {})));
    stage(version("a", 3), {"staged only"});
    ASSERT_TRUE(run(index_->stage(version("a", 4), kModel, chunks({"without a vector"}))));
    restart();
    put(version("b"), {"another document"});
    ASSERT_TRUE(run(index_->remove("a", {})));
    ASSERT_TRUE(run(index_->remove("b", {})));
    EXPECT_EQ(row_counts(), before);
    EXPECT_EQ(index_->stats().chunks, 0u);
}

TEST_F(Recovery, WhatNobodyWillPublishIsSweptAtTheStart) {
    for (const char* id : {"fresh", "superseded", "unknown", "older"})
        stage(version(id, 3), {std::string(id)});
    put(version("older", 4), {"live"});
    // As if the staging of an older generation had come in between.
    write([](store::Connection& database) {
        database.execute(
            "INSERT INTO version (document, generation, title, category, model)"
            " SELECT document, 2, '', '', model FROM version WHERE live = 1");
    });
    accept("fresh", 3, 0);
    accept("superseded", 4, 0);
    accept("older", 4, 4);
    restart();
    EXPECT_THAT(versions(), UnorderedElementsAre("fresh/3", "older/4"));
    EXPECT_EQ(number("SELECT count(*) FROM chunk"), 2);
    EXPECT_EQ(number("SELECT count(*) FROM chunk_words_docsize"), 2);
    ASSERT_TRUE(run(index_->publish(version("fresh", 3), {})));
    EXPECT_THAT(places(request("fresh")), ::testing::Contains("fresh/0"));
}

TEST_F(Recovery, APublishThatWasNotPurgedIsPurgedAtTheStart) {
    std::vector<std::string> many;
    for (int i = 0; i < 150; ++i) many.push_back("old " + std::to_string(i));
    put(version("a", 1), many);
    accept("a", 2, 2);
    stage(version("a", 2), {"new"});
    write([](store::Connection& database) {
        const auto row = find_version(database, "a", 2);
        EXPECT_TRUE(publish_rows(database, {"a", 2, "", ""}, row->id, 1000));
        EXPECT_FALSE(purge_rows(database, 1)) << "one step of several";
    });
    restart();
    EXPECT_EQ(number("SELECT count(*) FROM chunk"), 1);
    EXPECT_EQ(number("SELECT count(*) FROM chunk_vector"), 1);
    EXPECT_EQ(number("SELECT count(*) FROM chunk_words_docsize"), 1);
    EXPECT_THAT(places(request("old new")), ElementsAre("a/0"));
    put(version("a", 3), {"newest"});
    EXPECT_EQ(search(request("newest", Mode::vector)).at(0).text, "newest") << "later states go on from 1000";
}

TEST_F(Recovery, AnIncompleteStagingIsNeverPublished) {
    accept("a", 1, 0);
    auto half = std::make_shared<StageInput>();
    half->version = version("a", 1);
    half->model = kModel;
    half->chunks = chunks({"one", "two", "three"});
    for (const ChunkText& chunk : half->chunks) half->hashes.push_back(sha256(chunk.text));
    write([half](store::Connection& database) {
        const auto start = begin_stage(database, *half);
        EXPECT_TRUE(stage_rows(database, *half, start->version, 0, 2));
    });
    restart();
    ASSERT_TRUE(run(index_->put_vectors("a", 1, {{0, vector_of("one")}, {1, vector_of("two")}})));
    EXPECT_EQ(run(index_->publish(version("a", 1), {})).error().code, Errc::conflict);
    EXPECT_THAT(stage(version("a", 1), {"one", "two", "three"}).missing, ElementsAre(2u))
        << "paid vectors are kept";
    ASSERT_TRUE(run(index_->publish(version("a", 1), {})));
    EXPECT_EQ(number("SELECT count(*) FROM version"), 1);
    EXPECT_EQ(number("SELECT count(*) FROM chunk"), 3);
}

TEST_F(Recovery, ALargeDocumentGoesInAndOutInPieces) {
    constexpr int kPassages = 1000;
    std::vector<std::string> texts;
    for (int i = 0; i < kPassages; ++i) texts.push_back("passage " + std::to_string(i));
    put(version("large"), texts);
    restart();
    EXPECT_EQ(index_->stats().vectors, 1000u);
    SearchRequest wanted = request("passage 777", Mode::vector);
    EXPECT_EQ(search(wanted).at(0).chunk, 777u);
    texts[777] = "another passage";
    EXPECT_THAT(put(version("large", 2), texts).missing, ElementsAre(777u));
    EXPECT_EQ(search(request("another passage", Mode::vector)).at(0).chunk, 777u);
    EXPECT_THAT(places(request("777", Mode::keyword)), IsEmpty());
    EXPECT_EQ(number("SELECT count(*) FROM chunk_vector"), kPassages);
}

}  // namespace
}  // namespace millrace::index
