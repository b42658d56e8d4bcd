#include "store/dialect.hpp"

#include "base/utf8.hpp"

#include <algorithm>
#include <charconv>

namespace millrace::store {

namespace {

constexpr std::string_view kReplacement = "\xef\xbf\xbd";

/// Length of the UTF-8 sequence that `text` begins with; 0 if it is none.
std::size_t sequence_length(std::string_view text) {
    for (std::size_t length = 1; length <= std::min<std::size_t>(4, text.size()); ++length) {
        if (is_utf8(text.substr(0, length))) return length;
    }
    return 0;
}

}  // namespace

std::string to_postgres(std::string_view sql) {
    std::string out;
    out.reserve(sql.size() + 16);
    int highest = 0;
    char quote = 0;
    for (std::size_t i = 0; i < sql.size(); ++i) {
        const char c = sql[i];
        if (quote != 0 || c != '?') {
            if (quote == 0 && (c == '\'' || c == '"'))
                quote = c;
            else if (c == quote)
                quote = 0;
            out += c;
            continue;
        }
        int number = 0;
        const auto [end, error] = std::from_chars(sql.data() + i + 1, sql.data() + sql.size(), number);
        if (error == std::errc())
            i = static_cast<std::size_t>(end - sql.data()) - 1;
        else
            number = highest + 1;
        highest = std::max(highest, number);
        out += '$';
        out += std::to_string(number);
    }
    return out;
}

std::string_view to_postgres_text(std::string_view text, std::string& buffer) {
    if (is_utf8(text) && text.find('\0') == std::string_view::npos) return text;
    buffer.clear();
    while (!text.empty()) {
        const std::size_t length = text.front() == '\0' ? 0 : sequence_length(text);
        buffer += length == 0 ? kReplacement : text.substr(0, length);
        text.remove_prefix(std::max<std::size_t>(1, length));
    }
    return buffer;
}

}  // namespace millrace::store
