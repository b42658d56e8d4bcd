#include "text/builder.hpp"

#include "text/utf8.hpp"

#include <algorithm>

namespace millrace::text {
namespace {

constexpr std::size_t kHeadingBytesMax = 160;
constexpr std::size_t kPathBytesMax = 512;
constexpr int kNewlinesMax = 3;

enum class Kind { plain, space, line_end, dropped };
struct Read {
    Kind kind;
    std::size_t length;
};

/// Bytes that are always part of the text as they are: printable ASCII, and what is not the beginning of one
/// of the characters `read_special` looks at.
bool is_plain(char c) noexcept {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x80) return byte > 0x20 && byte != 0x7F;
    return byte != 0xC2 && byte != 0xE2 && byte != 0xEF;
}

Read read_special(std::string_view text, std::size_t at) noexcept {
    const char c = text[at];
    if (c == ' ' || c == '\t') return {Kind::space, 1};
    if (c == '\n' || c == '\f' || c == '\v') return {Kind::line_end, 1};
    if (c == '\r') return {Kind::line_end, text.substr(at + 1).starts_with('\n') ? 2u : 1u};
    const CodePoint point = decode_utf8(text, at);
    switch (point.value) {
        case 0x85:
        case 0x2028:
        case 0x2029: return {Kind::line_end, point.length};
        case 0xA0:
        case 0x2007:
        case 0x202F: return {Kind::space, point.length};
        case 0xAD:
        case 0x200B:
        case 0xFEFF: return {Kind::dropped, point.length};
        default: break;
    }
    const bool control = point.value < 0x20 || (point.value >= 0x7F && point.value < 0xA0);
    return {control ? Kind::dropped : Kind::plain, point.length};
}

/// The end of the longest stretch from `at` that is text without white space.
std::size_t plain_end(std::string_view text, std::size_t at) noexcept {
    while (at < text.size()) {
        if (is_plain(text[at])) {
            ++at;
            continue;
        }
        const Read read = read_special(text, at);
        if (read.kind != Kind::plain) break;
        at += read.length;
    }
    return at;
}

}  // namespace

void TextBuilder::place_marks() {
    for (; pages_placed_ < pages_.size(); ++pages_placed_) pages_[pages_placed_] = text_.size();
    if (heading_level_ > 0 && heading_at_ == kUnplaced) heading_at_ = text_.size();
}

void TextBuilder::put_gap() {
    if (text_.empty()) {
        // An indented first line keeps its indentation only in verbatim text, where it does no good: drop it.
    } else if (newlines_ > 0) {
        text_.append(static_cast<std::size_t>(std::min(newlines_, kNewlinesMax)), '\n');
        text_ += indent_;
    } else if (cell_) {
        text_ += " | ";
    } else if (!indent_.empty()) {
        text_ += indent_;
    } else if (space_) {
        text_ += ' ';
    }
    newlines_ = 0;
    cell_ = space_ = false;
    indent_.clear();
}

void TextBuilder::put(std::string_view text) {
    if (text.empty() || full_) return;
    if (text_.size() + text.size() + marker_.size() + indent_.size() + kNewlinesMax > bytes_max_) {
        full_ = true;
        return;
    }
    put_gap();
    place_marks();
    text_ += marker_;
    marker_.clear();
    text_ += text;
}

void TextBuilder::flow(std::string_view text) {
    for (std::size_t at = 0; at < text.size() && !full_;) {
        const std::size_t end = plain_end(text, at);
        put(text.substr(at, end - at));
        at = end;
        if (at == text.size()) break;
        const Read read = read_special(text, at);
        if (read.kind != Kind::dropped) space_ = true;
        at += read.length;
    }
}

void TextBuilder::verbatim(std::string_view text) {
    for (std::size_t at = 0; at < text.size() && !full_;) {
        const std::size_t end = plain_end(text, at);
        put(text.substr(at, end - at));
        at = end;
        if (at == text.size()) break;
        const Read read = read_special(text, at);
        if (read.kind == Kind::line_end) {
            newlines_ = std::min(newlines_ + 1, kNewlinesMax);
            indent_.clear();
        } else if (read.kind == Kind::space && indent_.size() < bytes_max_) {
            indent_ += text[at] == '\t' ? '\t' : ' ';
        }
        at += read.length;
    }
}

void TextBuilder::gap(int newlines) {
    newlines_ = std::max(newlines_, newlines);
    indent_.clear();
}

void TextBuilder::cell() {
    cell_ = true;
    indent_.clear();
}

void TextBuilder::marker(std::string_view text) {
    line();
    marker_ = text;
}

void TextBuilder::heading_begin(int level) {
    paragraph();
    marker_.clear();
    heading_level_ = level;
    heading_at_ = kUnplaced;
}

void TextBuilder::heading_end() {
    const int level = std::exchange(heading_level_, 0);
    const std::size_t at = std::exchange(heading_at_, kUnplaced);
    paragraph();
    if (level == 0 || at == kUnplaced) return;
    std::erase_if(headings_, [level](const auto& above) { return above.first >= level; });
    headings_.emplace_back(level, one_line(std::string_view(text_).substr(at), kHeadingBytesMax));
    sections_.push_back({at, heading_path(), level});
}

std::string TextBuilder::heading_path() const {
    std::string path;
    for (const auto& [level, heading] : headings_) {
        if (!path.empty()) path += " > ";
        path += heading;
    }
    return std::string(prefix_utf8(path, kPathBytesMax));
}

ExtractedText TextBuilder::take(std::string title) {
    ExtractedText result;
    place_marks();
    if (title.empty() && !sections_.empty()) {
        // The path of the first section is its heading alone: nothing stands above it.
        title = sections_.front().heading;
    }
    result.text = std::move(text_);
    result.title = one_line(title, limits::document_title_bytes_max);
    result.sections = std::move(sections_);
    result.page_offsets = std::move(pages_);
    *this = TextBuilder(bytes_max_);
    return result;
}

std::string one_line(std::string_view text, std::size_t bytes_max) {
    std::string line;
    bool gap = false;
    for (std::size_t at = 0; at < text.size() && line.size() < bytes_max;) {
        const std::size_t end = plain_end(text, at);
        if (end > at) {
            if (gap && !line.empty()) line += ' ';
            gap = false;
            line += text.substr(at, end - at);
        }
        at = end;
        if (at == text.size()) break;
        const Read read = read_special(text, at);
        if (read.kind != Kind::dropped) gap = true;
        at += read.length;
    }
    line.resize(prefix_utf8(line, bytes_max).size());
    return line;
}

}  // namespace millrace::text
