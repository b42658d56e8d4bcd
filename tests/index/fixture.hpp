// A database in a temporary folder with an index on it, and short words for what a test does with it.
#pragma once

#include "base/ids.hpp"
#include "index/embedded_index.hpp"
#include "tests/support/temporary_directory.hpp"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include <cmath>
#include <filesystem>
#include <optional>

namespace millrace::index {

inline const std::string kModel = "test/4";

/// Everything that an index needs. `restart` closes it and opens it again on the same folder.
class IndexFixture : public ::testing::Test {
  protected:
    IndexFixture() { start(); }

    void start() {
        pool_ = std::make_unique<CpuPool>(2);
        auto database = store::Database::open(io_.get_executor(), {folder_.path()});
        ASSERT_TRUE(database) << database.error().detail;
        database_ = std::move(*database);
        auto index = run(make_embedded_index(*database_, *pool_, options_));
        ASSERT_TRUE(index);
        index_ = std::move(*index);
    }

    void restart() {
        index_.reset();
        database_->stop();
        database_.reset();
        pool_.reset();
        start();
    }

    /// What `work` answers; rethrows what it throws.
    template <class T>
    T run(asio::awaitable<T> work) {
        std::optional<T> result;
        std::exception_ptr failure;
        auto on_end = [&](std::exception_ptr thrown, T value) {
            failure = thrown;
            if (!thrown) result.emplace(std::move(value));
        };
        asio::co_spawn(io_, std::move(work), on_end);
        io_.restart();
        auto guard = asio::make_work_guard(io_);
        while (!result && !failure) io_.run_one();
        if (failure) std::rethrow_exception(failure);
        return std::move(*result);
    }

    static DocumentVersion version(std::string id, std::int64_t generation = 1, std::string category = {}) {
        std::string title = "Title of " + id;
        return {std::move(id), generation, std::move(title), std::move(category)};
    }

    static std::vector<ChunkText> chunks(const std::vector<std::string>& texts) {
        std::vector<ChunkText> all;
        for (const std::string& text : texts) all.push_back({.text = text, .heading = "Part"});
        return all;
    }

    /// A unit vector that depends on the text alone.
    static std::vector<float> vector_of(const std::string& text, std::size_t dimensions = 4) {
        const std::string hash = sha256(text);
        std::vector<float> vector(dimensions);
        float square = 0;
        for (std::size_t i = 0; i < dimensions; ++i) {
            vector[i] = static_cast<float>(static_cast<signed char>(hash[i % hash.size()])) + 0.5F;
            square += vector[i] * vector[i];
        }
        for (float& value : vector) value /= std::sqrt(square);
        return vector;
    }

    /// Stages and embeds; not published yet.
    Staged stage(const DocumentVersion& version, const std::vector<std::string>& texts) {
        auto staged = run(index_->stage(version, kModel, chunks(texts)));
        EXPECT_TRUE(staged) << staged.error().detail;
        std::vector<std::pair<std::uint32_t, std::vector<float>>> vectors;
        for (const std::uint32_t ordinal : staged->missing)
            vectors.emplace_back(ordinal, vector_of(texts[ordinal]));
        auto missing = run(index_->put_vectors(version.id, version.generation, std::move(vectors)));
        EXPECT_TRUE(missing) << missing.error().detail;
        EXPECT_EQ(*missing, 0u);
        return *staged;
    }

    /// The whole way; answers what was staged.
    Staged put(const DocumentVersion& version, const std::vector<std::string>& texts) {
        Staged staged = stage(version, texts);
        auto published = run(index_->publish(version, {}));
        EXPECT_TRUE(published) << published.error().detail;
        EXPECT_EQ(*published, texts.size());
        return staged;
    }

    static SearchRequest request(std::string query, Mode mode = Mode::hybrid) {
        SearchRequest made;
        made.vector = vector_of(query);
        made.query = std::move(query);
        made.model = kModel;
        made.mode = mode;
        return made;
    }

    std::vector<SearchHit> search(SearchRequest request) {
        auto hits = run(index_->search(std::move(request)));
        EXPECT_TRUE(hits) << hits.error().detail;
        return hits ? *hits : std::vector<SearchHit>();
    }

    /// "document/chunk" of each hit.
    std::vector<std::string> places(SearchRequest request) {
        std::vector<std::string> names;
        for (const SearchHit& hit : search(std::move(request))) {
            names.push_back(hit.document_id + "/" + std::to_string(hit.chunk));
        }
        return names;
    }

    /// The number that `sql` answers.
    std::int64_t number(const std::string& sql) {
        auto work = [sql](store::Connection& database) { return database.integer(sql); };
        return run(database_->read(std::move(work)));
    }

    test::TemporaryDirectory folder_;
    EmbeddedIndexOptions options_;
    asio::io_context io_;
    std::unique_ptr<CpuPool> pool_;
    std::unique_ptr<store::Database> database_;
    std::unique_ptr<Index> index_;
};

}  // namespace millrace::index
