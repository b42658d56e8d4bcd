#include "text/utf8.hpp"

#include <cstring>

namespace millrace::text {
namespace {

constexpr CodePoint kInvalid{0xFFFD, 1, false};

std::uint8_t byte_at(std::string_view text, std::size_t at) noexcept {
    return at < text.size() ? static_cast<std::uint8_t>(text[at]) : 0;
}

bool is_continuation(std::uint8_t byte) noexcept { return (byte & 0xC0) == 0x80; }

}  // namespace

CodePoint decode_utf8(std::string_view text, std::size_t at) noexcept {
    const std::uint8_t a = byte_at(text, at);
    if (a < 0x80) return {a, 1, true};
    if (a < 0xC2 || a > 0xF4) return kInvalid;
    const std::uint8_t b = byte_at(text, at + 1);
    if (!is_continuation(b)) return kInvalid;
    if (a < 0xE0) return {(a & 0x1Fu) << 6 | (b & 0x3Fu), 2, true};
    const std::uint8_t c = byte_at(text, at + 2);
    if (!is_continuation(c)) return kInvalid;
    if (a < 0xF0) {
        if ((a == 0xE0 && b < 0xA0) || (a == 0xED && b > 0x9F)) return kInvalid;
        return {(a & 0x0Fu) << 12 | (b & 0x3Fu) << 6 | (c & 0x3Fu), 3, true};
    }
    const std::uint8_t d = byte_at(text, at + 3);
    if (!is_continuation(d) || (a == 0xF0 && b < 0x90) || (a == 0xF4 && b > 0x8F)) return kInvalid;
    return {(a & 0x07u) << 18 | (b & 0x3Fu) << 12 | (c & 0x3Fu) << 6 | (d & 0x3Fu), 4, true};
}

std::size_t find_invalid_utf8(std::string_view text) noexcept {
    std::size_t at = 0;
    while (at < text.size()) {
        std::uint64_t eight;
        if (at + sizeof eight <= text.size()) {
            std::memcpy(&eight, text.data() + at, sizeof eight);
            if ((eight & 0x8080808080808080u) == 0) {
                at += sizeof eight;
                continue;
            }
        }
        const CodePoint point = decode_utf8(text, at);
        if (!point.valid) return at;
        at += point.length;
    }
    return std::string_view::npos;
}

void append_utf8(std::string& out, std::uint32_t code_point) {
    const auto put = [&out](std::uint32_t byte) { out.push_back(static_cast<char>(byte)); };
    if (code_point < 0x80) {
        put(code_point);
    } else if (code_point < 0x800) {
        put(0xC0 | code_point >> 6);
        put(0x80 | (code_point & 0x3F));
    } else if (code_point < 0x10000) {
        put(0xE0 | code_point >> 12);
        put(0x80 | (code_point >> 6 & 0x3F));
        put(0x80 | (code_point & 0x3F));
    } else {
        put(0xF0 | code_point >> 18);
        put(0x80 | (code_point >> 12 & 0x3F));
        put(0x80 | (code_point >> 6 & 0x3F));
        put(0x80 | (code_point & 0x3F));
    }
}

std::size_t floor_utf8(std::string_view text, std::size_t at) noexcept {
    if (at >= text.size()) return text.size();
    // Three steps back at most, so that a run of stray continuation bytes cannot pull the border far away.
    for (std::size_t back = 0; back < 4 && back <= at; ++back) {
        if (!is_continuation(byte_at(text, at - back))) return at - back;
    }
    return at;
}

std::string_view trim(std::string_view text) noexcept {
    while (!text.empty() && is_ascii_space(text.front())) text.remove_prefix(1);
    while (!text.empty() && is_ascii_space(text.back())) text.remove_suffix(1);
    return text;
}

}  // namespace millrace::text
