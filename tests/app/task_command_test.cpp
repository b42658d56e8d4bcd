#include "tests/app/serve_fixture.hpp"

#include <boost/json/parse.hpp>

namespace millrace::app {
namespace {

using testing::AllOf;
using testing::HasSubstr;

constexpr char kText[] =
    "Ada Lovelace wrote to Charles Babbage in London. Ada Lovelace loved the wonderful engine. "
    "The engine was excellent, and the letters were a delight. Charles Babbage was happy.";

class TaskCommand : public ServeCommand {
  protected:
    TaskCommand() { file_ = write("letter.txt", kText); }
    std::string file_;
};

TEST_F(TaskCommand, EveryTypeIsAnsweredReadably) {
    start();
    const std::pair<std::vector<std::string>, const char*> cases[] = {
        {{"summarize"}, "Ada Lovelace"}, {{"entities"}, "Charles Babbage"},
        {{"sentiment"}, "positive"},     {{"classify", "--option", "labels=letter,invoice"}, "("},
        {{"embed"}, "1 vector of "},     {{"analyze"}, "sentiment"},
    };
    for (const auto& [words, expected] : cases) {
        std::vector<std::string> arguments{"task", words.front(), file_, "--wait"};
        arguments.insert(arguments.end(), words.begin() + 1, words.end());
        const auto said = ask(arguments);
        EXPECT_EQ(said.code, 0) << words.front() << said.err;
        EXPECT_THAT(said.out, HasSubstr(expected));
        EXPECT_EQ(said.out.find("{"), std::string::npos) << said.out;
    }
    EXPECT_THAT(ask({"task", "sentiment", file_, "--wait"}).out, HasSubstr("by local-extractive"));
}

TEST_F(TaskCommand, TheSameIdIsWorkedOnOnceAndJsonIsTheTask) {
    start();
    const std::vector<std::string> words{"task", "sentiment", file_,      "--wait", "--json",
                                         "--id", "t/1",       "--tenant", "acme"};
    const auto first = boost::json::parse(ask(words).out);
    EXPECT_EQ(first.at("id").as_string(), "t/1");
    EXPECT_EQ(first.at("tenant").as_string(), "acme");
    EXPECT_EQ(first.at("result").at("sentiment").as_string(), "positive");
    EXPECT_EQ(first.at("attempts").to_number<int>(), 1);
    const auto second = boost::json::parse(ask(words).out);
    EXPECT_EQ(second.at("attempts").to_number<int>(), 1);
    EXPECT_EQ(second.at("operation"), first.at("operation"));
}

TEST_F(TaskCommand, ADryRunAcceptsNothing) {
    start();
    EXPECT_THAT(ask({"task", "analyze", file_, "--dry-run"}).out,
                AllOf(HasSubstr("3 calls to "), HasSubstr("nothing was accepted")));
    const auto queue = boost::json::parse(ask({"queue", "show", "ai-tasks", "--json"}).out);
    EXPECT_EQ(queue.at("totals").at("enqueued").to_number<int>(), 0);
}

TEST_F(TaskCommand, WhatIsWrongIsOneLine) {
    start();
    const std::pair<std::vector<std::string>, const char*> cases[] = {
        {{"task", "sumarize", file_}, "there is no task \"sumarize\" (did you mean \"summarize\"?)"},
        {{"task", "summarize", "/nowhere"}, "can't read /nowhere"},
        {{"task", "summarize", file_, "--option", "maxWords"}, "write NAME=VALUE"},
        {{"task", "summarize", file_, "--option", "maxWords=none"}, "\"maxWords\" is not a whole number"},
        {{"task", "classify", file_}, "labels are missing"},
        {{"task", "sentiment", "--document", "none", "--wait"}, "there is no document \"none\""},
    };
    for (const auto& [words, expected] : cases) {
        const auto said = ask(words);
        EXPECT_EQ(said.code, 1);
        EXPECT_THAT(said.err, HasSubstr(expected));
        EXPECT_EQ(std::count(said.err.begin(), said.err.end(), '\n'), 1) << said.err;
    }
}

TEST_F(TaskCommand, ADocumentIsReadOnceItIsReady) {
    start();
    ask({"ingest", directory_.path() / "in", "--id-prefix", "in/"});
    const auto said = ask({"task", "entities", "--document", "in/letter.txt", "--wait"});
    EXPECT_EQ(said.code, 0) << said.err;
    EXPECT_THAT(said.out, HasSubstr("Ada Lovelace"));
}

}  // namespace
}  // namespace millrace::app
