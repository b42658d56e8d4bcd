// Whatever bytes a document has: well-formed text or an error, and passages that hold all of it.
#include "fuzz/fuzz.hpp"
#include "text/chunk.hpp"
#include "text/extract.hpp"
#include "text/pieces.hpp"
#include "text/utf8.hpp"

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <iterator>

namespace millrace::fuzz {
namespace {

constexpr std::size_t kTokensMax = 40;

text::ExtractLimits small_limits() {
    text::ExtractLimits limits;
    limits.text_bytes_max = 256 * limits::kKiB;
    limits.unpacked_bytes_max = limits::kMiB;
    return limits;
}

bool is_space(std::string_view text) {
    return std::all_of(text.begin(), text.end(), [](unsigned char c) { return std::isspace(c) != 0; });
}

void check_places(const text::ExtractedText& document) {
    const auto by_offset = [](const auto& one, const auto& other) { return one.offset < other.offset; };
    require(std::is_sorted(document.sections.begin(), document.sections.end(), by_offset),
            "sections are in order");
    for (const auto& section : document.sections) {
        require(section.offset <= document.text.size(), "a section lies in the text");
        require(text::is_valid_utf8(section.heading) && section.heading.size() <= 512,
                "a heading is short UTF-8");
    }
    for (const auto offset : document.page_offsets) {
        require(offset <= document.text.size(), "a page lies in the text");
    }
}

void check_chunks(const text::ExtractedText& document) {
    std::size_t covered = 0, begun = 0;
    for (const auto& chunk : text::split(document, {.tokens_max = kTokensMax, .overlap_tokens = 8})) {
        require(chunk.begin <= chunk.end && chunk.end <= document.text.size(), "a chunk lies in the text");
        require(chunk.begin >= begun && chunk.end > covered, "chunks go forward");
        const std::string_view whole = document.text;
        require(chunk.text == whole.substr(chunk.begin, chunk.end - chunk.begin), "a chunk is where it says");
        require(chunk.tokens <= kTokensMax && text::is_valid_utf8(chunk.text), "a chunk is short UTF-8");
        if (chunk.begin > covered)
            require(is_space(whole.substr(covered, chunk.begin - covered)), "no text is skipped");
        begun = chunk.begin;
        covered = chunk.end;
    }
    require(is_space(std::string_view(document.text).substr(covered)), "no text is left over");
}

void check_pieces(std::string_view input) {
    for (const auto scan : {text::scan_cl100k, text::scan_o200k}) {
        for (std::size_t at = 0; at < input.size();) {
            const std::size_t end = scan(input, at);
            require(end > at && end <= input.size(), "a piece goes forward");
            at = end;
        }
    }
}

}  // namespace

std::vector<std::string> seeds() {
    std::vector<std::string> seeds = {
        "# A\n\ntext *b* [c](d)\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n```\ncode\n```\n> quote\n1. one\n   - "
        "two\n",
        "<!doctype html><title>T</title><h1>A</h1><p>b<br>c<table><tr><td>1<td>2</table><pre> x "
        "</pre><ul><li>y</ul>",
        std::string("\xff\xfeh\0t\0m\0l\0", 10),
        "caf\xe9 na\xefve \x93quoted\x94",
        "日本語の文。二つ目の文。",
        "<?xml version=\"1.0\" encoding=\"shift_jis\"?><html><meta charset=utf-7><script>a</script><p>x",
    };
    for (const auto& entry : std::filesystem::directory_iterator(MILLRACE_SOURCE_DIR "/samples/documents")) {
        const auto extension = entry.path().extension();
        if (extension == ".pdf" || entry.file_size() > 20'000) continue;
        std::ifstream file(entry.path(), std::ios::binary);
        seeds.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
    }
    return seeds;
}

void check(std::string_view input) {
    check_pieces(input);
    using enum text::Format;
    for (const auto format : {text, markdown, html, docx}) {
        const auto document = text::extract(input, format, small_limits());
        if (!document) continue;
        require(text::is_valid_utf8(document->text) && text::is_valid_utf8(document->title),
                "extracted text is UTF-8");
        check_places(*document);
        check_chunks(*document);
    }
}

}  // namespace millrace::fuzz
