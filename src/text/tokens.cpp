#include "text/tokens.hpp"

#include "text/merge.hpp"
#include "text/pieces.hpp"
#include "text/ranks.hpp"
#include "text/utf8.hpp"

#include <array>
#include <cerrno>
#include <fstream>
#include <iterator>
#include <string>
#include <system_error>
#include <utility>

namespace millrace::text {
namespace {

constexpr std::size_t kPieceBytesMax = std::size_t{1} << 16;
constexpr std::size_t kRankFileBytesMax = std::size_t{64} << 20;

struct Encoding {
    std::string_view name;
    PieceScanner scan;
    std::size_t tokens;  ///< of its vocabulary, special tokens aside
};
constexpr std::array kEncodings = {
    Encoding{"cl100k_base", scan_cl100k, 100'256},
    Encoding{"o200k_base", scan_o200k, 199'998},
};

const Encoding* find_encoding(std::string_view name) {
    for (const Encoding& encoding : kEncodings) {
        if (encoding.name == name) return &encoding;
    }
    return nullptr;
}

Result<std::string> read_rank_file(const std::filesystem::path& path) {
    std::error_code failed;
    const auto bytes = std::filesystem::file_size(path, failed);
    std::ifstream file(path, std::ios::binary);
    if (failed || !file) {
        return Error{Errc::not_found,
                     "cannot read the token ranks " + path.string() + "; run ./dev build to fetch them"};
    }
    if (bytes > kRankFileBytesMax)
        return Error{Errc::corrupt, path.string() + " is too large for a rank file"};
    std::string content(bytes, '\0');
    file.read(content.data(), static_cast<std::streamsize>(bytes));
    content.resize(static_cast<std::size_t>(file.gcount()));
    return content;
}

/// Calls `use(token, begin)` for each token; `begin` is where its piece begins in `text`.
template <class Use>
void for_each_token(const RankTable& ranks, PieceScanner scan, std::string_view text, Use&& use) {
    MergeBuffers buffers;
    for (std::size_t begin = 0; begin < text.size();) {
        std::size_t end = scan(text, begin);
        while (begin < end) {
            const std::size_t stop =
                end - begin > kPieceBytesMax ? floor_utf8(text, begin + kPieceBytesMax) : end;
            merge_piece(ranks, text.substr(begin, stop - begin), buffers);
            for (const Token& token : buffers.tokens) use(token, begin);
            begin = stop;
        }
    }
}

}  // namespace

struct TokenCounter::Parts {
    const Encoding& encoding;
    RankTable ranks;
};

TokenCounter::TokenCounter(std::unique_ptr<const Parts> parts) : parts_(std::move(parts)) {}
TokenCounter::~TokenCounter() = default;

Result<std::shared_ptr<const TokenCounter>> TokenCounter::load(std::string_view encoding,
                                                               const std::filesystem::path& path) {
    const Encoding* const known = find_encoding(encoding);
    if (!known) {
        return Error{Errc::invalid_input, "unknown token encoding \"" + std::string(encoding) +
                                              "\"; known are cl100k_base and o200k_base"};
    }
    auto file = read_rank_file(path);
    if (!file) return file.error();
    auto ranks = RankTable::parse(*file);
    if (!ranks) return Error{ranks.error().code, path.string() + ": " + ranks.error().detail};
    if (ranks->size() != known->tokens) {
        return Error{Errc::corrupt, path.string() + " holds " + std::to_string(ranks->size()) +
                                        " tokens, but " + std::string(encoding) + " has " +
                                        std::to_string(known->tokens)};
    }
    auto parts = std::make_unique<const Parts>(Parts{*known, std::move(*ranks)});
    return std::shared_ptr<const TokenCounter>(new TokenCounter(std::move(parts)));
}

std::string_view TokenCounter::encoding() const noexcept { return parts_->encoding.name; }

std::size_t TokenCounter::count(std::string_view text) const {
    std::size_t count = 0;
    for_each_token(parts_->ranks, parts_->encoding.scan, text, [&](const Token&, std::size_t) { ++count; });
    return count;
}

std::vector<std::uint32_t> TokenCounter::encode(std::string_view text) const {
    std::vector<std::uint32_t> ids;
    for_each_token(parts_->ranks, parts_->encoding.scan, text,
                   [&](const Token& token, std::size_t) { ids.push_back(token.rank); });
    return ids;
}

std::vector<std::size_t> TokenCounter::token_ends(std::string_view text) const {
    std::vector<std::size_t> ends;
    for_each_token(parts_->ranks, parts_->encoding.scan, text,
                   [&](const Token& token, std::size_t begin) { ends.push_back(begin + token.end); });
    return ends;
}

std::string_view encoding_for_model(std::string_view model) noexcept {
    static constexpr std::array<std::string_view, 11> kNewer = {
        "gpt-4o", "chatgpt-4o", "gpt-4.1",   "gpt-4.5",    "gpt-5",  "o1",
        "o3",     "o4",         "ft:gpt-4o", "ft:gpt-4.1", "gpt-oss"};
    for (const std::string_view prefix : kNewer) {
        if (model.starts_with(prefix)) return "o200k_base";
    }
    return "cl100k_base";
}

namespace {

/// Hangul Jamo, then from the CJK radicals to the Hangul syllables, compatibility and full-width forms,
/// planes 2 and 3.
bool is_cjk(std::uint32_t c) noexcept {
    return (c >= 0x1100 && c <= 0x11FF) || (c >= 0x2E80 && c <= 0xD7FF) || (c >= 0xF900 && c <= 0xFAFF) ||
           (c >= 0xFF00 && c <= 0xFFEF) || (c >= 0x20000 && c <= 0x3FFFF);
}

}  // namespace

std::size_t estimate_tokens(std::string_view text) noexcept {
    constexpr std::uint32_t kLatinEnd = 0x250;
    std::size_t quarters = 0;
    for (std::size_t at = 0; at < text.size();) {
        const CodePoint point = decode_utf8(text, at);
        at += point.length;
        quarters += point.value < kLatinEnd ? 1 : is_cjk(point.value) ? 4 : 2;
    }
    return (quarters + 3) / 4;
}

}  // namespace millrace::text
