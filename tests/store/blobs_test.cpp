#include "store/blobs.hpp"
#include "tests/support/disk_calls.hpp"
#include "tests/support/temporary_directory.hpp"

#include <gtest/gtest.h>

#include <sys/syscall.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <vector>

namespace millrace::store {
namespace {

TEST(Blobs, AreFlushedUnderATemporaryNameAndThenTheirFolder) {
    test::TemporaryDirectory directory;
    Blobs blobs(directory.path() / "blobs");
    std::vector<std::filesystem::path> paths;
    test::flushed = &paths;
    const std::string name = blobs.put("text");
    test::flushed = nullptr;
    ASSERT_EQ(paths.size(), 2u);
    EXPECT_EQ(paths[0].filename(), name + ".tmp");
    EXPECT_EQ(paths[1], paths[0].parent_path() / name);
}

TEST(Blobs, GiveBackWhatWasPut) {
    test::TemporaryDirectory directory;
    Blobs blobs(directory.path() / "blobs");
    for (const std::string& bytes : {std::string(), std::string("text"), std::string(3'000'000, '\0')}) {
        const std::string name = blobs.put(bytes);
        auto got = blobs.get(name);
        ASSERT_TRUE(got);
        EXPECT_EQ(*got, bytes);
    }
}

TEST(Blobs, ForgetWhatWasRemoved) {
    test::TemporaryDirectory directory;
    Blobs blobs(directory.path() / "blobs");
    const std::string name = blobs.put("text");
    blobs.remove(name);
    blobs.remove(name);
    auto got = blobs.get(name);
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().code, Errc::not_found);
}

TEST(Blobs, TouchNothingOutsideTheirFolder) {
    test::TemporaryDirectory directory;
    Blobs blobs(directory.path() / "blobs");
    for (const char* name : {"../../etc/passwd", "", "zz", "0123456789abcdef0123456789abcde/"}) {
        auto got = blobs.get(name);
        ASSERT_FALSE(got);
        EXPECT_EQ(got.error().code, Errc::invalid_input);
    }
}

TEST(Blobs, RemoveTemporaryFilesThatACrashLeft) {
    test::TemporaryDirectory directory;
    const auto folder = directory.path() / "blobs";
    std::string name;
    {
        Blobs blobs(folder);
        name = blobs.put("kept");
    }
    const auto left = folder / name.substr(0, 2) / "left.tmp";
    std::ofstream(left) << "half";
    Blobs blobs(folder);
    EXPECT_FALSE(std::filesystem::exists(left));
    EXPECT_TRUE(blobs.get(name));
}

TEST(Blobs, ListOnlyThoseThatAreOldEnough) {
    test::TemporaryDirectory directory;
    Blobs blobs(directory.path() / "blobs");
    const std::string name = blobs.put("text");
    EXPECT_TRUE(blobs.list(std::chrono::hours(1)).empty());
    const auto path = directory.path() / "blobs" / name.substr(0, 2) / name;
    std::filesystem::last_write_time(path,
                                     std::filesystem::file_time_type::clock::now() - std::chrono::hours(2));
    EXPECT_EQ(blobs.list(std::chrono::hours(1)), std::vector<std::string>{name});
}

}  // namespace
}  // namespace millrace::store
