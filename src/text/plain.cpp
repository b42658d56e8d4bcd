// Plain text: kept as it stands; headings are found where the layout shows them beyond doubt.
#include "text/readers.hpp"
#include "text/utf8.hpp"

#include <algorithm>
#include <string>
#include <vector>

namespace millrace::text {
namespace {

constexpr std::size_t kHeadingBytesMax = 120;
constexpr std::size_t kTitleBytesMax = 100;

std::vector<std::string_view> split_lines(std::string_view text) {
    std::vector<std::string_view> lines;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find_first_of("\r\n"), text.size());
        lines.push_back(text.substr(0, end));
        const std::size_t skip = text.substr(end).starts_with("\r\n") ? 2 : 1;
        text.remove_prefix(std::min(text.size(), end + skip));
    }
    return lines;
}

bool is_blank(std::string_view line) { return trim(line).empty(); }

std::size_t characters_of(std::string_view line) {
    return static_cast<std::size_t>(
        std::count_if(line.begin(), line.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

/// The character of a line that is nothing but three or more of one punctuation character, or 0.
char rule_of(std::string_view line) {
    line = trim(line);
    if (line.size() < 3 || std::string_view("=-~^\"'`#*+.:_<>").find(line[0]) == std::string_view::npos)
        return 0;
    return line.find_first_not_of(line[0]) == std::string_view::npos ? line[0] : 0;
}

/// "NAME" with an indented line below it, as a formatted manual page has.
bool is_capitals(std::string_view line) {
    bool letters = false;
    for (const char c : line) {
        if (c >= 'a' && c <= 'z') return false;
        letters = letters || (c >= 'A' && c <= 'Z');
    }
    return letters;
}

/// Begins with a letter and holds neither the end of a sentence nor what code and markup are made of.
bool is_name(std::string_view words) {
    const auto first = static_cast<unsigned char>(words.front());
    const bool letter = (first >= 'A' && first <= 'Z') || (first >= 'a' && first <= 'z') || first >= 0x80;
    return letter && std::string_view(".,;:!").find(words.back()) == std::string_view::npos &&
           words.find_first_of("{}<>=\\|`*[]@\t") == std::string_view::npos;
}

class PlainReader {
  public:
    PlainReader(std::string_view text, const Budget& budget)
        : lines_(split_lines(text)), budget_(budget), builder_(budget.limits().text_bytes_max) {}

    Result<ExtractedText> read() {
        for (std::size_t i = 0; i < lines_.size(); ++i) {
            if (i % 4096 == 0 && budget_.is_late()) return budget_.too_late();
            if (builder_.is_full()) break;
            if (is_over_line(i)) continue;
            if (is_underlined(i)) {
                add_heading(i, level_of(rule_of(lines_[i + 1])));
                i = skip_blank(i + 2) - 1;
            } else if (is_manual_heading(i)) {
                add_heading(i, 1);
            } else {
                builder_.verbatim(lines_[i]);
                builder_.verbatim("\n");
            }
        }
        if (builder_.is_full()) return budget_.too_much_text();
        return builder_.take(title());
    }

  private:
    std::string_view line(std::size_t i) const { return i < lines_.size() ? lines_[i] : std::string_view(); }

    /// The first line, if it stands alone above the text and reads as a name: short, no sentence, no
    /// salutation, no code. "" otherwise: then the first heading is the title.
    std::string title() const {
        const std::size_t first = skip_blank(0);
        const std::string_view words = trim(line(first));
        if (words.empty() || words.size() > kTitleBytesMax || !is_blank(line(first + 1))) return {};
        if (skip_blank(first + 1) == lines_.size() || !is_name(words)) return {};
        return std::string(words);
    }

    /// reStructuredText and the like: a line, and below it a rule that is about as long.
    bool is_underlined(std::size_t i) const {
        const char rule = rule_of(line(i + 1));
        const std::string_view heading = trim(line(i));
        if (rule == 0 || heading.empty() || heading.size() > kHeadingBytesMax || rule_of(heading) != 0)
            return false;
        const std::size_t length = characters_of(heading), rule_length = trim(line(i + 1)).size();
        if (rule_length + 1 < length || rule_length > length + 8) return false;
        return i == 0 || is_blank(lines_[i - 1]) || rule_of(lines_[i - 1]) == rule;
    }
    /// The rule above a heading that has another below it.
    bool is_over_line(std::size_t i) const {
        const char rule = rule_of(line(i));
        return rule != 0 && rule_of(line(i + 2)) == rule && is_underlined(i + 1);
    }
    bool is_manual_heading(std::size_t i) const {
        const std::string_view heading = line(i);
        if (heading.empty() || heading.size() > 60 || is_ascii_space(heading[0]) || !is_capitals(heading))
            return false;
        const std::string_view below = line(i + 1);
        return (i == 0 || is_blank(lines_[i - 1])) && below.starts_with("   ") && !is_blank(below);
    }
    std::size_t skip_blank(std::size_t i) const {
        while (i < lines_.size() && is_blank(lines_[i])) ++i;
        return i;
    }
    /// Levels go by the order in which the rules first come.
    int level_of(char rule) {
        const std::size_t at = std::min(rules_.find(rule), rules_.size());
        if (at == rules_.size()) rules_ += rule;
        return static_cast<int>(at) + 1;
    }
    void add_heading(std::size_t i, int level) {
        builder_.heading_begin(level);
        builder_.flow(lines_[i]);
        builder_.heading_end();
    }

    std::vector<std::string_view> lines_;
    const Budget& budget_;
    TextBuilder builder_;
    std::string rules_;
};

}  // namespace

Result<ExtractedText> read_text(std::string_view text, const Budget& budget) {
    return PlainReader(text, budget).read();
}

}  // namespace millrace::text
