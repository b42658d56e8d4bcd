#include "base/nearest.hpp"

#include <algorithm>
#include <vector>

namespace millrace {

namespace {

constexpr std::size_t kWordBytesMax = 64;

char folded(char c) noexcept {
    if (c == '-' || c == ' ') return '_';
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

}  // namespace

std::size_t edit_distance(std::string_view a, std::string_view b) {
    std::vector<std::size_t> before_last(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
    for (std::size_t j = 0; j <= b.size(); ++j) last[j] = j;
    for (std::size_t i = 1; i <= a.size(); ++i) {
        row[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            const bool same = folded(a[i - 1]) == folded(b[j - 1]);
            row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (same ? 0 : 1)});
            const bool swapped = i > 1 && j > 1 && folded(a[i - 1]) == folded(b[j - 2]) &&
                                 folded(a[i - 2]) == folded(b[j - 1]);
            if (swapped) row[j] = std::min(row[j], before_last[j - 2] + 1);
        }
        std::swap(before_last, last);
        std::swap(last, row);
    }
    return last[b.size()];
}

std::string_view nearest(std::string_view word, std::span<const std::string_view> known) {
    if (word.empty() || word.size() > kWordBytesMax) return {};
    std::string_view best;
    std::size_t best_distance = std::max<std::size_t>(2, word.size() / 3) + 1;
    for (const std::string_view candidate : known) {
        const std::size_t distance = edit_distance(word, candidate);
        const bool nearer = distance < best_distance && distance < candidate.size();
        if (!nearer) continue;
        best = candidate;
        best_distance = distance;
    }
    return best;
}

std::string hint(std::string_view word, std::span<const std::string_view> known) {
    const std::string_view meant = nearest(word, known);
    if (!meant.empty()) return " (did you mean \"" + std::string(meant) + "\"?)";
    std::string text = " (known: ";
    for (const std::string_view name : known) {
        if (name != known.front()) text += ", ";
        text += name;
    }
    return text + ")";
}

}  // namespace millrace
