#include "text/extract.hpp"
#include "text/html_nesting.hpp"

#include "tests/text/assets.hpp"

#include <gtest/gtest.h>

namespace millrace::text {
namespace {

std::string text_of(std::string_view html) {
    const auto extracted = extract(html, Format::html);
    return extracted ? extracted->text : "error: " + extracted.error().detail;
}

struct Case {
    const char* html;
    const char* text;
};

TEST(Html, BecomesWhatAReaderReads) {
    const std::vector<Case> cases = {
        {"<p>One\n  two</p><p>three</p>", "One two\n\nthree"},
        {"a<br>b<br/>c", "a\nb\nc"},
        {"<div>a</div><div>b</div>", "a\nb"},
        {"x<script>var a = '<p>no</p>';</script><style>p{}</style>y", "xy"},
        {"<nav>menu</nav><p>text</p><template>no</template>", "text"},
        {"<p hidden>no</p><p aria-hidden=true>no</p><div role=navigation>no</div>yes", "yes"},
        {"<h1>Title<a class=headerlink>¶</a></h1>x", "Title\n\nx"},
        {"<ul><li>a<li>b<ul><li>c</ul></ul>d", "- a\n- b\n- c\n\nd"},
        {"<ol><li>a<li><p>b</p></ol>", "1. a\n\n2. b"},
        {"<ul><li></ul><p>after", "after"},
        {"<table><tr><th>A<th>B<tr><td>1<td>2</table>end", "A | B\n1 | 2\n\nend"},
        {"<pre>\n  if (x)\n      y;   \n\n\n\n\nz</pre>", "if (x)\n      y;\n\n\nz"},
        {"<p>a</p><pre>x\n  y</pre><p>b", "a\n\nx\n  y\n\nb"},
        {"<img alt='A cat'> &amp; &hellip; &#x41; &nbsp;b", "A cat & … A b"},
        {"soft\xC2\xADhyphen zero\xE2\x80\x8Bwidth", "softhyphen zerowidth"},
        {"<b>bo</b>ld <i> it</i>", "bold it"},
        {"<!-- no --><p>yes<!-- no -->", "yes"},
        {"<dl><dt>T<dd>D<dt>T2<dd>D2</dl>", "T\nD\nT2\nD2"},
        {"<svg><title>no</title><text>no</text></svg>yes", "yes"},
    };
    for (const Case& test : cases) EXPECT_EQ(text_of(test.html), test.text) << test.html;
}

TEST(Html, HeadingsAreSectionsWithTheirPath) {
    const auto extracted = extract(
        "<title>A &amp; B</title>intro<h1>Storage</h1><p>x<h2>WAL <em>mode</em></h2>y<h3>C</h3>z"
        "<h2>Blobs</h2>w<h1>End</h1>",
        Format::html);
    ASSERT_TRUE(extracted);
    EXPECT_EQ(extracted->title, "A & B");
    std::vector<std::string> paths;
    for (const Section& section : extracted->sections) paths.push_back(section.heading);
    EXPECT_EQ(paths, (std::vector<std::string>{"Storage", "Storage > WAL mode", "Storage > WAL mode > C",
                                               "Storage > Blobs", "End"}));
    EXPECT_TRUE(extracted->text.substr(extracted->sections[1].offset).starts_with("WAL mode\n\ny"));
}

TEST(Html, TheFirstHeadingIsTheTitleIfThereIsNoOther) {
    EXPECT_EQ(extract("<h2>Only this</h2>text", Format::html)->title, "Only this");
}

TEST(Html, WithoutTextIsAClearError) {
    for (const char* const html :
         {"  \n ", "<html><body><script>x</script></body></html>", "<p>&nbsp;</p>"}) {
        const auto extracted = extract(html, Format::html);
        ASSERT_TRUE(extracted.has_error()) << html;
        EXPECT_EQ(extracted.error().code, Errc::invalid_input);
        EXPECT_EQ(extracted.error().detail, "the document holds no text");
    }
}

TEST(Html, TenMegabytesOnOneLineAreRead) {
    std::string html = "<html><body>";
    while (html.size() < 10'000'000)
        html += "<p>One <b>sentence</b> of a page that has no line end at all.</p>";
    const auto extracted = extract(html, Format::html);
    ASSERT_TRUE(extracted) << extracted.error().detail;
    EXPECT_GT(extracted->text.size(), 7'000'000u);
}

std::string repeat(std::string_view part, std::size_t times) {
    std::string result;
    for (; times > 0; --times) result += part;
    return result;
}

TEST(Html, HostileNestingIsRefusedAtOnce) {
    for (const char* const tag :
         {"<div>", "<b>", "<table><tr><td>", "<ul><li>", "<font size=1>", "<x-y>", "<svg>", "<a><p>"}) {
        const auto extracted = extract(repeat(tag, 100'000) + "x", Format::html);
        ASSERT_TRUE(extracted.has_error()) << tag;
        EXPECT_EQ(extracted.error().code, Errc::over_limit) << tag;
        EXPECT_EQ(extracted.error().detail, "the document nests elements deeper than 1000");
    }
}

TEST(Html, UnclosedElementsThatEndByThemselvesDoNotNest) {
    const std::string html = repeat("<p>text<li>item<br><td>cell", 20'000);
    EXPECT_EQ(nesting_of(html), 0u);
    EXPECT_TRUE(extract(html, Format::html));
}

TEST(Html, NestingCountsTagsAndNotWhatLooksLikeOne) {
    const std::vector<std::pair<std::string_view, std::size_t>> cases = {
        {"<div><div></div><div></div></div>", 2},
        {"<script><div><div><div></script><b>", 1},
        {"<!-- <b><b><b> --><b>", 1},
        {"<!-- <b><b>", 0},
        {"a < b < c <", 0},
        {"</div></div><DIV>", 1},
        {"<textarea><b><b></textarea><title><b></title>", 0},
        {"<img/><br/><hr>", 0},
        {"<svg><path d='M 0'/><circle/><g><rect /></g></svg>", 2},
        {"<path/><path/><path/>", 3},
        {"<svg><b><path/><path/>", 4},
        {"<svg><desc><x/><x/>", 4},
        {"<p title='<b><b>'><b title=\"<b>\" x=y>", 1},
    };
    for (const auto& [html, depth] : cases) EXPECT_EQ(nesting_of(html), depth) << html;
}

TEST(Html, ALargeDrawingIsNotNesting) {
    const std::string html =
        "<p>text<svg>" + repeat("<path d='M 1 2'/><circle r=2 />", 5'000) + "</svg><p>more";
    const auto extracted = extract(html, Format::html);
    ASSERT_TRUE(extracted) << extracted.error().detail;
    EXPECT_EQ(extracted->text, "text\n\nmore");
}

TEST(Html, AQuadraticTreeEndsAtTheMemoryLimit) {
    // Each paragraph opens all formatting elements again: 900 × 100,000 nodes.
    std::string html = "<p>";
    for (int i = 0; i < 900; ++i) html += "<font size=" + std::to_string(i) + ">";
    html += repeat("<p>x", 100'000);
    ExtractLimits limits;
    limits.memory_bytes_max = 64 << 20;
    const auto extracted = extract(html, Format::html, limits);
    ASSERT_TRUE(extracted.has_error());
    EXPECT_EQ(extracted.error().code, Errc::over_limit);
    EXPECT_EQ(extracted.error().detail, "reading the document needs more than 64 MiB of memory");
}

TEST(Html, TooSlowIsAnErrorAndNotAHang) {
    ExtractLimits limits;
    limits.time_max = Duration(0);
    const auto extracted = extract(repeat("<p>text</p>", 1000), Format::html, limits);
    ASSERT_TRUE(extracted.has_error());
    EXPECT_EQ(extracted.error().code, Errc::over_limit);
    EXPECT_EQ(extracted.error().detail, "reading the document took longer than 0 ms");
}

TEST(Html, TooMuchTextIsAnErrorAndNotAPart) {
    ExtractLimits limits;
    limits.text_bytes_max = 1000;
    const auto extracted = extract(repeat("<p>text</p>", 1000), Format::html, limits);
    ASSERT_TRUE(extracted.has_error());
    EXPECT_EQ(extracted.error().code, Errc::over_limit);
    EXPECT_EQ(extracted.error().detail, "the document holds more than 1000 bytes of text");
}

}  // namespace
}  // namespace millrace::text
