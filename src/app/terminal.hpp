// What the screen can show: width, colour, and text that fits.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::app {

/// What standard output is. A pipe gets neither colour nor moving lines.
struct Terminal {
    bool moving = false;   ///< lines can be drawn over
    bool colour = false;   ///< NO_COLOR is not set
    bool utf8 = false;     ///< block characters can be shown
    int columns = 100;

    /// Asks the system about standard output.
    static Terminal detect();

    std::string bold(std::string_view text) const { return styled("1", text); }
    std::string dim(std::string_view text) const { return styled("2", text); }
    std::string red(std::string_view text) const { return styled("31", text); }
    std::string accent(std::string_view text) const { return styled("36", text); }

  private:
    std::string styled(std::string_view code, std::string_view text) const;
};

/// Columns that UTF-8 text takes: wide characters count 2, combining ones 0. Escape sequences are not
/// understood.
std::size_t display_width(std::string_view text) noexcept;

/// `text` on exactly `width` columns: cut with "…" (or "..") or filled with spaces.
std::string fit(std::string_view text, std::size_t width, bool utf8 = true);
/// `text` as one line: runs of white space become one space, other control characters vanish.
std::string one_line(std::string_view text);
/// Words of `text` on lines of at most `width` columns, at most `lines_max` of them; the last one ends with
/// "…" if more would come.
std::vector<std::string> wrap(std::string_view text, std::size_t width, std::size_t lines_max,
                              bool utf8 = true);

/// "1.4 MB", "12 KB", "7 bytes".
std::string bytes_text(std::uint64_t bytes);
/// "340 ms", "4.2 s", "3 min 20 s", "2 h 5 min".
std::string time_text(double seconds);
/// "1,234,567".
std::string count_text(std::uint64_t number);
/// "1 file", "3 files".
std::string counted(std::uint64_t number, std::string_view noun);

}  // namespace millrace::app
