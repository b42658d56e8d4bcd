// Searches while versions change: what they see is always one whole version.
#include "tests/index/fixture.hpp"

#include <boost/asio/detached.hpp>

#include <set>

namespace millrace::index {
namespace {

class Swap : public IndexFixture, public ::testing::WithParamInterface<std::size_t> {
  protected:
    Swap() {
        options_.graph_rows_min = GetParam();
        restart();
    }

    static std::vector<std::string> texts_of(int generation) {
        std::vector<std::string> texts;
        for (int i = 0; i <= generation % 7; ++i) {
            texts.push_back("shared generation" + std::to_string(generation) + " part" + std::to_string(i));
        }
        return texts;
    }

    asio::awaitable<bool> put_version(std::string id, int generation) {
        const DocumentVersion version{std::move(id), generation, "Generation " + std::to_string(generation),
                                      "moving"};
        const auto texts = texts_of(generation);
        auto passages = chunks(texts);
        auto staged = co_await index_->stage(version, kModel, std::move(passages));
        EXPECT_TRUE(staged);
        std::vector<std::pair<std::uint32_t, std::vector<float>>> vectors;
        for (const std::uint32_t ordinal : staged->missing)
            vectors.emplace_back(ordinal, vector_of(texts[ordinal]));
        auto missing = co_await index_->put_vectors(version.id, generation, std::move(vectors));
        EXPECT_TRUE(missing);
        AlsoWrite nothing;
        auto published = co_await index_->publish(version, std::move(nothing));
        EXPECT_TRUE(published);
        co_return published.has_value();
    }

    /// All passages of the moving document must be of one generation, and all of that generation's must be
    /// there.
    void check(const std::vector<SearchHit>& hits, const std::string& id) {
        std::set<std::string> generations;
        std::set<std::uint32_t> places;
        for (const SearchHit& hit : hits) {
            if (hit.document_id != id) continue;
            generations.insert(hit.title.substr(11));
            places.insert(hit.chunk);
            EXPECT_NE(hit.text.find("generation" + hit.title.substr(11) + " "), std::string::npos)
                << hit.text;
        }
        EXPECT_EQ(generations.size(), 1u);
        if (generations.empty()) return;
        EXPECT_EQ(places.size(), texts_of(std::stoi(*generations.begin())).size());
        seen_.insert(*generations.begin());
    }

    asio::awaitable<void> look(std::string id, Mode mode, std::string category) {
        while (!done_) {
            SearchRequest wanted = request("shared", mode);
            wanted.top = 200;
            wanted.category = category;
            auto hits = co_await index_->search(std::move(wanted));
            EXPECT_TRUE(hits);
            check(*hits, id);
            ++searches_;
        }
        --lookers_;
    }

    asio::awaitable<bool> swap_many(int count) {
        for (int generation = 2; generation <= count; ++generation)
            co_await put_version("moving", generation);
        done_ = true;
        co_return true;
    }

    /// Keeps the pool and a reader busy, so that versions change between the steps of a search.
    asio::awaitable<void> get_in_the_way() {
        const std::string bytes(300'000, 'x');
        while (!done_) {
            auto hash = [&bytes] { return sha256(bytes); };
            co_await pool_->run(std::move(hash));
            auto count = [](store::Connection& database) {
                return database.integer(
                    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)"
                    " SELECT count(*) FROM n");
            };
            co_await database_->read(std::move(count));
        }
        --lookers_;
    }

    void start_looking(const std::string& id, Mode mode, const std::string& category) {
        ++lookers_;
        asio::co_spawn(io_, look(id, mode, category), asio::detached);
    }

