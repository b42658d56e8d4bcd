#include "store/value_log.hpp"
#include "base/error.hpp"
#include "store/database.hpp"
#include "tests/support/disk_calls.hpp"
#include "tests/support/run.hpp"
#include "tests/support/temporary_directory.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/use_future.hpp>

#include <gmock/gmock.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <climits>
#include <filesystem>
#include <fstream>
#include <future>
#include <mutex>
#include <string>
#include <thread>

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
    std::string read(const ValuePlace& place) {
        auto value = log_->read(place);
        return value ? std::move(*value) : "DAMAGED: " + value.error().detail;
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
    for (const auto& [place, value] : added) EXPECT_TRUE(read(place) == value) << value.size();
}

TEST_F(ValueLogTest, ReadsWhatTheTransactionUnderWayHasAppended) {
    log_->begin(1);
    const ValuePlace first = log_->append("first", 1);
    const ValuePlace large = log_->append(std::string(300 * kKiB, 'l'), 2);
    const ValuePlace last = log_->append("last", 3);
    EXPECT_EQ(read(first), "first");
    EXPECT_EQ(read(large), std::string(300 * kKiB, 'l'));
    EXPECT_EQ(read(last), "last");
    log_->flush();
    log_->end();
    EXPECT_EQ(read(last), "last");
}

TEST_F(ValueLogTest, ForgetsATransactionThatWasRolledBack) {
    const ValuePlace kept = add("kept");
    log_->begin(1);
    log_->append("rolled back", 2);
    log_->end();
    const ValuePlace next = add("next");
    EXPECT_EQ(read(kept), "kept");
    EXPECT_EQ(read(next), "next");
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
    EXPECT_EQ(read(second), std::string(kMiB, 'f'));
    EXPECT_EQ(read(third), std::string(kMiB, 'f'));
}

TEST_F(ValueLogTest, LeavesAFreeFileAloneWhileAReaderMayStillNeedIt) {
    const ValuePlace first = add("first");
    fill();
    {
        const ValueLog::Reading reading(*log_);
        log_->free_files({1});
        fill();
        EXPECT_EQ(read(first), "first");
        EXPECT_THAT(names(), ElementsAre("0000000001", "0000000002", "0000000003"));
        const ValueLog::Reading later(*log_);
    }
    const ValueLog::Reading later(*log_);
    fill();
    EXPECT_THAT(names(), ElementsAre("0000000002", "0000000003", "0000000004"));
    EXPECT_THAT(read(first), HasSubstr("does not hold what the database says"));
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
    EXPECT_EQ(read(first), "first");
    const ValuePlace next = add("next");
    EXPECT_EQ(next.file, 4);
    EXPECT_THAT(names(), ElementsAre("0000000001", "0000000003", "0000000004"));
    EXPECT_EQ(read(third), std::string(kMiB, 'f'));
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

TEST_F(ValueLogTest, SaysWhichFileIsTooShort) {
    const ValuePlace place = add("value");
    ValueLog another(folder());
    EXPECT_TRUE(another.keep({{1, 1, 1, place.end()}}));
    const auto kept = another.keep({{1, 1, 1, place.end() + 1}});
    ASSERT_FALSE(kept);
    EXPECT_THAT(kept.error().detail, HasSubstr("values/0000000001 is shorter than its messages"));
}

TEST_F(ValueLogTest, NoticesAPlaceThatIsNotItsValues) {
    const ValuePlace place = add("value");
    for (const ValuePlace wrong :
         {ValuePlace{place.file, place.offset + 1, place.bytes},
          ValuePlace{place.file, place.offset, place.bytes - 1},
          ValuePlace{place.file, place.offset, place.bytes + 1}, ValuePlace{place.file, place.offset, -1},
          ValuePlace{place.file, place.offset, INT64_MAX}, ValuePlace{place.file, -1, place.bytes},
          ValuePlace{place.file + 1, place.offset, place.bytes}})
        EXPECT_EQ(log_->read(wrong).error().code, Errc::corrupt);
    fs::resize_file(folder() / "0000000001", 18);
    EXPECT_EQ(log_->read(place).error().code, Errc::corrupt);
}

TEST_F(ValueLogTest, WritesOnWhereTheSystemStopped) {
    write_one_byte = true;
    const ValuePlace place = add("value");
    EXPECT_EQ(read(place), "value");
}

TEST_F(ValueLogTest, OnAFullDiskTheTransactionFailsAndTheNextOneMaySucceed) {
    const ValuePlace before = add("before");
    auto bytes_before = fs::file_size(folder() / "0000000001");
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
        EXPECT_EQ(fs::file_size(folder() / "0000000001"), bytes_before) << "what failed is given back";
        const ValuePlace after = add("after");
        EXPECT_EQ(after.file, 1);
        EXPECT_EQ(read(before), "before");
        EXPECT_EQ(read(after), "after");
        bytes_before = fs::file_size(folder() / "0000000001");
    }
}

TEST_F(ValueLogTest, AfterAFailedFlushAnotherFileIsUsed) {
    const ValuePlace before = add("before");
    {
        const test::DiskCalls failing("values/0000000001");
        log_->begin(1);
        log_->append("lost", 2);
        EXPECT_THROW(log_->flush(), MachineError);
        log_->end();
    }
    const ValuePlace after = add("after");
    EXPECT_EQ(after.file, 2);
    EXPECT_EQ(read(before), "before");
    EXPECT_EQ(read(after), "after");
    EXPECT_THAT(numbers(), ElementsAre(1));
}

