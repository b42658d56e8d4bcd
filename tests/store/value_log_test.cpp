#include "store/value_log.hpp"
#include "base/error.hpp"
#include "store/sqlite_session.hpp"
#include "tests/support/temporary_directory.hpp"

#include <gmock/gmock.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <filesystem>
#include <fstream>
#include <string>

namespace {
thread_local int writes = 0;
thread_local int fail_from = INT_MAX;  // the writes with this number and above fail: the disk is full
thread_local bool write_one_byte = false;  // the next one does less than it was told
}  // namespace

// The log calls this one instead of the C library's.
extern "C" ssize_t pwrite(int descriptor, const void* bytes, size_t size, off_t offset) {
    writes += 1;
    if (writes >= fail_from) {
        errno = ENOSPC;
        return -1;
    }
    if (std::exchange(write_one_byte, false)) size = std::min<size_t>(size, 1);
    return ::syscall(SYS_pwrite64, descriptor, bytes, size, offset);
}

namespace millrace::store {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

constexpr std::size_t kKiB = 1024;
constexpr std::size_t kMiB = 1024 * kKiB;

class ValueLogTest : public testing::Test {
  protected:
    ValueLogTest() { open({}); }
    ~ValueLogTest() override { fail_from = INT_MAX; }

    void open(const std::vector<FullFile>& needed) {
        log_.reset();
        log_ = std::make_unique<ValueLog>(folder());
        ASSERT_TRUE(log_->keep(needed));
    }
    fs::path folder() const { return directory_.path() / "values"; }

    /// One transaction that appends `value` for `row`.
    ValuePlace add(std::string_view value, std::int64_t row = 1) {
        log_->begin(1);
        const ValuePlace place = log_->append(value, row);
        log_->flush();
        log_->end();
        return place;
    }
    /// As many transactions as make the present file full, and one value in the next file.
    ValuePlace fill(std::int64_t row = 1) {
        const std::string part(kMiB, 'f');
        const std::uint64_t filled = log_->filled();
        ValuePlace last;
        do last = add(part, row);
        while (log_->filled() == filled);
        return last;
    }
    std::vector<std::int64_t> numbers() const {
        std::vector<std::int64_t> found;
        for (const FullFile& file : log_->full_files()) found.push_back(file.number);
        return found;
    }
    std::vector<std::string> names() const {
        std::vector<std::string> found;
        for (const auto& entry : fs::directory_iterator(folder())) found.push_back(entry.path().filename());
        std::sort(found.begin(), found.end());
        return found;
    }

