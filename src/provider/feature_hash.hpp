// A text as a bag of hashed features: words, word pairs and pieces of words. Finds names and rare terms;
// knows no synonyms. After K. Weinberger et al., "Feature Hashing for Large Scale Multitask Learning", ICML
// 2009.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

struct sb_stemmer;

namespace millrace::provider {

/// Turns texts into vectors. Two objects of the same dimension agree on every bit, on every machine: the
/// features are added in the order of the text, in single precision, and their hash is our own. Not for two
/// threads at once; making one costs a few microseconds.
class FeatureHash {
  public:
    /// `dimensions` is a power of two from 64 to 2^20.
    explicit FeatureHash(std::size_t dimensions);
    ~FeatureHash();
    FeatureHash(const FeatureHash&) = delete;

    std::size_t dimensions() const noexcept { return dimensions_; }

    /// Writes the unit vector of a non-empty UTF-8 `text` to `vector`, which has `dimensions()` places.
    /// Returns the number of words, stop words included. Bytes that are no UTF-8 separate words. A text
    /// without any word still gets a vector of its own.
    std::size_t embed(std::string_view text, std::span<float> vector);

  private:
    struct Feature {
        std::uint64_t hash;
        float weight;
        std::uint32_t count;
    };
    struct Stemmer {
        void operator()(sb_stemmer* stemmer) const noexcept;
    };

    std::string_view fold(std::string_view text);
    void add_word(std::string_view word, bool ideographic, bool keep_stop_words);
    void add_pieces(std::string_view word, std::size_t shortest, std::size_t longest);
    void add(std::uint64_t hash, float weight);
    void grow();
    std::string_view stem(std::string_view word);
    void clear();
    void scan(std::string_view folded, bool keep_stop_words);
    void project(std::span<float> vector) const;

    std::size_t dimensions_;
    std::unique_ptr<sb_stemmer, Stemmer> stemmer_;
    std::string folded_;                   ///< the text in lower case
    std::vector<Feature> features_;        ///< in the order in which the text shows them first
    std::vector<std::uint32_t> slots_;     ///< hash table over `features_`: index + 1, 0 is free
    std::vector<std::size_t> characters_;  ///< where the characters of the word at hand start
    std::uint64_t previous_word_ = 0;      ///< hash of the word before, 0 at the start
    std::size_t words_ = 0;
};

}  // namespace millrace::provider
