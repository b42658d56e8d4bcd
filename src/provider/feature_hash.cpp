#include "provider/feature_hash.hpp"

#include "provider/feature_hash_words.hpp"

#include <libstemmer.h>

#include <bit>
#include <cassert>
#include <cmath>
#include <new>

// The same bits on every machine: no processor fuses a multiplication and an addition into one here.
#pragma GCC optimize("fp-contract=off")

namespace millrace::provider {

namespace {

// Found by known-item search over 2,886 manual pages: docs/local-model.md.
constexpr float kWordWeight = 1.0f;
constexpr float kPairWeight = 0.4f;
constexpr float kPieceWeight = 0.35f;
constexpr std::size_t kPieceCharactersMax = 48;  ///< of one word: what is longer is data rather than language

/// FNV-1a, 64 bits (G. Fowler, L. Noll, K.-P. Vo), started from `seed`.
std::uint64_t hash_bytes(std::string_view bytes, std::uint64_t seed) {
    std::uint64_t hash = 0xcbf29ce484222325u ^ seed;
    for (const char byte : bytes) hash = (hash ^ static_cast<unsigned char>(byte)) * 0x100000001b3u;
    return hash;
}

/// Spreads the bits of a hash whose low bits are poor: the finalizer of SplitMix64 (S. Vigna).
std::uint64_t mix(std::uint64_t hash) {
    hash = (hash ^ (hash >> 30)) * 0xbf58476d1ce4e5b9u;
    hash = (hash ^ (hash >> 27)) * 0x94d049bb133111ebu;
    return hash ^ (hash >> 31);
}

/// Of one piece of a word of `characters`: long words have many, which would drown the short ones.
float piece_weight(std::size_t characters, std::size_t shortest, std::size_t longest) {
    std::size_t pieces = 0;
    for (std::size_t size = shortest; size <= longest; ++size)
        pieces += characters >= size ? characters - size + 1 : 0;
    constexpr float usual = 7;  // a word of six letters
    return pieces == 0 ? 0 : kPieceWeight * std::sqrt(std::sqrt(usual / static_cast<float>(pieces)));
}

constexpr std::uint64_t kWordSeed = 0x77;
constexpr std::uint64_t kPieceSeed = 0x9e3779b97f4a7c15u;

}  // namespace

void FeatureHash::Stemmer::operator()(sb_stemmer* stemmer) const noexcept { sb_stemmer_delete(stemmer); }

FeatureHash::FeatureHash(std::size_t dimensions)
    : dimensions_(dimensions), stemmer_(sb_stemmer_new("english", "UTF_8")), slots_(2048) {
    assert(std::has_single_bit(dimensions) && dimensions >= 64 && dimensions <= 1u << 20);
    assert(stemmer_);
}

FeatureHash::~FeatureHash() = default;

std::size_t FeatureHash::embed(std::string_view text, std::span<float> vector) {
    assert(vector.size() == dimensions_);
    const std::string_view folded = fold(text);
    clear();
    scan(folded, false);
    const std::size_t words = words_;
    if (features_.empty()) {
        clear();
        scan(folded, true);
    }
    if (features_.empty()) add(hash_bytes(text, kWordSeed), kWordWeight);
    project(vector);
    return words;
}

void FeatureHash::clear() {
    features_.clear();
    std::fill(slots_.begin(), slots_.end(), 0);
    previous_word_ = 0;
    words_ = 0;
}

std::string_view FeatureHash::fold(std::string_view text) {
    fold_case(text, folded_);
    return folded_;
}

void FeatureHash::scan(std::string_view folded, bool keep_stop_words) {
    for_each_word(folded, [&](std::string_view word, bool ideographic) {
        ++words_;
        add_word(word, ideographic, keep_stop_words);
    });
}

void FeatureHash::add_word(std::string_view word, bool ideographic, bool keep_stop_words) {
    if (ideographic) return add_pieces(word, 1, 2);
    if (!keep_stop_words && is_stop_word(word)) return;
    const std::uint64_t hash = hash_bytes(stem(word), kWordSeed);
    add(hash, kWordWeight);
    if (previous_word_ != 0) add(previous_word_ * 31 + hash, kPairWeight);
    previous_word_ = hash;
    add_pieces(word, 3, 4);
}

void FeatureHash::add_pieces(std::string_view word, std::size_t shortest, std::size_t longest) {
    characters_.clear();
    for (std::size_t at = 0; at < word.size() && characters_.size() < kPieceCharactersMax; ++at) {
        if ((static_cast<unsigned char>(word[at]) & 0xc0) != 0x80) characters_.push_back(at);
    }
    const std::size_t count = characters_.size();
    characters_.push_back(count == kPieceCharactersMax ? characters_.back() : word.size());
    const float weight = piece_weight(count, shortest, longest);
    for (std::size_t size = shortest; size <= longest; ++size) {
        for (std::size_t first = 0; first + size <= count; ++first) {
            const std::size_t start = characters_[first];
            const std::string_view piece = word.substr(start, characters_[first + size] - start);
            add(hash_bytes(piece, kPieceSeed), weight);
        }
    }
}

void FeatureHash::add(std::uint64_t hash, float weight) {
    if (2 * (features_.size() + 1) > slots_.size()) grow();
    const std::uint64_t mixed = mix(hash);
    const std::size_t mask = slots_.size() - 1;
    std::size_t at = mixed & mask;
    while (slots_[at] != 0) {
        Feature& feature = features_[slots_[at] - 1];
        if (feature.hash == mixed) {
            ++feature.count;
            return;
        }
        at = (at + 1) & mask;
    }
    features_.push_back({mixed, weight, 1});
    slots_[at] = static_cast<std::uint32_t>(features_.size());
}

void FeatureHash::grow() {
    slots_.assign(2 * slots_.size(), 0);
    const std::size_t mask = slots_.size() - 1;
    for (std::uint32_t i = 0; i < features_.size(); ++i) {
        std::size_t at = features_[i].hash & mask;
        while (slots_[at] != 0) at = (at + 1) & mask;
        slots_[at] = i + 1;
    }
}

std::string_view FeatureHash::stem(std::string_view word) {
    const auto* symbols = reinterpret_cast<const sb_symbol*>(word.data());
    const sb_symbol* stemmed = sb_stemmer_stem(stemmer_.get(), symbols, static_cast<int>(word.size()));
    if (stemmed == nullptr) throw std::bad_alloc();
    const int size = sb_stemmer_length(stemmer_.get());
    return {reinterpret_cast<const char*>(stemmed), static_cast<std::size_t>(size)};
}

void FeatureHash::project(std::span<float> vector) const {
    std::fill(vector.begin(), vector.end(), 0.0f);
    const std::size_t mask = dimensions_ - 1;
    for (const Feature& feature : features_) {
        const float weight = feature.weight * std::sqrt(static_cast<float>(feature.count));
        // Two places each: that two features share both, and so look alike, is rare.
        vector[feature.hash >> 20 & mask] += feature.hash >> 63 != 0 ? -weight : weight;
        vector[feature.hash >> 40 & mask] += (feature.hash >> 62 & 1) != 0 ? -weight : weight;
    }
    float square = 0;
    for (const float x : vector) square += x * x;
    if (square == 0) {  // the features of a very short text may cancel out
        vector[features_.front().hash >> 20 & mask] = square = 1;
    }
    const float scale = 1 / std::sqrt(square);
    for (float& x : vector) x *= scale;
}

}  // namespace millrace::provider
