// Universal Sentence Encoder Lite: a transformer of two blocks that turns an English sentence or short
// passage into 512 numbers, near each other for near meanings. D. Cer et al., "Universal Sentence Encoder",
// 2018. Computed in single precision; equal within 1e-5 to the TensorFlow.js model whose weights it uses
// (docs/local-model.md).
#pragma once

#include "base/error.hpp"
#include "provider/unigram.hpp"
#include "provider/use_lite_product.hpp"

#include <array>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::provider {

class WeightsFile;

/// Immutable once loaded: safe to share between threads. About 28 MB.
class UseLite {
  public:
    static constexpr std::size_t kDimensions = 512;
    static constexpr std::size_t kPiecesMax = 128;         ///< what comes after is not read
    static constexpr std::size_t kTextBytesMax = 16'384;   ///< nor cut into pieces

    /// Reads "use_lite.weights" and "use_lite.vocab" in `folder`. Errors: those of `WeightsFile` and
    /// `Unigram`.
    static Result<UseLite> load(const std::filesystem::path& folder);

    /// Writes the unit vector of each non-empty UTF-8 text to the span of the same index, which has
    /// `kDimensions` places. Returns the number of pieces read. A text's vector is the same, bit for bit, in
    /// any company; short texts are cheaper in company. docs/local-model.md has the times.
    std::size_t embed(std::span<const std::string_view> texts,
                      std::span<const std::span<float>> vectors) const;

    /// The ids of the pieces that the model reads of `text`.
    std::vector<std::int32_t> pieces(std::string_view text) const;

  private:
    struct Norm {
        std::vector<float> scale;
        std::vector<float> bias;
    };
    struct Dense {
        PackedMatrix kernel;
        std::vector<float> bias;
    };
    struct Block {
        std::size_t width = 0;  ///< of its input; its output has kDimensions
        Norm attention_norm;
        Dense qkv;  ///< queries, keys and values side by side
        Dense out;
        Norm ffn_norm;
        Dense ffn_in;
        Dense ffn_out;
    };
    class Loader;
    struct Workspace;

    UseLite() = default;
    void run(std::span<const std::span<float>> vectors, Workspace& work) const;
    void look_up(std::span<const std::int32_t> ids, Workspace& work) const;
    void run_block(const Block& block, const Dense* residual, Workspace& work) const;
    void attend(std::size_t width, std::size_t first, std::size_t rows, Workspace& work) const;
    void pool(const float* state, std::size_t rows, std::span<float> vector) const;

    Unigram unigram_;
    std::vector<float> embedding_;  ///< a row of 256 per piece
    std::vector<float> positions_;  ///< a row of 256 per place in the text
    Dense residual_;  ///< carries the first block's 256 wide input past it, 512 wide
    std::array<Block, 2> blocks_;
    Dense head_;
};

}  // namespace millrace::provider
