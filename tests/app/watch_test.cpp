#include "app/watch.hpp"
#include "broker/broker.hpp"
#include "telemetry/log.hpp"
#include "tests/support/run.hpp"
#include "tests/support/temporary_directory.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

namespace millrace::app {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;

class FolderWatchTest : public testing::Test {
  protected:
    FolderWatchTest() {
        fs::create_directories(folder());
        auto database = store::Database::open(io_.get_executor(), {directory_.path() / "data"});
        database_ = std::move(database.value());
        auto broker = test::run(io_, broker::Broker::open(*database_, clock_, {}));
        broker_ = std::move(broker.value());
        test::run(io_, broker_->put_entity(work::queue::ingestion, {})).value();
        blobs_.emplace(directory_.path() / "data");
        handover_.emplace(*database_, *database_, *broker_);
        documents_.emplace(*database_, *blobs_, pool_, *handover_, clock_);
        test::run(io_, documents_->start());
        telemetry::configure_log(
            {.sink = [this](std::string_view line) { log_ += std::string(line) + "\n"; }});
        restart();
    }
    ~FolderWatchTest() override {
        telemetry::configure_log({});
        test::run(io_, broker_->stop());
        broker_.reset();
        database_->stop();
    }

    fs::path folder() const { return directory_.path() / "in"; }

    void write(const std::string& name, const std::string& text) {
        fs::create_directories((folder() / name).parent_path());
        std::ofstream(folder() / name) << text;
        // Distinct times even where the file system's clock is coarse.
        fs::last_write_time(folder() / name,
                            fs::file_time_type(std::chrono::seconds(1'700'000'000 + ++ticks_)));
    }

    std::size_t look() { return test::run(io_, watch_->look()).value(); }

    void restart(WatchEntry entry = {}) {
        entry.path = folder().string();
        watch_.emplace(entry, *database_, *documents_, pool_, clock_);
    }

    std::vector<std::string> ids() {
        std::vector<std::string> list;
        for (const auto& document : test::run(io_, documents_->list({}))) list.push_back(document.id);
        return list;
    }

    test::TemporaryDirectory directory_;
    boost::asio::io_context io_;
    ManualClock clock_;
    CpuPool pool_{1};
    std::unique_ptr<store::Database> database_;
    std::unique_ptr<broker::Broker> broker_;
    std::optional<store::Blobs> blobs_;
    std::optional<work::Handover> handover_;
    std::optional<work::Documents> documents_;
    std::optional<FolderWatch> watch_;
    std::string log_;
    int ticks_ = 0;
};

TEST_F(FolderWatchTest, AFileIsTakenOnceItStandsStill) {
    write("a.txt", "one");
    EXPECT_EQ(look(), 0u) << "one look can't tell whether it is still being written";
    write("a.txt", "one two");
    EXPECT_EQ(look(), 0u);
    EXPECT_EQ(look(), 1u);
    EXPECT_EQ(look(), 0u);
    EXPECT_THAT(ids(), ElementsAre("a.txt"));
}

TEST_F(FolderWatchTest, AChangedFileIsANewGeneration) {
    write("a.txt", "one");
    look(), look();
    const auto first = test::run(io_, documents_->find("a.txt"))->generation;
    write("a.txt", "two");
    look();
    EXPECT_EQ(look(), 1u);
    EXPECT_GT(test::run(io_, documents_->find("a.txt"))->generation, first);
}

TEST_F(FolderWatchTest, ARestartTakesNothingTwice) {
    write("a.txt", "one");
    look(), look();
    restart();
    EXPECT_EQ(look() + look(), 0u);
}

TEST_F(FolderWatchTest, ARemovedFileLeavesItsDocument) {
    write("a.txt", "one");
    look(), look();
    fs::remove(folder() / "a.txt");
    EXPECT_EQ(look(), 0u);
    EXPECT_THAT(ids(), ElementsAre("a.txt"));
}

TEST_F(FolderWatchTest, FoldersBecomeCategoriesAndPartOfTheId) {
    restart({.id_prefix = "in/"});
    write("manuals/wal.md", "# WAL");
    look(), look();
    EXPECT_EQ(test::run(io_, documents_->find("in/manuals/wal.md"))->category, "manuals");
    restart({.category = "all", .recursive = false});
    write("deep/b.txt", "b");
    write("c.txt", "c");
    look(), look();
    EXPECT_THAT(ids(), ElementsAre("c.txt", "in/manuals/wal.md"));
    EXPECT_EQ(test::run(io_, documents_->find("c.txt"))->category, "all");
}

TEST_F(FolderWatchTest, WhatCannotBeReadIsNotedOnce) {
    write("picture.png", "x");
    write("empty.txt", "");
    write(".hidden.txt", "x");
    write("half.txt.part", "x");
    fs::create_symlink("/etc/hostname", folder() / "link.txt");
    for (int i = 0; i < 4; ++i) EXPECT_EQ(look(), 0u);
    const auto times = [&](const std::string& words) {
        int count = 0;
        for (auto at = log_.find(words); at != std::string::npos; at = log_.find(words, at + 1)) ++count;
        return count;
    };
    EXPECT_EQ(times("picture.png"), 1) << log_;
    EXPECT_EQ(times("empty.txt"), 1) << log_;
    EXPECT_EQ(times("hidden") + times("half") + times("link"), 0) << log_;
}

TEST_F(FolderWatchTest, AFolderThatIsNotThereIsAnErrorAndNoCrash) {
    fs::remove_all(folder());
    const auto looked = test::run(io_, watch_->look());
    ASSERT_FALSE(looked);
    EXPECT_THAT(looked.error().detail, HasSubstr("can't read the folder"));
    write("a.txt", "back");
    look();
    EXPECT_EQ(look(), 1u);
}

}  // namespace
}  // namespace millrace::app
