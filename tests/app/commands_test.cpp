#include "tests/app/serve_fixture.hpp"

#include <boost/json/parse.hpp>

#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <sstream>

namespace millrace::app {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

TEST(Commands, WrongUsageIsTwoAndSaysWhatWasMeant) {
    struct {
        std::vector<std::string> arguments;
        const char* words;
    } cases[] = {
        {{}, "A subcommand is required"},
        {{"serch", "x"}, "there is no command \"serch\" (did you mean \"search\"?)"},
        {{"search"}, "QUERY is required"},
        {{"search", "x", "--top", "many"}, "--top"},
        {{"search", "x", "--mode", "fast"}, "--mode"},
        {{"queue"}, "A subcommand is required"},
        {{"queue", "show"}, "QUEUE is required"},
        {{"serve", "--prot", "1"}, "--prot"},
        {{"simulate", "--tpm", "-1"}, "--tpm"},
    };
    for (const auto& [arguments, words] : cases) {
        const auto said = millrace_says(arguments);
        EXPECT_EQ(said.code, 2) << words;
        EXPECT_THAT(said.err,
                    AllOf(StartsWith("millrace: "), HasSubstr(words), HasSubstr("millrace --help")));
        EXPECT_EQ(std::count(said.err.begin(), said.err.end(), '\n'), 1) << said.err;
        EXPECT_EQ(said.out, "");
    }
}

TEST(Commands, HelpAndVersionAreZero) {
    EXPECT_EQ(millrace_says({"--version"}).out, "millrace " MILLRACE_VERSION "\n");
    for (const std::vector<std::string>& words :
         {std::vector<std::string>{"--help"}, {"serve", "--help"}, {"dlq", "redrive", "--help"}}) {
        const auto said = millrace_says(words);
        EXPECT_EQ(said.code, 0);
        EXPECT_THAT(said.out, HasSubstr("Usage: millrace"));
    }
}

TEST(Commands, WithoutAServerSayHowToStartOne) {
    for (const std::vector<std::string>& words :
         {std::vector<std::string>{"search", "x"}, {"queue", "list"}, {"dlq", "redrive", "q"}}) {
        const auto said = millrace_says(words);
        EXPECT_EQ(said.code, 1);
        EXPECT_THAT(said.err,
                    AllOf(HasSubstr("no answer from http://127.0.0.1:9"), HasSubstr("millrace serve")));
        EXPECT_EQ(std::count(said.err.begin(), said.err.end(), '\n'), 1) << said.err;
    }
    EXPECT_THAT(millrace_says({"search", "x", "--server", "ftp://x"}).err, HasSubstr("is no server URL"));
}

TEST(Commands, ConfigCheckNamesEveryProblem) {
    const test::TemporaryDirectory directory;
    const std::string file = directory.path() / "millrace.toml";
    std::ofstream(file) << "[server]\nlistne = \"x\"\n[index]\nengine = \"azure-search\"\n";
    const auto wrong = millrace_says({"config", "check", "--config", file});
    EXPECT_EQ(wrong.code, 1);
    EXPECT_THAT(wrong.err, AllOf(HasSubstr(":2: server.listne: unknown key (did you mean \"listen\"?)"),
                                 HasSubstr(":4: index.engine: \"azure-search\" is not in this version")));
    const auto json = millrace_says({"config", "check", "--config", file, "--json"});
    EXPECT_EQ(boost::json::parse(json.out).at("problems").as_array().size(), 2u);
    EXPECT_EQ(json.code, 1);
    EXPECT_THAT(millrace_says({"serve", "--config", file}).err,
                HasSubstr("and 1 more: millrace config check"));

    std::ofstream(file) << "[server]\ndrain_seconds = 3\n";
    const auto right = millrace_says({"config", "check", "--config", file});
    EXPECT_EQ(right.code, 0);
    EXPECT_EQ(right.out, "ok: " + file + "\n");
    EXPECT_THAT(millrace_says({"config", "print", "--config", file}).out, HasSubstr("drain_seconds = 3"));
    EXPECT_THAT(millrace_says({"config", "print"}, {{"MILLRACE_SERVER__LISTEN", "127.0.0.1:7"}}).out,
                HasSubstr("127.0.0.1:7"));
    EXPECT_THAT(millrace_says({"config", "check", "--config", "/nowhere.toml"}).err,
                HasSubstr("can't read /nowhere.toml"));
}

TEST(Commands, ServeRefusesAnOpenAddressWithoutKeys) {
    const auto said = millrace_says({"serve", "--listen", "0.0.0.0:0", "--data", "/nonexistent"});
    EXPECT_EQ(said.code, 1);
    EXPECT_THAT(said.err, AllOf(HasSubstr("callers need a key"), HasSubstr("api_keys_file")));
}

TEST_F(ServeCommand, EndsCleanlyOnASignal) {
    for (const int number : {SIGTERM, SIGINT}) {
        start();
        server_->signal(number);
        EXPECT_EQ(server_->wait(), 0) << server_->err;
        EXPECT_THAT(server_->err, HasSubstr("stopped"));
    }
}

TEST_F(ServeCommand, ASecondServerOnItsDataFails) {
    start();
    const auto second = millrace_says({"serve", "--listen", "127.0.0.1:0", "--data", data()});
    EXPECT_EQ(second.code, 1);
    EXPECT_THAT(second.err, HasSubstr("in use by another server"));
}

TEST_F(ServeCommand, TakesFilesAndFindsThem) {
    start();
    write("wheel.md", "# Wheel\n\nThe mill race carries water to the wheel.");
    write("sub/stone.txt", "The millstone grinds the grain.");
    write("picture.png", "not a document");
    const auto sent =
        ask({"ingest", directory_.path() / "in", "--wait", "--category", "mills", "--id-prefix", "in/"});
    EXPECT_EQ(sent.code, 0) << sent.err;
    EXPECT_THAT(sent.out, AllOf(HasSubstr("2 documents accepted"), HasSubstr("2 searchable, 0 failed"),
                                HasSubstr("1 file passed over")));
    EXPECT_THAT(sent.err, HasSubstr("picture.png: not a type that is read"));

    const auto found = ask({"search", "water", "wheel", "--top", "1"});
    EXPECT_EQ(found.code, 0);
    EXPECT_THAT(found.out, AllOf(HasSubstr("in/wheel.md"), HasSubstr("mill race carries water")));
    const auto json = boost::json::parse(ask({"search", "grain", "--category", "mills", "--json"}).out);
    EXPECT_EQ(json.at("results").at(0).at("documentId"), "in/sub/stone.txt");
    EXPECT_THAT(ask({"search", "grain", "--category", "none"}).out, HasSubstr("0 results"));
    EXPECT_THAT(ask({"queue", "list"}).out, AllOf(HasSubstr("document-ingestion"), HasSubstr("embed-queue")));
    EXPECT_THAT(ask({"queue", "show", "embed-queue"}).out, HasSubstr("options.lockSeconds"));
    EXPECT_EQ(ask({"queue", "peek", "embed-queue"}).out, "no messages\n");
    EXPECT_EQ(ask({"dlq", "list"}).out, "no dead letters\n");
    const auto unknown = ask({"queue", "show", "none"});
    EXPECT_EQ(unknown.code, 1);
}

TEST_F(ServeCommand, FailuresAreToldWithTheirReasonAndCanBeDriven) {
    start();
    const std::string file = write("broken.pdf", "%PDF-1.7 cut off");
    const auto sent = ask({"ingest", file, "--wait"});
    EXPECT_EQ(sent.code, 1);
    EXPECT_THAT(sent.out,
                AllOf(HasSubstr("0 searchable, 1 failed"), HasSubstr("broken.pdf: MalformedPayload")));
    // The operation fails a moment before its message is moved.
    for (int i = 0; i < 1000 && ask({"dlq", "list"}).out == "no dead letters\n"; ++i) {
    }
    EXPECT_THAT(ask({"dlq", "list"}).out, HasSubstr("document-ingestion"));
    EXPECT_THAT(ask({"dlq", "show", "document-ingestion"}).out, HasSubstr("MalformedPayload"));
    EXPECT_EQ(ask({"dlq", "redrive", "document-ingestion", "--dry-run"}).out,
              "1 dead letter would be moved back to document-ingestion\n  1 would fail again\n");
    EXPECT_EQ(ask({"dlq", "drop", "document-ingestion", "--reason", "Other"}).out,
              "0 dead letters dropped\n");
    EXPECT_EQ(ask({"dlq", "drop", "document-ingestion"}).out, "1 dead letter dropped\n");
    EXPECT_EQ(ask({"dlq", "redrive", "document-ingestion", "--rate", "fast"}).code, 1);
    EXPECT_THAT(ask({"ingest", "/nowhere/x"}).err, HasSubstr("/nowhere/x does not exist"));
}

TEST_F(ServeCommand, ADryRunOfAnUploadSaysItsPriceAndAcceptsNothing) {
    start({{"MILLRACE_DEPLOYMENTS__0__PRICE_PROMPT", "1000000"}});
    write("wheel.md", "# Wheel\n\nThe mill race carries water to the wheel.");
    write("stone.txt", "The stone grinds grain.");
    const std::string in = directory_.path() / "in";
    const auto before = ask({"ingest", in, "--dry-run"});
    EXPECT_EQ(before.code, 0) << before.err;
    EXPECT_THAT(before.out,
                AllOf(HasSubstr("2 documents, 2 passages of which 0 have a vector already"),
                      HasSubstr(" tokens to pay for, cost "), HasSubstr("Nothing was accepted.")));
    const auto queue = boost::json::parse(ask({"queue", "show", "document-ingestion", "--json"}).out);
    EXPECT_EQ(queue.at("totals").at("enqueued").to_number<int>(), 0);
    const auto json = boost::json::parse(ask({"ingest", in, "--dry-run", "--json"}).out);
    const auto& first = json.at("documents").at(0);
    EXPECT_EQ(first.at("status"), "estimated");
    EXPECT_GT(first.at("estimate").at("promptTokens").to_number<int>(), 0);
    EXPECT_EQ(first.at("estimate").at("cost").to_number<int>(),
              first.at("estimate").at("promptTokens").to_number<int>());

    EXPECT_EQ(ask({"ingest", in, "--tenant", "acme", "--priority", "batch", "--wait"}).code, 0);
    write("broken.pdf", "%PDF-1.7 cut off");
    EXPECT_THAT(ask({"ingest", in, "--dry-run"}).out,
                AllOf(HasSubstr("3 documents, 2 passages of which 2 have a vector already; 0 tokens to pay"),
                      HasSubstr("broken.pdf: MalformedPayload")));
    EXPECT_EQ(ask({"ingest", in, "--dry-run", "--wait"}).code, 2);
}

TEST_F(ServeCommand, ASignalInTheMiddleOfWorkLosesNothing) {
    start();
    constexpr std::size_t count = 40;
    for (std::size_t i = 0; i < count; ++i)
        write("n" + std::to_string(i) + ".txt",
              "The millstone number " + std::to_string(i) + " grinds grain.");
    EXPECT_EQ(ask({"ingest", directory_.path() / "in", "--id-prefix", "in/"}).code, 0);
    server_->signal(SIGTERM);
    EXPECT_EQ(server_->wait(), 0) << server_->err;
    start();
    const auto waiting = [&] {
        std::int64_t messages = 0;
        const auto queues = boost::json::parse(ask({"queue", "list", "--json"}).out);
        for (const auto& queue : queues.at("queues").as_array())
            for (const char* state : {"active", "locked", "scheduled"})
                messages += queue.at(state).to_number<std::int64_t>();
        return messages;
    };
    for (int i = 0; i < 1000 && waiting() > 0; ++i) {
    }
    const auto found =
        boost::json::parse(ask({"search", "millstone", "--top", "100", "--per-document", "1", "--json"}).out);
    EXPECT_EQ(found.at("results").as_array().size(), count);
    EXPECT_EQ(ask({"dlq", "list"}).out, "no dead letters\n");
}

TEST_F(ServeCommand, CallersNeedTheirKey) {
    const std::string keys = directory_.path() / "keys";
    std::ofstream(keys) << "alpha\n";
    start({{"MILLRACE_SERVER__API_KEYS_FILE", keys}});
    const auto without = ask({"queue", "list"});
    EXPECT_EQ(without.code, 1);
    EXPECT_THAT(without.err, HasSubstr("set MILLRACE_API_KEY"));
    EXPECT_EQ(ask({"queue", "list"}, "alpha").code, 0);
    EXPECT_THAT(server_->err.find("alpha"), std::string::npos);
}

TEST_F(ServeCommand, TellsTheServiceManagerThatItIsReady) {
    const std::string path = directory_.path() / "notify";
    const int receiver = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    ASSERT_EQ(::bind(receiver, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    start({{"NOTIFY_SOCKET", path}});
    char text[256] = {};
    EXPECT_GT(::recv(receiver, text, sizeof text - 1, 0), 0);
    EXPECT_THAT(std::string(text), StartsWith("READY=1"));
    ::close(receiver);
}

TEST(DemoCommand, EndsWithSearchesThatFindWhatTheyShould) {
    const test::TemporaryDirectory directory;
    const auto said =
        millrace_says({"demo", "--once", "--listen", "127.0.0.1:0", "--data", directory.path() / "data"},
                      {{"MILLRACE_SAMPLES", MILLRACE_SOURCE_DIR "/samples"}, {"COLUMNS", "100"}});
    EXPECT_EQ(said.code, 0) << said.err;
    EXPECT_THAT(said.out,
                AllOf(HasSubstr("searchable"), HasSubstr("keep readers from blocking the writer"),
                      HasSubstr("sqlite-wal.html"), HasSubstr("extractive"), HasSubstr("What to try next")));
    EXPECT_EQ(said.out.find('\x1b'), std::string::npos) << "no escapes in a pipe";
    std::istringstream lines(said.out);
    for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 140u) << line;
}

}  // namespace
}  // namespace millrace::app
