#include "provider/use_lite_weights.hpp"

#include "tests/support/temporary_directory.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/sha.h>

#include <cstring>
#include <fstream>
#include <functional>

namespace millrace::provider {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

struct Entry {
    std::string name;
    std::uint32_t rows, columns;
    std::uint64_t first;
};

template <class T>
std::string bytes_of(T value) {
    std::string bytes(sizeof value, '\0');
    std::memcpy(bytes.data(), &value, sizeof value);
    return bytes;
}

/// A file of `entries` over `data`, as docs/local-model.md describes it.
std::string file_of(const std::vector<Entry>& entries, const std::vector<float>& data,
                    std::uint32_t version = 1) {
    std::string file = "MRWEIGHT" + bytes_of(version) + bytes_of(static_cast<std::uint32_t>(entries.size()));
    for (const Entry& entry : entries) {
        std::string name = entry.name;
        name.resize(40);
        file += name + bytes_of(entry.rows) + bytes_of(entry.columns) + bytes_of(entry.first);
    }
    std::string digest(SHA256_DIGEST_LENGTH, '\0');
    SHA256(reinterpret_cast<const unsigned char*>(data.data()), data.size() * 4,
           reinterpret_cast<unsigned char*>(digest.data()));
    file += digest;
    for (const float x : data) file += bytes_of(x);
    return file;
}

const std::vector<Entry> kEntries = {{"square", 2, 2, 0}, {"row", 1, 3, 4}};
const std::vector<float> kData = {1, 2, 3, 4, 5, 6, 7};

class Weights : public testing::Test {
  protected:
    Result<WeightsFile> load(const std::string& content) {
        std::ofstream(path_, std::ios::binary) << content;
        return WeightsFile::load(path_);
    }
    test::TemporaryDirectory folder_;
    std::filesystem::path path_ = folder_.path() / "some.weights";
};

TEST_F(Weights, GivesEachTensorByItsName) {
    const auto file = load(file_of(kEntries, kData));
    ASSERT_TRUE(file) << file.error().detail;
    EXPECT_THAT(file->tensor("square", 2, 2)->values, ElementsAre(1, 2, 3, 4));
    EXPECT_THAT(file->tensor("row", 1, 3)->values, ElementsAre(5, 6, 7));
    EXPECT_THAT(file->tensor("circle", 1, 3).error().detail, HasSubstr("holds no circle"));
    EXPECT_THAT(file->tensor("row", 3, 1).error().detail, HasSubstr("row has another shape"));
}

TEST_F(Weights, AreRefusedWithAReasonWhenTheFileIsNotWhole) {
    const std::string good = file_of(kEntries, kData);
    auto changed = [&](std::size_t at) {
        std::string file = good;
        file[at] = static_cast<char>(file[at] ^ 1);
        return file;
    };
    struct Case {
        std::string content, what;
    };
    const Case cases[] = {
        {"", "not a file of weights"},
        {"MRWEIGH", "not a file of weights"},
        {"<html>Not found</html>", "not a file of weights"},
        {changed(0), "not a file of weights"},
        {file_of(kEntries, kData, 2), "version 2, but this program reads 1"},
        {good.substr(0, good.size() - 4), "cut off"},
        {good.substr(0, good.size() - 1), "cut off"},
        {good.substr(0, 60), "cut off"},
        {good + "abcd", "longer than its table says"},
        {changed(good.size() - 1), "its checksum is wrong"},
        {changed(16 + 2 * 56), "its checksum is wrong"},
        {file_of({{"a", 0, 7, 0}, {"b", 1, 7, 0}}, kData), "damaged"},
        {file_of({{"a", 2, 4, 0}}, kData), "damaged"},
        {file_of({{"a", 1, 4, 0}, {"b", 1, 3, 3}}, kData), "damaged"},
        {file_of({{"a", 0xffffffff, 0xffffffff, 0}}, kData), "damaged"},
        {"MRWEIGHT" + bytes_of(1u) + bytes_of(0xffffffffu) + std::string(100, 'x'), "cut off"},
    };
    for (const Case& c : cases) {
        const auto file = load(c.content);
        ASSERT_FALSE(file) << c.what;
        EXPECT_EQ(file.error().code, Errc::corrupt);
        EXPECT_THAT(file.error().detail, HasSubstr(path_.string()));
        EXPECT_THAT(file.error().detail, HasSubstr(c.what));
        EXPECT_THAT(file.error().detail, HasSubstr("run tools/fetch_assets.py again"));
    }
}

TEST_F(Weights, ThatAreNotThereAreNotFound) {
    for (const auto& path : {folder_.path() / "none", folder_.path()}) {
        const auto file = WeightsFile::load(path);
        ASSERT_FALSE(file);
        EXPECT_EQ(file.error().code, Errc::not_found);
    }
}

TEST_F(Weights, CutAtAnyByteAreRefused) {
    const std::string good = file_of(kEntries, kData);
    for (std::size_t size = 0; size < good.size(); ++size) {
        EXPECT_FALSE(load(good.substr(0, size))) << size << " bytes";
    }
}

}  // namespace
}  // namespace millrace::provider