    bool done_ = false;
    int lookers_ = 0;
    int searches_ = 0;
    std::set<std::string> seen_;
};

TEST_P(Swap, NoSearchEverSeesAMixOrNothing) {
    for (int i = 0; i < 20; ++i) put(version("still" + std::to_string(i)), {"shared words", "other words"});
    ASSERT_TRUE(run(put_version("moving", 1)));
    for (const Mode mode : {Mode::hybrid, Mode::vector, Mode::keyword}) {
        start_looking("moving", mode, "");
        start_looking("moving", mode, "moving");
    }
    for (int i = 0; i < 4; ++i) {
        ++lookers_;
        asio::co_spawn(io_, get_in_the_way(), asio::detached);
    }
    EXPECT_TRUE(run(swap_many(200)));
    io_.restart();
    while (lookers_ > 0) io_.run_one();
    EXPECT_GT(searches_, 100);
    EXPECT_GT(seen_.size(), 10u) << "the searches ran between the swaps";
    EXPECT_EQ(number("SELECT count(*) FROM version"), 21);
    EXPECT_EQ(number("SELECT count(*) FROM chunk"), 40 + 200 % 7 + 1);
    EXPECT_EQ(number("SELECT count(*) FROM chunk_vector"), 40 + 200 % 7 + 1);
}

INSTANTIATE_TEST_SUITE_P(ScannedOrInAGraph, Swap, ::testing::Values(300'000, 10));

class Cancelled : public IndexFixture {
  protected:
    /// Runs `work` and cancels it after `time`; true if it ended by itself.
    bool run_for(asio::awaitable<void> work, std::chrono::microseconds time) {
        auto limited = [](asio::awaitable<void> inner,
                          std::chrono::microseconds limit) -> asio::awaitable<bool> {
            bool ended = false;
            try {
                ended = co_await with_deadline(std::move(inner), limit);
            } catch (const boost::system::system_error&) {
                // Cancelled, and passed on.
            }
            co_return ended;
        };
        return run(limited(std::move(work), time));
    }
};

TEST_F(Cancelled, CallsLeaveNothingBehind) {
    std::vector<std::string> texts;
    for (int i = 0; i < 600; ++i) texts.push_back("passage " + std::to_string(i));
    put(version("a", 1), texts);
    texts[0] = "changed";
    stage(version("a", 2), texts);
    auto publish = [this]() -> asio::awaitable<void> {
        const DocumentVersion second = version("a", 2);
        AlsoWrite nothing;
        auto published = co_await index_->publish(second, std::move(nothing));
        EXPECT_TRUE(published);
    };
    auto look = [this]() -> asio::awaitable<void> {
        SearchRequest wanted = request("passage");
        auto hits = co_await index_->search(std::move(wanted));
        EXPECT_TRUE(hits);
        EXPECT_EQ(hits->size(), 10u);
    };
    const std::size_t bytes = index_->stats().bytes;
    for (int time = 0; time < 100; ++time) {
        run_for(look(), std::chrono::microseconds(20 * time));
        if (time % 10 == 0) run_for(publish(), std::chrono::microseconds(5 * time));
    }
    ASSERT_TRUE(run(index_->publish(version("a", 2), {})));
    put(version("b"), {"another"});
    EXPECT_EQ(index_->stats().chunks, 601u);
    EXPECT_EQ(index_->stats().bytes, bytes);
    EXPECT_EQ(number("SELECT count(*) FROM version"), 2) << "a later call purges what a cancelled one left";
    EXPECT_EQ(number("SELECT count(*) FROM chunk"), 601);
    SearchRequest all = request("passage", Mode::vector);
    all.top = 1000;
    EXPECT_EQ(search(all).size(), 601u);
}

class RolledBackPublish : public IndexFixture {
  protected:
    // The group's transaction ends before its time: SQLite refuses the rest, and nothing of the group is
    // stored.
    static Result<void> break_group(store::Connection& database) {
        database.execute("ROLLBACK");
        return {};
    }
};

TEST_F(RolledBackPublish, LeavesTheOldVersionAsItWas) {
    put(version("a", 1), {"old one", "old two"});
    stage(version("a", 2), {"new one", "new two", "new three"});
    const std::size_t bytes = index_->stats().bytes;
    EXPECT_THROW(run(index_->publish(version("a", 2), break_group)), MachineError);
    EXPECT_THROW(run(index_->remove("a", break_group)), MachineError);
    for (const Mode mode : {Mode::hybrid, Mode::vector, Mode::keyword}) {
        const auto hits = search(request("old one", mode));
        ASSERT_EQ(hits.size(), 2u);
        for (const SearchHit& hit : hits) EXPECT_EQ(hit.text.substr(0, 3), "old");
    }
    EXPECT_EQ(index_->stats().documents, 1u);
    EXPECT_EQ(index_->stats().chunks, 2u);
    EXPECT_EQ(index_->stats().bytes, bytes);

    put(version("b", 1), {"another document"});
    EXPECT_EQ(search(request("old one", Mode::vector)).size(), 3u) << "a later state does not bring it back";
    ASSERT_TRUE(run(index_->publish(version("a", 2), {})));
    EXPECT_EQ(search(request("new one", Mode::vector)).size(), 4u);
    EXPECT_EQ(index_->stats().chunks, 4u);
}

TEST_F(RolledBackPublish, TakesItsNeighboursOfTheGroupWithIt) {
    put(version("a", 1), {"old"});
    stage(version("a", 2), {"middle"});
    stage(version("a", 3), {"young"});
    std::vector<int> outcomes;
    auto publish = [this, &outcomes](std::int64_t generation, AlsoWrite with) -> asio::awaitable<void> {
        try {
            auto published = co_await index_->publish(version("a", generation), std::move(with));
            outcomes.push_back(published ? 1 : 0);
        } catch (const MachineError&) {
            outcomes.push_back(-1);
        }
    };
    asio::co_spawn(io_, publish(2, {}), asio::detached);
    asio::co_spawn(io_, publish(3, break_group), asio::detached);
    io_.restart();
    while (outcomes.size() < 2) io_.run_one();
    const auto hits = search(request("old", Mode::vector));
    ASSERT_EQ(hits.size(), 1u);
    const bool second_was_alone = outcomes == std::vector<int>{1, -1} || outcomes == std::vector<int>{-1, 1};
    EXPECT_EQ(hits[0].text, second_was_alone ? "middle" : "old") << testing::PrintToString(outcomes);
    ASSERT_TRUE(run(index_->publish(version("a", 3), {})));
    EXPECT_EQ(search(request("old", Mode::vector)).at(0).text, "young");
}

}  // namespace
}  // namespace millrace::index
