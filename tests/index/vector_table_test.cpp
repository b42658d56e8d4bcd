#include "index/vector_table.hpp"

#include <gmock/gmock.h>

#include <cmath>
#include <numeric>
#include <random>

namespace millrace::index {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr std::size_t kDimensions = 100;

std::vector<std::vector<float>> random_vectors(std::size_t count, unsigned seed) {
    std::mt19937 random(seed);
    std::normal_distribution<float> value;
    std::vector<std::vector<float>> vectors(count, std::vector<float>(kDimensions));
    for (auto& vector : vectors) {
        for (float& x : vector) x = value(random);
        const float length =
            std::sqrt(std::inner_product(vector.begin(), vector.end(), vector.begin(), 0.0F));
        for (float& x : vector) x /= length;
    }
    return vectors;
}

/// A table of random vectors; each belongs to version `chunk % 5` with category `chunk % 3`, all seen in
/// state 1.
struct Filled {
    explicit Filled(std::size_t count) : vectors(random_vectors(count, 3)) {
        for (int number = 0; number < 15; ++number) {
            states.push_back(versions.create(number, static_cast<std::uint32_t>(number % 3)));
            versions.load(states.back());
        }
        QuantizedRows rows;
        for (std::size_t i = 0; i < count; ++i) rows.add(static_cast<std::int64_t>(i), vectors[i]);
        for (std::size_t i = 0; i < count; ++i) slots.push_back(table.add(rows, i, states[i % 15]));
    }

    std::shared_ptr<Graph> build() {
        table.begin_graph();
        auto graph = std::make_shared<Graph>(table.stride(), 10);
        for (auto rows = table.graph_rows(100); !rows.empty(); rows = table.graph_rows(100)) {
            for (const GraphRow& row : rows) graph->add(row.slot, row.row(), row.scale());
        }
        table.use_graph(graph);
        return graph;
    }

    std::vector<std::int64_t> best_by_brute_force(const std::vector<float>& query, std::size_t count,
                                                  std::uint32_t category = kAnyCategory) const {
        std::vector<std::pair<float, std::int64_t>> scored;
        for (std::size_t i = 0; i < vectors.size(); ++i) {
            if (category != kAnyCategory && i % 15 % 3 != category) continue;
            const float score = std::inner_product(query.begin(), query.end(), vectors[i].begin(), 0.0F);
            scored.emplace_back(-score, static_cast<std::int64_t>(i));
        }
        std::sort(scored.begin(), scored.end());
        std::vector<std::int64_t> chunks;
        for (std::size_t i = 0; i < std::min(count, scored.size()); ++i) chunks.push_back(scored[i].second);
        return chunks;
    }

