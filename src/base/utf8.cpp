#include "base/utf8.hpp"

#include <cstdint>
#include <utility>

namespace millrace {

namespace {

/// How many bytes follow the lead byte `lead`, or -1.
int utf8_tail(std::uint8_t lead) noexcept {
    if (lead < 0x80) return 0;
    if (lead >= 0xC2 && lead <= 0xDF) return 1;
    if ((lead & 0xF0) == 0xE0) return 2;
    if (lead >= 0xF0 && lead <= 0xF4) return 3;
    return -1;
}

/// The smallest and largest second byte after `lead`: what rules out overlong forms and surrogates.
std::pair<std::uint8_t, std::uint8_t> utf8_second(std::uint8_t lead) noexcept {
    switch (lead) {
        case 0xE0: return {0xA0, 0xBF};
        case 0xED: return {0x80, 0x9F};
        case 0xF0: return {0x90, 0xBF};
        case 0xF4: return {0x80, 0x8F};
        default: return {0x80, 0xBF};
    }
}

}  // namespace

bool is_utf8(std::string_view text) noexcept {
    for (std::size_t i = 0; i < text.size();) {
        const auto lead = static_cast<std::uint8_t>(text[i++]);
        const int tail = utf8_tail(lead);
        if (tail < 0 || text.size() - i < static_cast<std::size_t>(tail)) return false;
        auto [low, high] = utf8_second(lead);
        for (int k = 0; k < tail; ++k) {
            const auto byte = static_cast<std::uint8_t>(text[i++]);
            if (byte < low || byte > high) return false;
            low = 0x80, high = 0xBF;
        }
    }
    return true;
}

std::string_view first_characters(std::string_view text, std::size_t characters_max) noexcept {
    std::size_t characters = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const bool begins = (static_cast<std::uint8_t>(text[i]) & 0xC0) != 0x80;
        if (begins && ++characters > characters_max) return text.substr(0, i);
    }
    return text;
}

}  // namespace millrace
