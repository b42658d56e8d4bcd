#include "app/terminal.hpp"
#include "app/progress.hpp"
#include "app/search_view.hpp"
#include "app/table.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <boost/json/parse.hpp>

#include <sstream>

namespace millrace::app {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(TerminalText, WidthsCountColumnsAndNotBytes) {
    struct {
        const char* text;
        std::size_t width;
    } cases[] = {{"", 0},     {"abc", 3}, {"é", 1},   {"e\u0301", 1},
                 {"日本", 4}, {"😀", 2},  {"▕█▏", 3}, {"\xff", 1}};
    for (const auto& [text, width] : cases) EXPECT_EQ(display_width(text), width) << text;
}

TEST(TerminalText, FitsCutOrFilled) {
    EXPECT_EQ(fit("abc", 5), "abc  ");
    EXPECT_EQ(fit("abcdef", 4), "abc…");
    EXPECT_EQ(fit("abcdef", 4, false), "ab..");
    EXPECT_EQ(fit("日本語", 4), "日… ");
    EXPECT_EQ(fit("abc", 0), "");
}

TEST(TerminalText, WrapsAtWordsAndSaysWhenThereIsMore) {
    EXPECT_THAT(wrap("one two three", 7, 5), ElementsAre("one two", "three"));
    EXPECT_THAT(wrap("one two three four", 7, 2), ElementsAre("one two", "three …"));
    EXPECT_THAT(wrap("one two three four", 9, 2), ElementsAre("one two", "three …")) << "no half words";
    EXPECT_THAT(wrap("one two three four", 8, 2, false), ElementsAre("one two", "three .."));
    EXPECT_THAT(wrap("a incomprehensible b", 6, 2), ElementsAre("a", "incom…"));
    EXPECT_THAT(wrap("  spaced \n out\t", 20, 2), ElementsAre("spaced out"));
    EXPECT_THAT(wrap("incomprehensibilities", 7, 2), ElementsAre("incomp…"));
    EXPECT_THAT(wrap("", 7, 2), ElementsAre(""));
}

TEST(TerminalText, ControlCharactersNeverReachTheScreen) {
    EXPECT_EQ(one_line("a\x1b[31mb\x07\r\nc"), "a[31mb c");
}

TEST(TerminalText, NumbersReadWell) {
    EXPECT_EQ(bytes_text(7), "7 bytes");
    EXPECT_EQ(bytes_text(12'345), "12 KB");
    EXPECT_EQ(bytes_text(1'400'000), "1.4 MB");
    EXPECT_EQ(time_text(0.34), "340 ms");
    EXPECT_EQ(time_text(4.2), "4.2 s");
    EXPECT_EQ(time_text(200), "3 min 20 s");
    EXPECT_EQ(time_text(7500), "2 h 5 min");
    EXPECT_EQ(count_text(1'234'567), "1,234,567");
    EXPECT_EQ(counted(1, "file"), "1 file");
    EXPECT_EQ(counted(1000, "file"), "1,000 files");
}

TEST(TerminalText, TablesAlign) {
    const std::string text = table_text({{"queue"}, {"active", Align::right}, {"oldest"}},
                                        {{"a", "1", ""}, {"long-name", "1,000", "3 s"}}, Terminal());
    EXPECT_EQ(text,
              "queue      active  oldest\n"
              "a               1\n"
              "long-name   1,000  3 s\n");
}

TEST(ProgressLine, FillsTheBarToItsShare) {
    Terminal terminal;
    terminal.columns = 80;
    terminal.utf8 = true;
    const ProgressRow row{"embedded", "passages", 3, 8, 0};
    const std::string line = progress_line(row, terminal, 10);
    EXPECT_THAT(line, HasSubstr(" 38 %  3/8 passages"));
    EXPECT_LE(display_width(line), 80u);
    EXPECT_THAT(progress_line({"a", "files", 0, 0, 0}, terminal, 4), testing::Not(HasSubstr("%")));
    EXPECT_THAT(progress_line({"a", "files", 8, 8, 2}, terminal, 4), HasSubstr("100 %  6/8 files, 2 failed"));
    terminal.utf8 = false;
    EXPECT_THAT(progress_line(row, terminal, 10), HasSubstr("###"));
}

TEST(SearchView, ShowsThePartOfAPassageThatAnswers) {
    std::string text;
    for (int i = 0; i < 200; ++i) text += "filler words ";
    text += "here the readers don't block a writer at all. ";
    for (int i = 0; i < 200; ++i) text += "more filler ";
    const std::string part = snippet(text, "keep readers from blocking the writer", 200);
    EXPECT_TRUE(part.starts_with("… ")) << part;
    EXPECT_THAT(part.substr(0, 200), HasSubstr("readers don't block a writer"));
    EXPECT_EQ(snippet("short text", "x", 200), "short text");
    EXPECT_EQ(snippet("", "x", 200), "");
}

TEST(SearchView, KeepsThePageOfALongSource) {
    const auto answer = boost::json::parse(
        R"({"results":[{"documentId":"samples/a-document-with-a-name-that-is-much-too-long.pdf","chunk":0,"title":"A title","category":"","text":"some passage","score":0.987,"page":31}],"mode":"keyword","tookMs":1.5})");
    Terminal terminal;
    terminal.columns = 80;
    const std::string text = search_text(answer, "passage", terminal);
    EXPECT_THAT(text, HasSubstr(".., page 31  0.99\n")) << text;
    EXPECT_THAT(text, HasSubstr("samples/a-doc"));
}

TEST(SearchView, MarksWordsWithTheStemOfAWordOfTheQuery) {
    Terminal terminal;
    terminal.colour = true;
    EXPECT_EQ(highlighted("Blocked readers and the rest", "the reader is blocking", terminal),
              "\x1b[1mBlocked\x1b[0m \x1b[1mreaders\x1b[0m and the rest");
    EXPECT_EQ(highlighted("Blocked readers", "readers", Terminal()), "Blocked readers");
}

TEST(SearchView, StandsInColumnsWithoutEscapesInAPipe) {
    const auto answer = boost::json::parse(
        R"({"results":[{"documentId":"samples/a.pdf","chunk":0,"title":"A title","category":"","text":"some passage","score":0.987,"page":3},
            {"documentId":"b","chunk":1,"title":"","category":"","text":"other","score":0.5}],"mode":"keyword","warning":"no model","tookMs":1.5})");
    for (const int columns : {80, 120}) {
        Terminal terminal;
        terminal.columns = columns;
        const std::string text = search_text(answer, "passage", terminal);
        EXPECT_EQ(text.find('\x1b'), std::string::npos);
        EXPECT_THAT(text, HasSubstr("  1 A title"));
        EXPECT_THAT(text, HasSubstr("samples/a.pdf, page 3"));
        EXPECT_THAT(text, HasSubstr("0.99\n    some passage\n"));
        EXPECT_THAT(text, HasSubstr("2 results in 1.5 ms"));
        EXPECT_THAT(text, HasSubstr("no model"));
        std::istringstream lines(text);
        for (std::string line; std::getline(lines, line);)
            EXPECT_LE(display_width(line), static_cast<std::size_t>(columns));
        EXPECT_EQ(text.find("0.99"), text.find('\n') - 4);
    }
}

}  // namespace
}  // namespace millrace::app
