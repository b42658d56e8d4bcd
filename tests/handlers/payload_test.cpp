#include "handlers/payload.hpp"
#include "base/limits.hpp"

#include <gtest/gtest.h>

namespace millrace::handlers {
namespace {

TEST(Payload, ReadsKeysInEveryCaseStyle) {
    for (const char* body : {R"({"documentId":"a","title":"T","content":"x","uploadedAt":"now"})",
                             R"({"DocumentId":"a","Title":"T","Content":"x","UploadedAt":"now"})",
                             R"({"document_id":"a","title":"T","content":"x","uploaded_at":"now"})"}) {
        auto payload = parse_ingest(body);
        ASSERT_TRUE(payload) << body;
        EXPECT_EQ(payload->document_id, "a");
        EXPECT_EQ(payload->title, "T");
        EXPECT_EQ(payload->content, "x");
        EXPECT_EQ(payload->uploaded_at, "now");
    }
}

TEST(Payload, SaysWhatIsWrongWithABody) {
    struct Case {
        const char* body;
        const char* detail;
    };
    const Case cases[] = {
        {"", ""},
        {"null", ""},
        {"{", "not JSON"},
        {"[]", "not a JSON object"},
        {"{}", "\"documentId\" is missing"},
        {R"({"documentId":"a"})", "neither \"content\" nor \"contentRef\""},
        {R"({"documentId":7,"content":"x"})", "\"documentId\" is not a text"},
        {R"({"documentId":"..","content":"x"})", "the document's id is"},
        {R"({"documentId":"a","content":["x"]})", "\"content\" is not a text"},
    };
    for (const auto& one : cases) {
        auto payload = parse_ingest(one.body);
        ASSERT_FALSE(payload) << one.body;
        EXPECT_EQ(payload.error().code, Errc::invalid_input);
        if (*one.detail == '\0') {
            EXPECT_EQ(payload.error().detail, "") << one.body;
        }
        EXPECT_NE(payload.error().detail.find(one.detail), std::string::npos) << payload.error().detail;
    }
}

TEST(Payload, DeeplyNestedJsonIsRefusedNotFollowed) {
    auto payload = parse_ingest(std::string(100'000, '['));
    ASSERT_FALSE(payload);
    EXPECT_EQ(payload.error().code, Errc::invalid_input);
}

TEST(Payload, AnExtractedTextSurvivesItsJsonForm) {
    text::ExtractedText extracted;
    extracted.text = "One\n\nTwo \"quoted\" \u00e9";
    extracted.title = "Title";
    extracted.sections.push_back({0, "A", 1});
    extracted.sections.push_back({5, "A > B", 2});
    extracted.page_offsets = {0, 5};
    auto back = read_extracted(write_extracted(extracted));
    ASSERT_TRUE(back);
    EXPECT_EQ(back->text, extracted.text);
    EXPECT_EQ(back->title, extracted.title);
    ASSERT_EQ(back->sections.size(), 2u);
    EXPECT_EQ(back->sections[1].heading, "A > B");
    EXPECT_EQ(back->sections[1].level, 2);
    EXPECT_EQ(back->page_offsets, extracted.page_offsets);
}

TEST(Payload, DamagedExtractedTextIsCorrupt) {
    for (const char* json : {"", "{}", R"({"text":1,"title":"","sections":[],"pages":[]})",
                             R"({"text":"","title":"","sections":[[1]],"pages":[]})"}) {
        auto text = read_extracted(json);
        ASSERT_FALSE(text) << json;
        EXPECT_EQ(text.error().code, Errc::corrupt);
    }
}

TEST(Payload, OnlyMessagesOfThePipelineNameAVersion) {
    broker::Message message = pipeline_message({"doc", 99}, "chunk", "{}");
    const auto version = version_of(message);
    ASSERT_TRUE(version);
    EXPECT_EQ(version->document, "doc");
    EXPECT_EQ(version->generation, 99);
    message.properties[work::kGenerationProperty] = std::string("99");
    EXPECT_FALSE(version_of(message));
    message.properties.clear();
    message.body = R"({"DocumentId":"doc","Content":"x","generation":99})";
    EXPECT_FALSE(version_of(message));
}

TEST(Payload, MessagesOfTheSameStepHaveTheSameId) {
    const auto first = pipeline_message({std::string(1000, 'x'), 7}, "embed/64", "{}");
    const auto second = pipeline_message({std::string(1000, 'x'), 7}, "embed/64", "{ }");
    EXPECT_EQ(first.message_id, second.message_id);
    EXPECT_LE(first.message_id.size(), limits::message_id_chars_max);
    EXPECT_NE(first.message_id, pipeline_message({std::string(1000, 'x'), 8}, "embed/64", "{}").message_id);
}

}  // namespace
}  // namespace millrace::handlers