    std::vector<std::vector<float>> vectors;
    Versions versions{1};
    std::vector<VersionState*> states;
    VectorTable table{kDimensions};
    std::vector<Slot> slots;
};

std::size_t found_of(const std::vector<std::int64_t>& wanted, const std::vector<Candidate>& found) {
    return static_cast<std::size_t>(std::count_if(wanted.begin(), wanted.end(), [&](std::int64_t chunk) {
        return std::any_of(found.begin(), found.end(),
                           [&](const Candidate& hit) { return hit.chunk == chunk; });
    }));
}

TEST(VectorTable, AScanWithFourTimesTheCandidatesHoldsAllOfTheBest) {
    const Filled test(5000);
    for (const auto& query : random_vectors(50, 9)) {
        const auto found = scan(test.table.view(), {query, 1, kAnyCategory, 40}, 0, 100);
        EXPECT_THAT(found, SizeIs(40));
        EXPECT_EQ(found_of(test.best_by_brute_force(query, 10), found), 10u);
    }
}

TEST(VectorTable, EveryKernelAndEverySplitGivesTheSameRanking) {
    const Filled test(5000);
    const auto query = random_vectors(1, 10)[0];
    const VectorQuery wanted{query, 1, kAnyCategory, 25};
    const auto expected = scan(test.table.view(), wanted, 0, 3, nullptr, kernels().front());
    const auto same = [&](const std::vector<Candidate>& found) {
        return std::equal(
            expected.begin(), expected.end(), found.begin(), found.end(),
            [](const auto& a, const auto& b) { return a.chunk == b.chunk && a.score == b.score; });
    };
    for (const Kernel& kernel : kernels()) {
        EXPECT_TRUE(same(scan(test.table.view(), wanted, 0, 3, nullptr, kernel))) << kernel.name;
    }
    std::vector<std::vector<Candidate>> parts;
    for (const std::size_t part : {2, 0, 1}) parts.push_back(scan(test.table.view(), wanted, part, part + 1));
    EXPECT_TRUE(same(merge(parts, 25)));
}

TEST(VectorTable, AScanSeesOnlyTheStateAndTheCategoryAskedFor) {
    Filled test(3000);
    const auto query = random_vectors(1, 11)[0];
    const auto found = scan(test.table.view(), {query, 1, 2, 3000}, 0, 9);
    EXPECT_THAT(found, SizeIs(1000));
    for (const Candidate& hit : found) EXPECT_EQ(hit.chunk % 15 % 3, 2);
    const Stamp stamp = test.versions.begin(1);
    test.versions.change(stamp, nullptr, {2, 5});
    EXPECT_THAT(scan(test.table.view(), {query, stamp, 2, 3000}, 0, 9), SizeIs(600));
    EXPECT_THAT(scan(test.table.view(), {query, 1, 2, 3000}, 0, 9), SizeIs(1000));
    EXPECT_THAT(scan(test.table.view(), {query, 1, 7, 10}, 0, 9), IsEmpty());
}

TEST(VectorTable, TakesFreedSlotsAgain) {
    Filled test(100);
    for (std::size_t i = 0; i < 50; ++i) test.table.free(test.slots[i]);
    EXPECT_EQ(test.table.size(), 50u);
    const std::size_t bytes = test.table.bytes();
    QuantizedRows rows;
    for (std::size_t i = 0; i < 50; ++i) rows.add(static_cast<std::int64_t>(1000 + i), test.vectors[i]);
    for (std::size_t i = 0; i < 50; ++i) test.table.add(rows, i, test.states[0]);
    EXPECT_EQ(test.table.view().rows, 100u);
    EXPECT_EQ(test.table.bytes(), bytes);
    const auto found = scan(test.table.view(), {test.vectors[7], 1, kAnyCategory, 1}, 0, 9);
    EXPECT_EQ(found.at(0).chunk, 1007);
}

TEST(QuantizedRows, LeavesOutVectorsOfAnotherLength) {
    QuantizedRows rows;
    rows.add(1, std::vector<float>(8, 1));
    rows.add(2, std::vector<float>(9, 1));
    rows.add(3, std::vector<float>(8, 1));
    EXPECT_EQ(rows.size(), 2u);
    EXPECT_EQ(rows.bytes.size(), 2 * padded(8));
}

TEST(Graph, FindsNearlyAllThatAScanFinds) {
    Filled test(4000);
    test.build();
    std::size_t found = 0;
    for (const auto& query : random_vectors(50, 12)) {
        const auto near = scan_graph(test.table.view(), {query, 1, kAnyCategory, 40}, 200);
        ASSERT_TRUE(near);
        found += found_of(test.best_by_brute_force(query, 10), *near);
    }
    EXPECT_GE(found, 480u) << "of 500";
}

TEST(Graph, RowsThatCameLaterAreScanned) {
    Filled test(3000);
    test.build();
    const auto query = random_vectors(1, 13)[0];
    QuantizedRows rows;
    rows.add(9999, query);
    test.table.add(rows, 0, test.states[4]);
    const auto near = scan_graph(test.table.view(), {query, 1, kAnyCategory, 5}, 5);
    ASSERT_TRUE(near);
    EXPECT_EQ(near->at(0).chunk, 9999);
    EXPECT_THAT(test.table.graph_rows(10), SizeIs(1)) << "and wait for the graph";
}

TEST(Graph, GivesUpWhereAFilterLeavesTooFew) {
    Filled test(3000);
    test.build();
    const auto query = random_vectors(1, 14)[0];
    EXPECT_FALSE(scan_graph(test.table.view(), {query, 1, 2, 40}, 60)) << "a third of 60 is not 40";
    const auto wide = scan_graph(test.table.view(), {query, 1, 2, 40}, 400);
    ASSERT_TRUE(wide);
    EXPECT_THAT(*wide, SizeIs(40));
    for (const Candidate& hit : *wide) EXPECT_EQ(hit.chunk % 15 % 3, 2);
    const auto whole = scan_graph(test.table.view(), {query, 1, kAnyCategory, 5000}, 5000);
    ASSERT_TRUE(whole) << "less than asked for, but all there is";
    EXPECT_THAT(*whole, SizeIs(3000));
}

TEST(Graph, RowsThatAreGoneStayInMemoryUntilItIsBuiltAnew) {
    Filled test(2000);
    test.build();
    for (std::size_t i = 0; i < 1000; ++i) test.table.free(test.slots[i]);
    EXPECT_EQ(test.table.stranded(), 1000u);
    EXPECT_EQ(test.table.size(), 1000u);
    const auto near = scan_graph(test.table.view(), {test.vectors[3], 1, kAnyCategory, 10}, 200);
    ASSERT_TRUE(near);
    for (const Candidate& hit : *near) EXPECT_GE(hit.chunk, 1000);

    test.build();
    EXPECT_EQ(test.table.stranded(), 1000u) << "a search may still use the earlier graph";
    test.table.forget_earlier_graphs();
    EXPECT_EQ(test.table.stranded(), 0u);
    EXPECT_EQ(test.table.view().graph->size(), 1000u);
    QuantizedRows rows;
    rows.add(5000, test.vectors[0]);
    test.table.add(rows, 0, test.states[0]);
    EXPECT_EQ(test.table.view().rows, 2000u) << "a slot is used again";
    EXPECT_EQ(scan_graph(test.table.view(), {test.vectors[0], 1, kAnyCategory, 1}, 9)->at(0).chunk, 5000);
}

}  // namespace
}  // namespace millrace::index
