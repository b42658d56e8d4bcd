#include "provider/use_lite.hpp"

#include <boost/json.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

namespace millrace::provider {
namespace {

namespace json = boost::json;

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

float dot(const std::vector<float>& a, const std::vector<float>& b) {
    float sum = 0;
    for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
    return sum;
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
    RecordProperty("largest_difference", std::to_string(worst));
    std::printf("largest difference %g\n", worst);
}

}  // namespace
}  // namespace millrace::provider
