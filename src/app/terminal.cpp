#include "app/terminal.hpp"

#include "text/utf8.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace millrace::app {

namespace {

constexpr int kColumnsMin = 60;
constexpr int kColumnsMax = 120;

bool is_set(const char* name) {
    const char* value = std::getenv(name);
    return value != nullptr && *value != '\0';
}

bool names_utf8(const char* name) {
    const char* value = std::getenv(name);
    if (value == nullptr || *value == '\0') return false;
    const std::string_view text(value);
    return text.find("UTF-8") != std::string_view::npos || text.find("utf8") != std::string_view::npos;
}

int width_of_terminal() {
    winsize size{};
    if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
    const char* columns = std::getenv("COLUMNS");
    int width = 0;
    if (columns != nullptr) std::from_chars(columns, columns + std::strlen(columns), width);
    return width;
}

bool is_wide(std::uint32_t c) noexcept {
    return (c >= 0x1100 && c <= 0x115F) || (c >= 0x2E80 && c <= 0xA4CF) || (c >= 0xAC00 && c <= 0xD7A3) ||
           (c >= 0xF900 && c <= 0xFAFF) || (c >= 0xFE30 && c <= 0xFE6F) || (c >= 0xFF00 && c <= 0xFF60) ||
           (c >= 0x1F300 && c <= 0x1FAFF) || (c >= 0x20000 && c <= 0x3FFFD);
}

std::size_t width_of(std::uint32_t c) noexcept {
    const bool joins = (c >= 0x300 && c <= 0x36F) || (c >= 0x200B && c <= 0x200F) || c == 0xFE0F;
    return joins || c < 0x20 ? 0 : is_wide(c) ? 2 : 1;
}

/// Bytes of `text` that fit on `width` columns.
std::size_t prefix_bytes(std::string_view text, std::size_t width) noexcept {
    std::size_t used = 0, at = 0;
    while (at < text.size()) {
        const auto point = text::decode_utf8(text, at);
        const std::size_t columns = width_of(point.value);
        if (used + columns > width) break;
        used += columns;
        at += point.length;
    }
    return at;
}

constexpr std::size_t kSpacesMax = 4096;

std::string spaces(std::size_t count) { return std::string(std::min(count, kSpacesMax), ' '); }

std::string_view ellipsis(bool utf8) { return utf8 ? "…" : ".."; }

}  // namespace

Terminal Terminal::detect() {
    Terminal terminal;
    const char* kind = std::getenv("TERM");
    const bool dumb = kind == nullptr || std::string_view(kind) == "dumb";
    terminal.moving = ::isatty(STDOUT_FILENO) == 1 && !dumb;
    terminal.colour = terminal.moving && !is_set("NO_COLOR");
    const char* governs = is_set("LC_ALL") ? "LC_ALL" : is_set("LC_CTYPE") ? "LC_CTYPE" : "LANG";
    terminal.utf8 = names_utf8(governs);
    const int columns = width_of_terminal();
    if (columns > 0) terminal.columns = std::clamp(columns, kColumnsMin, kColumnsMax);
    return terminal;
}

std::string Terminal::styled(std::string_view code, std::string_view text) const {
    if (!colour) return std::string(text);
    return "\x1b[" + std::string(code) + "m" + std::string(text) + "\x1b[0m";
}

std::size_t display_width(std::string_view text) noexcept {
    std::size_t width = 0;
    for (std::size_t at = 0; at < text.size();) {
        const auto point = text::decode_utf8(text, at);
        width += width_of(point.value);
        at += point.length;
    }
    return width;
}

std::string fit(std::string_view text, std::size_t width, bool utf8) {
    const std::size_t needed = display_width(text);
    if (needed <= width) return std::string(text) + spaces(width - needed);
    const std::string_view dots = width >= 2 ? ellipsis(utf8) : "";
    const std::size_t room = width - display_width(dots);
    std::string cut(text.substr(0, prefix_bytes(text, room)));
    cut += dots;
    const std::size_t got = display_width(cut);
    return got < width ? cut + spaces(width - got) : cut;
}

std::string one_line(std::string_view text) {
    std::string line;
    bool space = false;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (c == ' ' || c == '\n' || c == '\t' || c == '\r') {
            space = !line.empty();
        } else if (byte >= 0x20 && byte != 0x7f) {
            if (space) line += ' ';
            space = false;
            line += c;
        }
    }
    return line;
}

namespace {

/// `line` with " …" at its end, without its last words where there is no room for that.
std::string with_dots(std::string line, std::size_t width, bool utf8) {
    const std::string dots = " " + std::string(ellipsis(utf8));
    while (display_width(line + dots) > width) {
        const std::size_t space = line.rfind(' ');
        if (space == std::string::npos) return fit(line + dots, width, utf8);
        line.resize(space);
    }
    return line + dots;
}

}  // namespace

std::vector<std::string> wrap(std::string_view text, std::size_t width, std::size_t lines_max, bool utf8) {
    const std::string words = one_line(text);
    std::vector<std::string> lines(1);
    std::size_t used = 0;
    for (std::size_t at = 0; at < words.size();) {
        const std::size_t end = std::min(words.find(' ', at), words.size());
        const std::string_view word = std::string_view(words).substr(at, end - at);
        const std::size_t columns = display_width(word);
        if (used > 0 && used + 1 + columns > width) {
            if (lines.size() == lines_max) {
                lines.back() = with_dots(std::move(lines.back()), width, utf8);
                return lines;
            }
            lines.emplace_back();
            used = 0;
        }
        if (used > 0) lines.back() += ' ', ++used;
        lines.back() += columns > width ? fit(word, width, utf8) : std::string(word);
        used += std::min(columns, width);
        at = end + 1;
    }
    return lines;
}

std::string bytes_text(std::uint64_t bytes) {
    char text[32];
    if (bytes >= 10'000'000)
        std::snprintf(text, sizeof text, "%.0f MB", static_cast<double>(bytes) / 1e6);
    else if (bytes >= 1'000'000)
        std::snprintf(text, sizeof text, "%.1f MB", static_cast<double>(bytes) / 1e6);
    else if (bytes >= 1000)
        std::snprintf(text, sizeof text, "%.0f KB", static_cast<double>(bytes) / 1e3);
    else
        std::snprintf(text, sizeof text, "%u bytes", static_cast<unsigned>(bytes));
    return text;
}

std::string time_text(double seconds) {
    char text[48];
    const auto whole = static_cast<long>(seconds + 0.5);
    if (seconds < 1)
        std::snprintf(text, sizeof text, "%.0f ms", seconds * 1000);
    else if (seconds < 60)
        std::snprintf(text, sizeof text, "%.1f s", seconds);
    else if (seconds < 3600)
        std::snprintf(text, sizeof text, "%ld min %ld s", whole / 60, whole % 60);
    else
        std::snprintf(text, sizeof text, "%ld h %ld min", whole / 3600, whole % 3600 / 60);
    return text;
}

std::string count_text(std::uint64_t number) {
    std::string digits = std::to_string(number);
    for (std::size_t at = digits.size(); at > 3;) digits.insert(at -= 3, 1, ',');
    return digits;
}

std::string counted(std::uint64_t number, std::string_view noun) {
    return count_text(number) + " " + std::string(noun) + (number == 1 ? "" : "s");
}

}  // namespace millrace::app
