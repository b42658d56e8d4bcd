#include "base/nearest.hpp"

#include <gtest/gtest.h>

#include <array>

namespace millrace {
namespace {

constexpr std::array<std::string_view, 4> kKnown = {"listen", "data_dir", "api_keys_file", "log_level"};

TEST(Nearest, FindsTheWordThatWasMeant) {
    struct {
        std::string_view written, meant;
    } cases[] = {
        {"listne", "listen"},
        {"dataDir", "data_dir"},
        {"data-dir", "data_dir"},
        {"api_key_file", "api_keys_file"},
        {"loglevel", "log_level"},
        {"LISTEN", "listen"},
        {"colour", ""},
        {"", ""},
        {"x", ""},
    };
    for (const auto& [written, meant] : cases) EXPECT_EQ(nearest(written, kKnown), meant) << written;
    EXPECT_EQ(nearest(std::string(100'000, 'a'), kKnown), "");
}

TEST(Nearest, CountsEditsAndSwapsOnce) {
    EXPECT_EQ(edit_distance("", "abc"), 3u);
    EXPECT_EQ(edit_distance("abcd", "abdc"), 1u);
    EXPECT_EQ(edit_distance("kitten", "sitting"), 3u);
}

TEST(Nearest, TheHintNamesAllWhenNoneIsNear) {
    EXPECT_EQ(hint("listne", kKnown), " (did you mean \"listen\"?)");
    EXPECT_EQ(hint("colour", kKnown), " (known: listen, data_dir, api_keys_file, log_level)");
}

}  // namespace
}  // namespace millrace
