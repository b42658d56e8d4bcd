#include "text/merge.hpp"

#include "tests/text/assets.hpp"

#include <gtest/gtest.h>

#include <random>

namespace millrace::text {
namespace {

/// Byte-pair encoding as its definition reads: find the pair with the lowest rank, merge it, begin again.
std::vector<std::uint32_t> merge_plainly(const RankTable& table, std::string_view piece) {
    std::vector<std::string_view> parts;
    for (std::size_t i = 0; i < piece.size(); ++i) parts.push_back(piece.substr(i, 1));
    for (;;) {
        std::uint32_t best = RankTable::kNone;
        std::size_t at = 0;
        for (std::size_t i = 0; i + 1 < parts.size(); ++i) {
            const std::string_view both(parts[i].data(), parts[i].size() + parts[i + 1].size());
            if (const std::uint32_t rank = table.find(both); rank < best) {
                best = rank;
                at = i;
            }
        }
        if (best == RankTable::kNone) break;
        parts[at] = {parts[at].data(), parts[at].size() + parts[at + 1].size()};
        parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(at) + 1);
    }
    std::vector<std::uint32_t> ranks;
    for (const std::string_view part : parts) ranks.push_back(table.find(part));
    return ranks;
}

TEST(Merge, EqualsThePlainDefinitionAtEveryLength) {
    const auto table =
        RankTable::parse(read_file(std::filesystem::path(MILLRACE_ASSETS) / "cl100k_base.tiktoken"));
    ASSERT_TRUE(table);
    std::mt19937 random(7);
    MergeBuffers buffers;
    const std::array<std::string, 5> alphabets = {"a", "ab", "etaoin ", "01", "\xE6\x97\xA5\xE6\x9C\xAC"};
    for (const std::string& alphabet : alphabets) {
        for (std::size_t length = 1; length <= 260; length += length < 110 ? 1 : 13) {
            std::string piece;
            while (piece.size() < length) piece += alphabet[random() % alphabet.size()];
            merge_piece(*table, piece, buffers);
            std::vector<std::uint32_t> ranks;
            for (const Token& token : buffers.tokens) ranks.push_back(token.rank);
            // A piece that is a token as a whole is not merged at all.
            const std::uint32_t whole = table->find(piece);
            const auto expected =
                whole != RankTable::kNone ? std::vector{whole} : merge_plainly(*table, piece);
            ASSERT_EQ(ranks, expected) << piece;
            ASSERT_EQ(buffers.tokens.back().end, piece.size());
        }
    }
}

}  // namespace
}  // namespace millrace::text
