// The known word that a misspelt one most likely means, for messages that help.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace millrace {

/// Edit distance (insert, delete, replace, swap neighbours: 1 each) between two words, ASCII case ignored;
/// '-', '_' and ' ' count as equal. O(|a|·|b|).
std::size_t edit_distance(std::string_view a, std::string_view b);

/// The word of `known` nearest to `word`, or "" when none is near enough to be meant. Words longer than 64
/// bytes have no nearest.
std::string_view nearest(std::string_view word, std::span<const std::string_view> known);

/// " (did you mean \"x\"?)" for the nearest word, else " (known: a, b, c)".
std::string hint(std::string_view word, std::span<const std::string_view> known);

}  // namespace millrace
