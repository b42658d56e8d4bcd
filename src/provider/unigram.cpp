#include "provider/unigram.hpp"

#include <unicode/bytestream.h>
#include <unicode/normalizer2.h>
#include <unicode/stringpiece.h>
#include <unicode/utf8.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fstream>
#include <limits>
#include <stdexcept>
#include <tuple>

namespace millrace::provider {

namespace {

constexpr std::string_view kSpace = "\u2581";
constexpr std::size_t kReserved = 6;

Error corrupt(const std::filesystem::path& path, std::size_t line, const char* what) {
    return {Errc::corrupt, path.string() + ": line " + std::to_string(line) + " " + what +
                               "; run tools/fetch_assets.py again"};
}

/// NFKC, then every space, and one more before the text, as the mark that pieces start words with.
std::string prepare(std::string_view text) {
    UErrorCode status = U_ZERO_ERROR;
    const icu::Normalizer2* nfkc = icu::Normalizer2::getNFKCInstance(status);
    if (U_FAILURE(status)) throw std::runtime_error("ICU: the data for NFKC is missing");
    std::string normal;
    icu::StringByteSink<std::string> sink(&normal, static_cast<std::int32_t>(text.size()));
    const icu::StringPiece source(text.data(), static_cast<std::int32_t>(text.size()));
    nfkc->normalizeUTF8(0, source, sink, nullptr, status);
    if (U_FAILURE(status)) throw std::bad_alloc();

    std::string prepared;
    prepared.reserve(normal.size() + normal.size() / 4 + kSpace.size());
    if (!normal.empty()) prepared = kSpace;
    for (const char c : normal) {
        if (c == ' ') {
            prepared += kSpace;
        } else {
            prepared += c;
        }
    }
    return prepared;
}

}  // namespace

Result<Unigram> Unigram::load(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) return Error{Errc::not_found, path.string() + ": no such file; run tools/fetch_assets.py"};
    Unigram unigram;
    std::vector<Entry> entries;
    std::string line;
    for (std::size_t number = 1; std::getline(file, line); ++number) {
        const std::size_t tab = line.find('\t');
        if (tab == std::string::npos || tab + 1 == line.size())
            return corrupt(path, number, "is not score, tab, piece");
        double score = 0;
        const auto [end, error] = std::from_chars(line.data(), line.data() + tab, score);
        if (error != std::errc() || end != line.data() + tab || !std::isfinite(score))
            return corrupt(path, number, "has no score");
        if (number > kReserved)
            entries.push_back({line.substr(tab + 1), static_cast<std::int32_t>(number - 1)});
        unigram.scores_.push_back(score);
        if (number > std::numeric_limits<std::int16_t>::max())
            return corrupt(path, number, "is one too many");
    }
    if (entries.empty()) return corrupt(path, unigram.scores_.size(), "is the last, before the first piece");
    unigram.build(std::move(entries));
    return unigram;
}

void Unigram::build(std::vector<Entry> entries) {
    auto before = [](const Entry& a, const Entry& b) {
        return std::tie(a.piece, a.id) < std::tie(b.piece, b.id);
    };
    std::sort(entries.begin(), entries.end(), before);
    struct Range {
        std::size_t begin, end, depth;  ///< the entries that share the first `depth` bytes
    };
    std::vector<Range> ranges = {{0, entries.size(), 0}};
    for (std::size_t n = 0; n < ranges.size(); ++n) {
        auto [at, end, depth] = ranges[n];
        Node node;
        for (; at < end && entries[at].piece.size() == depth; ++at) node.piece = entries[at].id;
        node.edges_begin = static_cast<std::uint32_t>(edges_.size());
        while (at < end) {
            const char byte = entries[at].piece[depth];
            const std::size_t first = at;
            while (at < end && entries[at].piece[depth] == byte) ++at;
            edges_.push_back({static_cast<unsigned char>(byte), static_cast<std::uint32_t>(ranges.size())});
            ranges.push_back({first, at, depth + 1});
        }
        node.edges_end = static_cast<std::uint32_t>(edges_.size());
        nodes_.push_back(node);
    }
}

const Unigram::Edge* Unigram::edge(const Node& node, unsigned char byte) const noexcept {
    const Edge* begin = edges_.data() + node.edges_begin;
    const Edge* end = edges_.data() + node.edges_end;
    auto before = [](const Edge& edge, unsigned char value) { return edge.byte < value; };
    const Edge* found = std::lower_bound(begin, end, byte, before);
    return found != end && found->byte == byte ? found : nullptr;
}

void Unigram::leave(std::string_view text, std::size_t start, std::size_t next,
                    std::vector<Arrival>& arrivals) const {
    const double before = arrivals[start].score;
    auto arrive = [&](std::size_t end, double score, std::int32_t piece) {
        Arrival& best = arrivals[end];
        // A total of 0 counts as "nothing arrived yet" in the original, and of two equals the later start
        // wins.
        if (best.score == 0 || score >= best.score) best = {score, static_cast<std::uint32_t>(start), piece};
    };
    bool covered = false;
    const Node* node = &nodes_.front();
    for (std::size_t at = start; at < text.size();) {
        const Edge* found = edge(*node, static_cast<unsigned char>(text[at]));
        if (found == nullptr) break;
        node = &nodes_[found->node];
        ++at;
        if (node->piece < 0) continue;
        covered = true;
        arrive(at, before + scores_[static_cast<std::size_t>(node->piece)], node->piece);
    }
    if (!covered) arrive(next, before, kUnknown);
}

std::vector<std::int32_t> Unigram::encode(std::string_view text) const {
    const std::string prepared = prepare(text);
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(prepared.data());
    const auto size = static_cast<std::int32_t>(prepared.size());
    std::vector<Arrival> arrivals(prepared.size() + 1);
    for (std::int32_t at = 0; at < size;) {  // what nothing reaches is an unknown character
        const std::int32_t start = at;
        U8_FWD_1(bytes, at, size);
        arrivals[static_cast<std::size_t>(at)].start = static_cast<std::uint32_t>(start);
    }
    for (std::int32_t at = 0; at < size;) {
        const std::int32_t start = at;
        U8_FWD_1(bytes, at, size);
        leave(prepared, static_cast<std::size_t>(start), static_cast<std::size_t>(at), arrivals);
    }
    std::vector<std::int32_t> ids;
    for (std::size_t at = prepared.size(); at > 0; at = arrivals[at].start) {
        const std::int32_t piece = arrivals[at].piece;
        if (piece != kUnknown || ids.empty() || ids.back() != kUnknown) ids.push_back(piece);
    }
    std::reverse(ids.begin(), ids.end());
    return ids;
}

}  // namespace millrace::provider
