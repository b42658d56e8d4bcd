#include "text/extract.hpp"

#include "tests/text/assets.hpp"

#include <gtest/gtest.h>

namespace millrace::text {
namespace {

std::string text_of(std::string_view markdown) {
    const auto extracted = extract(markdown, Format::markdown);
    return extracted ? extracted->text : "error: " + extracted.error().detail;
}

struct Case {
    const char* markdown;
    const char* text;
};

TEST(Markdown, BecomesPlainText) {
    const std::vector<Case> cases = {
        {"One\ntwo\n\nthree", "One two\n\nthree"},
        {"a  \nb", "a\nb"},
        {"**bold** _it_ ~~gone~~ `code` [link](http://x) ![alt](y.png)", "bold it gone code link alt"},
        {"- a\n- b\n  - c\n\nd", "- a\n- b\n- c\n\nd"},
        {"3. a\n4. b", "3. a\n4. b"},
        {"- [ ] open\n- [x] done", "- [ ] open\n- [x] done"},
        {"```c\nif (x)\n    y;\n```\nz", "if (x)\n    y;\n\nz"},
        {"| A | B |\n|---|---|\n| 1 | 2 |\n\nend", "A | B\n1 | 2\n\nend"},
        {"&amp; &copy; &frac12; &#65;", "& © ½ A"},
        {"<p align=center><b>HTML</b> block</p>\n\ntext", "HTML block\n\ntext"},
        {"in <b>line</b><br>break", "in line\nbreak"},
        {"> quoted\n> more\n\nafter", "quoted more\n\nafter"},
        {"---\ntitle: x\n---\nbody", "body"},
        {"---\nnot front matter", "not front matter"},
        {"no end\r\nof line\rproblem", "no end of line problem"},
    };
    for (const Case& test : cases) EXPECT_EQ(text_of(test.markdown), test.text) << test.markdown;
}

TEST(Markdown, HeadingsAreSectionsAndTheFirstIsTheTitle) {
    const auto extracted =
        extract("intro\n\n# The *Title* #\n\ntext\n\nSub\n---\n\nmore\n\n### Deep\n\nx\n\n## Next\n",
                Format::markdown);
    ASSERT_TRUE(extracted);
    EXPECT_EQ(extracted->title, "The Title");
    std::vector<std::string> paths;
    for (const Section& section : extracted->sections) paths.push_back(section.heading);
    EXPECT_EQ(paths, (std::vector<std::string>{"The Title", "The Title > Sub", "The Title > Sub > Deep",
                                               "The Title > Next"}));
    EXPECT_TRUE(extracted->text.substr(extracted->sections[1].offset).starts_with("Sub\n\nmore"));
}

TEST(Markdown, FrontMatterGivesTheTitle) {
    EXPECT_EQ(extract("---\ntitle: \"Quoted: one\"\ntags: [a]\n---\n# Other\n", Format::markdown)->title,
              "Quoted: one");
    EXPECT_EQ(extract("+++\ntitle = 'Toml'\n+++\ntext\n", Format::markdown)->title, "Toml");
}

TEST(Markdown, HostileTextsEndWithinTheLimits) {
    std::string wide = "|";
    for (int i = 0; i < 20'000; ++i) wide += "a|";
    wide += "\n|";
    for (int i = 0; i < 20'000; ++i) wide += "---|";
    for (int i = 0; i < 20'000; ++i) wide += "\n|x";
    std::string backticks;
    for (int i = 0; i < 1500; ++i) backticks += std::string(static_cast<std::size_t>(i), '`') + "a";
    std::string brackets(200'000, '[');
    std::string quotes(200'000, '>');
    std::string emphasis;
    for (int i = 0; i < 50'000; ++i) emphasis += "*a_ ";
    std::string links;
    for (int i = 0; i < 50'000; ++i) links += "[a](";
    std::string entities;
    for (int i = 0; i < 20'000; ++i) entities += "&frac12;";
    ExtractLimits limits;
    limits.time_max = std::chrono::seconds(1);
    const std::vector<std::string> texts = {wide,     backticks, brackets + "x", quotes + "x",
                                            emphasis, links,     entities};
    for (const std::string& text : texts) {
        const auto begin = std::chrono::steady_clock::now();
        const auto extracted = extract(text, Format::markdown, limits);
        const auto took = std::chrono::steady_clock::now() - begin;
        EXPECT_TRUE(extracted || extracted.error().code == Errc::over_limit) << text.substr(0, 20);
        EXPECT_LT(took, std::chrono::seconds(20)) << text.substr(0, 20);
    }
}

TEST(Markdown, TheClockEndsATextThatTakesTooLong) {
    std::string text;
    for (int i = 0; i < 50'000; ++i) text += "a *b* `c`\n\n";
    ExtractLimits limits;
    limits.time_max = Duration::zero();
    const auto extracted = extract(text, Format::markdown, limits);
    ASSERT_FALSE(extracted);
    EXPECT_EQ(extracted.error().code, Errc::over_limit);
}

TEST(Markdown, TenMegabytesOnOneLineAreRead) {
    std::string text;
    while (text.size() < 10'000'000) text += "One sentence with **bold** and `code` and no line end at all. ";
    const auto extracted = extract(text, Format::markdown);
    ASSERT_TRUE(extracted) << extracted.error().detail;
    EXPECT_GT(extracted->text.size(), 8'000'000u);
}

}  // namespace
}  // namespace millrace::text
