#include "provider/use_lite.hpp"

#include "tests/support/temporary_directory.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <boost/json.hpp>

#include <fstream>
#include <sstream>

namespace millrace::provider {
namespace {

namespace json = boost::json;
using ::testing::HasSubstr;

/// What the reference implementation made of a text: fixtures/use_lite_reference.js.
struct Reference {
    std::string text;
    std::vector<std::int32_t> pieces;
    std::vector<float> vector;
};

const std::vector<Reference>& references() {
    static const auto all = [] {
        std::ifstream file(MILLRACE_FIXTURES "/use_lite_reference.json");
        std::stringstream content;
        content << file.rdbuf();
        std::vector<Reference> read;
        const json::value items = json::parse(content.str());
        for (const json::value& item : items.as_array()) {
            read.push_back({json::value_to<std::string>(item.at("text")),
                            json::value_to<std::vector<std::int32_t>>(item.at("pieces")),
                            json::value_to<std::vector<float>>(item.at("vector"))});
        }
        return read;
    }();
    return all;
}

void write(const std::filesystem::path& path, const std::string& content) {
    std::ofstream(path, std::ios::binary) << content;
}

const UseLite& model() {
    static const UseLite loaded = UseLite::load(MILLRACE_ASSETS).value();
    return loaded;
}

std::vector<float> embed(std::string_view text) {
    std::vector<float> vector(UseLite::kDimensions);
    const std::span<float> place(vector);
    model().embed({&text, 1}, {&place, 1});
    return vector;
}

TEST(Unigram, CutsEveryTextAsTheReferenceDoes) {
    const Unigram unigram = Unigram::load(MILLRACE_ASSETS "/use_lite.vocab").value();
    ASSERT_EQ(references().size(), 28u);
    for (const Reference& reference : references()) {
        EXPECT_EQ(unigram.encode(reference.text), reference.pieces) << reference.text;
    }
}

TEST(UseLite, ComputesTheVectorsOfTheReferenceWithin1e5) {
    ASSERT_EQ(references().size(), 28u);
    float worst = 0;
    for (const Reference& reference : references()) {
        const auto vector = embed(reference.text);
        ASSERT_EQ(vector.size(), reference.vector.size());
        for (std::size_t i = 0; i < vector.size(); ++i) {
            worst = std::max(worst, std::abs(vector[i] - reference.vector[i]));
            ASSERT_NEAR(vector[i], reference.vector[i], 1e-5f) << reference.text << " at " << i;
        }
    }
    EXPECT_LT(worst, 2e-6f);  // what it is now, with room for another libm
}

TEST(UseLite, EmbedsSeveralTextsInOneCallAsEachAlone) {
    std::vector<std::string_view> texts;
    for (const Reference& reference : references()) texts.push_back(reference.text);
    std::vector<std::vector<float>> vectors(texts.size(), std::vector<float>(UseLite::kDimensions));
    const std::vector<std::span<float>> places(vectors.begin(), vectors.end());
    std::size_t pieces = 0;
    for (const Reference& reference : references())
        pieces += std::min<std::size_t>(reference.pieces.size(), 128);
    EXPECT_EQ(model().embed(texts, places), pieces);
    for (std::size_t i = 0; i < texts.size(); ++i) EXPECT_EQ(vectors[i], embed(texts[i])) << texts[i];
}

TEST(UseLite, ReadsNoFurtherThan128PiecesAnd16KiB) {
    const std::string window(UseLite::kTextBytesMax, 'a');
    EXPECT_EQ(embed(window), embed(window + " and more"));
    std::string half = window;
    half.replace(half.size() - 1, 1, "\u00e9");  // lies on the border
    EXPECT_EQ(embed(half), embed(window.substr(1)));
    EXPECT_EQ(model().pieces(half).size(), UseLite::kPiecesMax);
}

TEST(Unigram, ReadsAVocabularyLineByLineAndSaysWhatIsWrong) {
    const test::TemporaryDirectory folder;
    const auto path = folder.path() / "vocab";
    const std::string reserved = "0\ta\n0\tb\n0\tc\n0\td\n0\te\n0\tf\n";
    struct Case {
        std::string content, what;
    };
    const Case cases[] = {
        {"", "line 0 is the last"},
        {reserved, "line 6 is the last"},
        {reserved + "-1.5 x\n", "line 7 is not score, tab, piece"},
        {reserved + "-1.5\t\n", "line 7 is not score, tab, piece"},
        {reserved + "many\tx\n", "line 7 has no score"},
        {reserved + "-1.5z\tx\n", "line 7 has no score"},
        {reserved + "nan\tx\n", "line 7 has no score"},
    };
    for (const Case& c : cases) {
        write(path, c.content);
        const auto unigram = Unigram::load(path);
        ASSERT_FALSE(unigram) << c.content;
        EXPECT_EQ(unigram.error().code, Errc::corrupt);
        EXPECT_THAT(unigram.error().detail, HasSubstr(c.what));
    }
    EXPECT_EQ(Unigram::load(folder.path() / "none").error().code, Errc::not_found);
    write(path, reserved + "-1\t\u2581\n-2\tx\n-2.5\txx\n");
    EXPECT_EQ(Unigram::load(path)->encode("xxx"), (std::vector<std::int32_t>{6, 8, 7}));
}

}  // namespace
}  // namespace millrace::provider