    test::TemporaryDirectory directory_;
    std::unique_ptr<ValueLog> log_;
};

TEST_F(ValueLogTest, GivesBackWhatItWasGiven) {
    std::vector<std::pair<ValuePlace, std::string>> added;
    for (const std::size_t bytes :
         {std::size_t{0}, std::size_t{1}, 8 * kKiB, 256 * kKiB, 3 * kMiB, std::size_t{5}})
        added.emplace_back(add(std::string(bytes, static_cast<char>('a' + added.size()))),
                           std::string(bytes, static_cast<char>('a' + added.size())));
    for (const auto& [place, value] : added) EXPECT_TRUE(log_->read(place) == value) << value.size();
}

TEST_F(ValueLogTest, ReadsWhatTheTransactionUnderWayHasAppended) {
    log_->begin(1);
    const ValuePlace first = log_->append("first", 1);
    const ValuePlace large = log_->append(std::string(300 * kKiB, 'l'), 2);
    const ValuePlace last = log_->append("last", 3);
    EXPECT_EQ(log_->read(first), "first");
    EXPECT_EQ(log_->read(large), std::string(300 * kKiB, 'l'));
    EXPECT_EQ(log_->read(last), "last");
    log_->flush();
    log_->end();
    EXPECT_EQ(log_->read(last), "last");
}

TEST_F(ValueLogTest, ForgetsATransactionThatWasRolledBack) {
    const ValuePlace kept = add("kept");
    log_->begin(1);
    log_->append("rolled back", 2);
    log_->end();
    const ValuePlace next = add("next");
    EXPECT_EQ(log_->read(kept), "kept");
    EXPECT_EQ(log_->read(next), "next");
}

TEST_F(ValueLogTest, AFileIsFullWhenTheTransactionThatFilledItHasEnded) {
    log_->begin(1);
    const std::string part(kMiB, 'f');
    while (log_->filled() == 0) log_->append(part, 7);
    EXPECT_THAT(numbers(), IsEmpty());
    log_->flush();
    log_->end();
    ASSERT_THAT(log_->full_files(), SizeIs(1));
    const FullFile file = log_->full_files()[0];
    EXPECT_EQ(file.first_row, 7);
    EXPECT_EQ(file.last_row, 7);
    EXPECT_GE(file.bytes, ValueLog::kFileBytes);
    EXPECT_EQ(static_cast<std::int64_t>(fs::file_size(folder() / "0000000001")), file.bytes);
}

TEST_F(ValueLogTest, UsesAFreeFileAgainUnderANewNumber) {
    const ValuePlace second = fill();
    log_->free_files({1});
    EXPECT_THAT(numbers(), IsEmpty());
    const ValuePlace third = fill();
    EXPECT_EQ(third.file, 3);
    EXPECT_THAT(names(), ElementsAre("0000000002", "0000000003"));
    EXPECT_EQ(log_->read(second), std::string(kMiB, 'f'));
    EXPECT_EQ(log_->read(third), std::string(kMiB, 'f'));
}

TEST_F(ValueLogTest, LeavesAFreeFileAloneWhileAReaderMayStillNeedIt) {
    const ValuePlace first = add("first");
    fill();
    {
        const ValueLog::Reading reading(*log_);
        log_->free_files({1});
        fill();
        EXPECT_EQ(log_->read(first), "first");
        EXPECT_THAT(names(), ElementsAre("0000000001", "0000000002", "0000000003"));
        const ValueLog::Reading later(*log_);
    }
    const ValueLog::Reading later(*log_);
    fill();
    EXPECT_THAT(names(), ElementsAre("0000000002", "0000000003", "0000000004"));
    EXPECT_THROW(log_->read(first), MachineError);
}

TEST_F(ValueLogTest, KeepsAFewFreeFilesOnly) {
    std::vector<std::int64_t> full;
    for (int i = 0; i < 20; ++i) fill();
    log_->free_files(numbers());
    log_->remove_spares();
    EXPECT_THAT(names(), SizeIs(17)) << "sixteen beside the one that is written to";
}

TEST_F(ValueLogTest, AfterAStartKeepsWhatIsNeededAndUsesTheRestAgain) {
    const ValuePlace first = add("first", 5);
    fill();
    const ValuePlace third = fill();
    open({{1, 5, 5, 0}, {3, 9, 9, 0}});
    EXPECT_THAT(numbers(), ElementsAre(1, 3));
    EXPECT_GE(log_->full_files()[0].bytes, ValueLog::kFileBytes);
    EXPECT_EQ(log_->read(first), "first");
    const ValuePlace next = add("next");
    EXPECT_EQ(next.file, 4);
    EXPECT_THAT(names(), ElementsAre("0000000001", "0000000003", "0000000004"));
    EXPECT_EQ(log_->read(third), std::string(kMiB, 'f'));
}

TEST_F(ValueLogTest, LeavesFilesAloneThatAreNotItsOwn) {
    std::ofstream(folder() / "README") << "x";
    std::ofstream(folder() / "17") << "x";
    open({});
    add("value");
    EXPECT_THAT(names(), ElementsAre("0000000001", "17", "README"));
}

TEST_F(ValueLogTest, SaysWhichFileIsMissing) {
    ValueLog another(folder());
    const auto kept = another.keep({{12, 1, 1, 0}});
    ASSERT_FALSE(kept);
    EXPECT_THAT(kept.error().detail, HasSubstr("values/0000000012 is missing"));
    EXPECT_THAT(kept.error().detail, HasSubstr("restore the whole data directory"));
}

TEST_F(ValueLogTest, NoticesAPlaceThatIsNotItsValues) {
    const ValuePlace place = add("value");
    for (const ValuePlace wrong :
         {ValuePlace{place.file, place.offset + 1, place.bytes},
          ValuePlace{place.file, place.offset, place.bytes - 1},
          ValuePlace{place.file, place.offset, place.bytes + 1}, ValuePlace{place.file, place.offset, -1},
          ValuePlace{place.file, place.offset, INT64_MAX}, ValuePlace{place.file, -1, place.bytes},
          ValuePlace{place.file + 1, place.offset, place.bytes}})
        EXPECT_THROW(log_->read(wrong), MachineError);
    fs::resize_file(folder() / "0000000001", 18);
    EXPECT_THROW(log_->read(place), MachineError);
}

TEST_F(ValueLogTest, WritesOnWhereTheSystemStopped) {
    write_one_byte = true;
    const ValuePlace place = add("value");
    EXPECT_EQ(log_->read(place), "value");
}

TEST_F(ValueLogTest, OnAFullDiskTheTransactionFailsAndTheNextOneMaySucceed) {
    const ValuePlace before = add("before");
    for (const std::size_t bytes : {8 * kKiB, kMiB}) {
        log_->begin(2);
        writes = 0;
        fail_from = 1;
        try {
            log_->append(std::string(bytes, 'x'), 2);
            log_->flush();
            FAIL();
        } catch (const MachineError& error) {
            EXPECT_TRUE(error.disk_full());
            EXPECT_THAT(error.what(), HasSubstr("free space on the disk"));
        }
        fail_from = INT_MAX;
        EXPECT_THROW(log_->append("of the same transaction", 3), MachineError);
        EXPECT_THROW(log_->flush(), MachineError) << "a command whose value is lost must not be committed";
        log_->end();
        const ValuePlace after = add("after");
        EXPECT_EQ(log_->read(before), "before");
        EXPECT_EQ(log_->read(after), "after");
    }
}

TEST_F(ValueLogTest, TakesWhatIsWorthASecondFlush) {
    log_->begin(1);
    EXPECT_FALSE(log_->takes(100 * kKiB, 100 * kKiB)) << "its sender waits for one flush";
    EXPECT_TRUE(log_->takes(300 * kKiB, 300 * kKiB));
    EXPECT_TRUE(log_->takes(8 * kKiB, 300 * kKiB)) << "one of many";
    EXPECT_FALSE(log_->takes(kKiB, 300 * kKiB)) << "small";
    log_->begin(10);
    EXPECT_TRUE(log_->takes(8 * kKiB, 8 * kKiB));
    EXPECT_FALSE(log_->takes(kKiB, kKiB));
}

}  // namespace
}  // namespace millrace::store
