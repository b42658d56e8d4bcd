#include "base/trace_context.hpp"

#include <algorithm>

namespace millrace {

namespace {

bool is_hex(std::string_view text) {
    return std::all_of(text.begin(), text.end(),
                       [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

bool is_id(std::string_view text) { return is_hex(text) && text.find_first_not_of('0') != text.npos; }

bool is_sampled(char digit) { return ((digit <= '9' ? digit - '0' : digit - 'a' + 10) & 1) != 0; }

}  // namespace

std::optional<TraceContext> TraceContext::parse(std::string_view text) noexcept {
    constexpr std::size_t kLength = std::tuple_size_v<decltype(text_)>;
    if (text.size() < kLength) return std::nullopt;
    const std::string_view version = text.substr(0, 2);
    const bool known = version == "00";
    if (!is_hex(version) || version == "ff") return std::nullopt;
    if (text.size() > kLength && (known || text[kLength] != '-')) return std::nullopt;
    if (text[2] != '-' || text[35] != '-' || text[52] != '-') return std::nullopt;
    const std::string_view flags = text.substr(53, 2);
    if (!is_id(text.substr(3, 32)) || !is_id(text.substr(36, 16)) || !is_hex(flags)) return std::nullopt;
    TraceContext context;
    std::copy_n(text.begin(), kLength, context.text_.begin());
    if (!known) {
        // Of a later version's flags only "sampled" is known.
        context.text_[0] = context.text_[1] = context.text_[53] = '0';
        context.text_[54] = is_sampled(flags[1]) ? '1' : '0';
    }
    return context;
}

}  // namespace millrace
