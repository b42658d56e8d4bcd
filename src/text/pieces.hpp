// The first half of byte-pair encoding: cutting a text into the pieces within which bytes are merged.
#pragma once

#include <cstddef>
#include <string_view>

namespace millrace::text {

/// The end of the piece that begins at `text[begin]`; `begin < text.size()`. The result is greater than
/// `begin`.
using PieceScanner = std::size_t (*)(std::string_view text, std::size_t begin);

/// Matches as the published pattern of cl100k_base does:
/// `'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|
/// ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`. A byte that is not UTF-8 counts as a symbol. Reads
/// each byte a bounded number of times whatever the text: this is why it is written by hand and not left to a
/// backtracking matcher. Any thread.
std::size_t scan_cl100k(std::string_view text, std::size_t begin);

/// The same for o200k_base, whose words are `[^\r\n\p{L}\p{N}]?U*L+S?` or else `[^\r\n\p{L}\p{N}]?U+L*S?`
/// with U = `[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]`, L = `[\p{Ll}\p{Lm}\p{Lo}\p{M}]`, S =
/// `(?i:'s|'t|'re|'ve|'m|'ll|'d)`.
std::size_t scan_o200k(std::string_view text, std::size_t begin);

}  // namespace millrace::text
