// Counting tokens as OpenAI's models do: byte-pair encoding with the published vocabularies.
#pragma once

#include "base/error.hpp"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string_view>
#include <vector>

namespace millrace::text {

/// A byte-pair encoding. Immutable once loaded: any number of threads may use one at once.
///
/// The ids are those of the reference implementation (tiktoken) with special tokens disabled: "<|endoftext|>"
/// in a document is plain text. A piece (a run of letters, say) over 64 KiB is cut every 64 KiB first, which
/// bounds memory to 3 MiB and time to n log n, and can cost one token more per cut. Bytes that are not UTF-8
/// are encoded as they are. Cost: linear in the text, about 10 million tokens a second; n log n within one
/// piece.
class TokenCounter {
  public:
    /// Reads the .tiktoken rank file at `path` for `encoding`, "cl100k_base" or "o200k_base"; takes 20–80 ms.
    /// invalid_input: another encoding. not_found: no such file. corrupt: it isn't a rank file, is cut off,
    /// or belongs to another encoding.
    static Result<std::shared_ptr<const TokenCounter>> load(std::string_view encoding,
                                                            const std::filesystem::path& path);
    ~TokenCounter();

    /// "cl100k_base" or "o200k_base".
    std::string_view encoding() const noexcept;
    std::size_t count(std::string_view text) const;
    std::vector<std::uint32_t> encode(std::string_view text) const;
    /// For each token the offset in `text`, in bytes, just behind it; the last is `text.size()`. A border may
    /// lie inside a character.
    std::vector<std::size_t> token_ends(std::string_view text) const;

  private:
    struct Parts;
    explicit TokenCounter(std::unique_ptr<const Parts> parts);
    std::unique_ptr<const Parts> parts_;
};

/// The encoding that an OpenAI `model` counts by: "cl100k_base" or "o200k_base". Names are matched by their
/// beginning ("gpt-4o-mini-2024-07-18"); an unknown one gets "cl100k_base", which counts more for most texts.
std::string_view encoding_for_model(std::string_view model) noexcept;

/// Tokens of `text` without a vocabulary: four Latin characters count as one token, a Chinese, Japanese or
/// Korean character as one, two characters of other scripts as one, rounded up. Linear, no allocation.
std::size_t estimate_tokens(std::string_view text) noexcept;

}  // namespace millrace::text