TEST_F(ValueLogTest, AFileThatCouldNotBeMadeIsNotLost) {
    fill();
    log_->free_files({1});
    {
        const test::DiskCalls failing("values");
        const std::string part(ValueLog::kFileBytes, 'f');
        log_->begin(1);
        EXPECT_THROW(
            {
                log_->append(part, 2);
                log_->append(part, 2);
            },
            MachineError);
        log_->end();
    }
    fill();
    EXPECT_THAT(names(), SizeIs(testing::Le(3u)));
}

TEST_F(ValueLogTest, ManyThreadsReadWhileOneAppendsAndFilesAreFreed) {
    std::mutex mutex;
    std::vector<ValuePlace> places;
    std::atomic<bool> over = false;
    std::atomic<int> wrong = 0;
    const auto read_some = [&] {
        while (!over) {
            const ValueLog::Reading reading(*log_);
            std::vector<ValuePlace> known;
            {
                const std::scoped_lock guard(mutex);
                known = places;
            }
            for (const ValuePlace& place : known) {
                const auto value = log_->read(place);
                if (!value || *value != std::string(100'000, static_cast<char>('a' + place.offset % 26)))
                    wrong += 1;
            }
        }
    };
    std::thread first(read_some);
    std::thread second(read_some);
    std::int64_t offset = 0;
    std::int64_t file = 1;
    for (int i = 0; i < 1000; ++i) {
        // The value says where it lies: its place is known before.
        ValuePlace place = add(std::string(100'000, static_cast<char>('a' + offset % 26)), i + 1);
        if (place.file != file) {  // it was made for the end of the file before
            place = add(std::string(100'000, static_cast<char>('a' + (place.offset + 100'016) % 26)), i + 1);
            const std::scoped_lock guard(mutex);
            places.clear();
            file = place.file;
        }
        offset = place.offset + 100'016;
        {
            const std::scoped_lock guard(mutex);
            places.push_back(place);
            if (places.size() > 20) places.erase(places.begin());
        }
        if (i % 50 == 0) {
            log_->free_files(numbers());
            log_->remove_spares();
        }
    }
    over = true;
    first.join();
    second.join();
    EXPECT_EQ(wrong, 0);
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

/// The log in the transactions of a database.
class ValueLogOfADatabase : public testing::Test {
  protected:
    static constexpr std::size_t kLarge = 300 * kKiB;

    boost::asio::awaitable<Result<ValuePlace>> put(int row, char what, bool refused = false) {
        auto work = [row, what, refused](Connection& connection) -> Result<ValuePlace> {
            const ValuePlace place = connection.values()->append(std::string(kLarge, what), row);
            connection.prepare("INSERT INTO delivery(message,count) VALUES(?,1)").bind(row).run();
            if (refused) return Error{Errc::conflict, "refused"};
            return place;
        };
        co_return co_await database_->write(std::move(work));
    }
    std::int64_t rows() {
        auto work = [](Connection& connection) {
            return connection.integer("SELECT count(*) FROM delivery");
        };
        return test::run(io_, database_->read(std::move(work)));
    }
    std::string read(const ValuePlace& place) {
        auto work = [place](Connection& connection) { return connection.values()->read(place).value(); };
        return test::run(io_, database_->read(std::move(work)));
    }

    test::TemporaryDirectory directory_;
    boost::asio::io_context io_;
    std::unique_ptr<Database> database_ =
        std::move(Database::open(io_.get_executor(), {directory_.path()}).value());
};

TEST_F(ValueLogOfADatabase, FlushesValuesAndTheNamesOfTheirFilesBeforeItCommits) {
    test::DiskCalls calls;
    ASSERT_TRUE(test::run(io_, put(1, 'a')));
    EXPECT_THAT(calls.take(),
                ElementsAre("flush folder values", "flush 0000000001", "flush millrace.db-wal"));
    ASSERT_TRUE(test::run(io_, put(2, 'b')));
    EXPECT_THAT(calls.take(), ElementsAre("flush 0000000001", "flush millrace.db-wal"));
}

TEST_F(ValueLogOfADatabase, CommitsNothingWhoseValueCouldNotBeFlushed) {
    const ValuePlace before = test::run(io_, put(1, 'a')).value();
    {
        const test::DiskCalls failing("values/0000000001");
        EXPECT_THROW((void)test::run(io_, put(2, 'b')), MachineError);
    }
    EXPECT_EQ(rows(), 1);
    const ValuePlace after = test::run(io_, put(3, 'c')).value();
    EXPECT_EQ(rows(), 2);
    EXPECT_EQ(read(before), std::string(kLarge, 'a'));
    EXPECT_EQ(read(after), std::string(kLarge, 'c'));
}

TEST_F(ValueLogOfADatabase, ACommandThatIsRefusedLeavesThoseOfItsNeighboursAlone) {
    std::promise<void> gate;
    auto wait_for_gate = [opened = gate.get_future().share()](Connection&) {
        opened.wait();
        return true;
    };
    const auto begin = [this](auto work) {
        return boost::asio::co_spawn(io_, std::move(work), boost::asio::use_future);
    };
    auto held = begin(database_->write(std::move(wait_for_gate)));
    auto first = begin(put(1, 'a'));
    auto refused = begin(put(2, 'b', true));
    auto second = begin(put(3, 'c'));
    io_.poll();
    gate.set_value();
    const auto work = boost::asio::make_work_guard(io_);
    const auto finish = [this](auto& future) {
        while (future.wait_for(std::chrono::seconds(0)) != std::future_status::ready) io_.run_one();
        return future.get();
    };
    finish(held);
    const auto place_of_first = finish(first);
    EXPECT_TRUE(finish(refused).has_error());
    const auto place_of_second = finish(second);
    EXPECT_EQ(rows(), 2);
    EXPECT_EQ(read(place_of_first.value()), std::string(kLarge, 'a'));
    EXPECT_EQ(read(place_of_second.value()), std::string(kLarge, 'c'));
}

}  // namespace
}  // namespace millrace::store
