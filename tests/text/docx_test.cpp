#include "text/extract.hpp"

#include "tests/text/assets.hpp"
#include "tests/text/samples.hpp"

#include <gtest/gtest.h>

namespace millrace::text {
namespace {

std::string text_of(std::string_view body) {
    const auto extracted = extract(make_docx(body), Format::docx);
    return extracted ? extracted->text : "error: " + extracted.error().detail;
}

struct Case {
    std::string body;
    std::string text;
};

std::string row(std::string_view a, std::string_view b) {
    return "<w:tr><w:tc>" + word_paragraph(a) + "</w:tc><w:tc>" + word_paragraph(b) + word_paragraph("more") +
           "</w:tc></w:tr>";
}

TEST(Docx, BecomesPlainText) {
    const std::vector<Case> cases = {
        {word_paragraph("One") + word_paragraph("two"), "One\n\ntwo"},
        {"<w:p><w:r><w:t>spl</w:t></w:r><w:r><w:rPr><w:b/></w:rPr><w:t>it</w:t></w:r></w:p>", "split"},
        {"<w:p><w:r><w:t xml:space=\"preserve\">a </w:t></w:r><w:r><w:t> "
         "</w:t></w:r><w:r><w:t>b</w:t></w:r></w:p>",
         "a b"},
        {"<w:p><w:r><w:t>a</w:t><w:tab/><w:t>b</w:t><w:br/><w:t>c</w:t></w:r></w:p>", "a\tb\nc"},
        {"<w:tbl>" + row("1", "2") + row("3", "4") + "</w:tbl>" + word_paragraph("end"),
         "1 | 2 more\n3 | 4 more\n\nend"},
        {"<w:p><w:hyperlink><w:r><w:t>link</w:t></w:r></w:hyperlink></w:p>", "link"},
        {"<w:p><w:del><w:r><w:delText>old</w:delText></w:r></w:del><w:ins><w:r><w:t>new</w:t></w:r></w:ins></"
         "w:p>",
         "new"},
        {"<w:p><w:r><w:instrText>PAGE</w:instrText></w:r><w:r><w:t>shown</w:t></w:r></w:p>", "shown"},
        {"<w:p><w:pPr><w:numPr/></w:pPr><w:r><w:t>item</w:t></w:r></w:p><w:p><w:pPr><w:numPr/></"
         "w:pPr><w:r><w:t>item</w:t></w:r></w:p>",
         "- item\n- item"},
        {"<mc:AlternateContent><mc:Choice>" + word_paragraph("box") + "</mc:Choice><mc:Fallback>" +
             word_paragraph("box") + "</mc:Fallback></mc:AlternateContent>",
         "box"},
        {word_paragraph("a &amp; b &lt;c&gt; &#233;"), "a & b <c> é"},
    };
    for (const Case& test : cases) EXPECT_EQ(text_of(test.body), test.text) << test.body;
}

TEST(Docx, HeadingsComeFromStylesByNameLevelAndInheritance) {
    const std::string styles =
        "<w:styles xmlns:w=\"w\">"
        "<w:style w:styleId=\"berschrift1\"><w:name w:val=\"heading 1\"/></w:style>"
        "<w:style w:styleId=\"Own\"><w:name w:val=\"Own\"/><w:basedOn w:val=\"berschrift2\"/></w:style>"
        "<w:style w:styleId=\"berschrift2\"><w:name w:val=\"heading 2\"/></w:style>"
        "<w:style w:styleId=\"Outlined\"><w:name w:val=\"x\"/><w:pPr><w:outlineLvl "
        "w:val=\"2\"/></w:pPr></w:style>"
        "<w:style w:styleId=\"Loop\"><w:name w:val=\"l\"/><w:basedOn w:val=\"Loop\"/></w:style></w:styles>";
    const std::string body = word_paragraph("One", "berschrift1") + word_paragraph("text", "Loop") +
                             word_paragraph("Two", "Own") + word_paragraph("Three", "Outlined") +
                             word_paragraph("Four", "Heading1");
    const auto extracted = extract(make_docx(body, {{"word/styles.xml", styles}}), Format::docx);
    ASSERT_TRUE(extracted) << extracted.error().detail;
    std::vector<std::string> paths;
    for (const Section& section : extracted->sections) paths.push_back(section.heading);
    EXPECT_EQ(paths, (std::vector<std::string>{"One", "One > Two", "One > Two > Three", "Four"}));
    EXPECT_EQ(extracted->title, "One");
}

TEST(Docx, TheTitleIsThatOfThePropertiesOrTheTitleParagraph) {
    const std::string body =
        word_paragraph("Big Title", "Title") + word_paragraph("One", "Heading1") + word_paragraph("text");
    const auto from_style = extract(make_docx(body), Format::docx);
    ASSERT_TRUE(from_style);
    EXPECT_EQ(from_style->title, "Big Title");
    EXPECT_EQ(from_style->sections[1].heading, "Big Title > One");
    const std::string core =
        "<cp:coreProperties xmlns:dc=\"d\"><dc:title>From the properties</dc:title></cp:coreProperties>";
    EXPECT_EQ(extract(make_docx(body, {{"docProps/core.xml", core}}), Format::docx)->title,
              "From the properties");
}

TEST(Docx, NotesFollowTheText) {
    const std::string notes = "<w:footnotes><w:footnote w:type=\"separator\">" + word_paragraph("---") +
                              "</w:footnote><w:footnote>" + word_paragraph("A note.") +
                              "</w:footnote></w:footnotes>";
    const auto extracted =
        extract(make_docx(word_paragraph("Text."), {{"word/footnotes.xml", notes}}), Format::docx);
    ASSERT_TRUE(extracted);
    EXPECT_EQ(extracted->text, "Text.\n\nA note.");
}

TEST(Docx, TheMainPartIsTheOneThatThePackageNames) {
    const std::string relations =
        "<Relationships><Relationship Type=\"http://x/officeDocument\" "
        "Target=\"/word/document2.xml\"/></Relationships>";
    const auto extracted = extract(
        make_docx(word_paragraph("no"),
                  {{"_rels/.rels", relations}, {"word/document2.xml", word_part(word_paragraph("yes"))}}),
        Format::docx);
    ASSERT_TRUE(extracted);
    EXPECT_EQ(extracted->text, "yes");
}

struct BadCase {
    std::string name;
    std::string bytes;
    Errc code;
    std::string detail;
};

TEST(Docx, WhatCannotBeReadIsAClearError) {
    const std::string good = make_docx(word_paragraph("Text."));
    std::string damaged = good;
    for (std::size_t i = 60; i < 200; ++i) damaged[i] = static_cast<char>(damaged[i] ^ 0x55);
    const std::vector<BadCase> cases = {
        {"cut off", good.substr(0, good.size() / 2), Errc::corrupt, "cut off"},
        {"not a ZIP", "hello", Errc::corrupt, "not a ZIP archive"},
        {"empty", "", Errc::invalid_input, "the document is empty"},
        {"damaged", damaged, Errc::corrupt, ""},
        {"another ZIP", make_zip({{"a.txt", "text"}}), Errc::corrupt, "the ZIP archive is not a DOCX"},
        {"a workbook", make_zip({{"xl/workbook.xml", "<x/>"}}), Errc::invalid_input,
         "an Office document but not DOCX"},
        {"encrypted entries", make_zip({{"word/document.xml", word_part(word_paragraph("x"))}}, "secret"),
         Errc::corrupt, "the archive is encrypted: remove its password and send it again"},
        {"broken XML", make_zip({{"word/document.xml", "<w:document><w:body>"}}), Errc::corrupt,
         "is not well-formed XML at byte"},
        {"no text", make_docx("<w:p/>"), Errc::invalid_input, "the document holds no text"},
        {"not UTF-8", make_docx(word_paragraph("\xFF\xFE")), Errc::corrupt, "not UTF-8"},
    };
    for (const BadCase& test : cases) {
        const auto extracted = extract(test.bytes, Format::docx);
        ASSERT_TRUE(extracted.has_error()) << test.name;
        EXPECT_EQ(extracted.error().code, test.code) << test.name << ": " << extracted.error().detail;
        EXPECT_THAT(extracted.error().detail, testing::HasSubstr(test.detail)) << test.name;
    }
}

TEST(Docx, AZipBombStopsAtTheLimit) {
    const std::string bomb =
        make_zip({{"word/document.xml",
                   word_part("<w:p><w:r><w:t>" + std::string(30'000'000, 'a') + "</w:t></w:r></w:p>")}});
    ASSERT_LT(bomb.size(), 100'000u);
    ExtractLimits limits;
    limits.unpacked_bytes_max = 8 << 20;
    const auto extracted = extract(bomb, Format::docx, limits);
    ASSERT_TRUE(extracted.has_error());
    EXPECT_EQ(extracted.error().code, Errc::over_limit);
    EXPECT_EQ(extracted.error().detail, "the archive unpacks to more than 8 MiB");
}

TEST(Docx, ABombOfEmptyElementsStopsAtTheMemoryLimit) {
    std::string body;
    while (body.size() < 4'000'000) body += "<a/>";
    ExtractLimits limits;
    limits.memory_bytes_max = 64 << 20;
    const auto extracted = extract(make_docx(body), Format::docx, limits);
    ASSERT_TRUE(extracted.has_error());
    EXPECT_EQ(extracted.error().code, Errc::over_limit);
    EXPECT_THAT(extracted.error().detail, testing::HasSubstr("more than 64 MiB of memory"));
}

TEST(Docx, DeepNestingAndManyEntriesAreRefused) {
    std::string deep;
    for (int i = 0; i < 100'000; ++i) deep += "<w:sdt>";
    for (int i = 0; i < 100'000; ++i) deep += "</w:sdt>";
    const auto nested = extract(make_docx(deep + word_paragraph("x")), Format::docx);
    ASSERT_TRUE(nested.has_error());
    EXPECT_EQ(nested.error().detail, "the document nests elements deeper than 1000");
    std::vector<std::pair<std::string, std::string>> entries;
    for (int i = 0; i < 60; ++i) entries.emplace_back("e" + std::to_string(i), "");
    ExtractLimits limits;
    limits.archive_entries_max = 50;
    const auto many = extract(make_docx(word_paragraph("x"), entries), Format::docx, limits);
    ASSERT_TRUE(many.has_error());
    EXPECT_EQ(many.error().code, Errc::over_limit);
    EXPECT_THAT(many.error().detail, testing::HasSubstr("the archive has more than 50 entries"));
}

}  // namespace
}  // namespace millrace::text
