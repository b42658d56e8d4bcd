// Kills the server at random moments under load and looks whether a promise was broken: every accepted
// document ends searchable or dead-lettered, once, whole, and nothing else is left behind. `--sessions` does
// the same to a queue with sessions: every message once and in order. `--poison` counts the starts that a
// message which kills its process costs.
//
//     bench_crash [--server PATH] [--kills N] [--session-kills N] [--seed N] [--json PATH]
#include "base/async.hpp"
#include "base/ids.hpp"
#include "bench/support/client.hpp"
#include "bench/support/process.hpp"
#include "bench/support/program.hpp"
#include "bench/support/session_child.hpp"
#include "store/sqlite.hpp"

#include <cstdio>
#include <fstream>
#include <map>
#include <random>
#include <set>

namespace millrace::bench {
namespace {

namespace fs = std::filesystem;
using SteadyTime = std::chrono::steady_clock;
using std::chrono::milliseconds;

struct Arguments {
    std::string self;
    std::string server;
    int kills = 200;
    int session_kills = 100;
    unsigned seed = std::random_device{}();
    std::string json;
    std::string child;      ///< directory, when this process is the session child
    std::string child_mode;
};

Arguments parse(int argc, char** argv) {
    Arguments arguments;
    arguments.self = fs::canonical("/proc/self/exe");
    arguments.server = fs::path(arguments.self).parent_path().parent_path() / "millrace";
    for (int i = 1; i + 1 < argc; i += 2) {
        const std::string_view name = argv[i];
        const std::string value = argv[i + 1];
        if (name == "--server")
            arguments.server = value;
        else if (name == "--kills")
            arguments.kills = std::stoi(value);
        else if (name == "--session-kills")
            arguments.session_kills = std::stoi(value);
        else if (name == "--seed")
            arguments.seed = static_cast<unsigned>(std::stoul(value));
        else if (name == "--json")
            arguments.json = value;
        else if (name == "--child")
            arguments.child = value;
        else if (name == "--child-mode")
            arguments.child_mode = value;
        else
            throw std::runtime_error("unknown argument " + std::string(name));
    }
    return arguments;
}

/// What went wrong, each as a line; none is a success.
class Verdict {
  public:
    void expect(bool holds, const std::string& otherwise) {
        checks_ += 1;
        if (holds) return;
        failures_ += 1;
        if (failures_ <= 20) std::printf("BROKEN: %s\n", otherwise.c_str());
    }
    int checks() const { return checks_; }
    int failures() const { return failures_; }

  private:
    int checks_ = 0;
    int failures_ = 0;
};

/// A document as its sender knows it.
struct Sent {
    int version = 0;        ///< newest that was answered with 202
    bool damaged = false;   ///< must end as a dead letter
};

std::string token_of(const std::string& id, int version) {
    return "tok" + sha256_hex(id + "/" + std::to_string(version)).substr(0, 24);
}

std::string content_of(const std::string& id, int version) {
    std::string text;
    for (int paragraph = 0; paragraph < 4; ++paragraph) {
        text += "# Part " + std::to_string(paragraph) + "\n\n";
        for (int i = 0; i < 12; ++i)
            text += "The wheel of " + id + " turns in the race, line " + std::to_string(i) + ". ";
        text += paragraph == version % 4 ? token_of(id, version) + ".\n\n" : "\n\n";
    }
    return text;
}

/// Sends documents, and new versions of them, until told to stop; a request without an answer is sent again
/// with the same Idempotency-Key until it has one.
class Load {
  public:
    Load(const asio::any_io_executor& io, Client& client, unsigned seed)
        : io_(io), client_(client), random_(seed) {}

    void start(int workers) {
        for (int worker = 0; worker < workers; ++worker) {
            running_ += 1;
            spawn(io_, work(worker));
        }
    }
    void stop() { stopping_ = true; }
    bool ended() const { return running_ == 0; }

    std::map<std::string, Sent> sent;
    std::uint64_t accepted = 0;
    std::uint64_t repeated = 0;

  private:
    asio::awaitable<void> work(int worker) {
        for (int number = 0; !stopping_; ++number) {
            const bool update = number > 3 && random_() % 4 == 0;
            const int which = update ? static_cast<int>(random_() % static_cast<unsigned>(number)) : number;
            const std::string id = "w" + std::to_string(worker) + "/d" + std::to_string(which);
            const auto known = sent.find(id);
            if (known != sent.end() && known->second.damaged) continue;
            Sent next;
            next.version = known == sent.end() ? 1 : known->second.version + 1;
            next.damaged = known == sent.end() && random_() % 16 == 0;
            co_await send_until_answered(id, next);
            co_await pause(
                milliseconds(20));  // enough load to be killed in the middle of, few enough to check
        }
        running_ -= 1;
    }

    asio::awaitable<void> send_until_answered(std::string id, Sent next) {
        const std::string key = to_hex(random_uuid());
        const json::object body{{"id", id}, {"title", id}, {"content", content_of(id, next.version)}};
        const std::string path = next.damaged ? "/v1/documents?id=" + escape(id) : "/v1/documents";
        const std::string type = next.damaged ? "application/pdf" : "application/json";
        const std::string bytes = next.damaged ? "%PDF-1.7 " + id : json::serialize(body);
        const provider::HttpFields headers{{"Content-Type", type}, {"Idempotency-Key", key}};
        while (true) {
            auto answer = co_await client_.send("POST", path, bytes, headers, std::chrono::seconds(20));
            if (answer.status == 202) break;
            if (answer.status != 0 && answer.status != 409 && answer.status < 500) {
                throw std::runtime_error("POST answered " + std::to_string(answer.status) + ": " +
                                         answer.body);
            }
            repeated += 1;
            co_await pause(milliseconds(20));
        }
        accepted += 1;
        sent[id] = next;
    }

    static std::string escape(const std::string& id) {
        std::string text;
        for (const char c : id) text += c == '/' ? std::string("%2F") : std::string(1, c);
        return text;
    }

    asio::awaitable<void> pause(milliseconds time) {
        asio::steady_timer timer(io_, time);
        co_await timer.async_wait(asio::use_awaitable);
    }

    asio::any_io_executor io_;
    Client& client_;
    std::mt19937 random_;
    bool stopping_ = false;
    int running_ = 0;
};

/// The whole test on documents.
class DocumentCrash {
  public:
    DocumentCrash(Arguments arguments, fs::path directory, Verdict& verdict)
        : arguments_(std::move(arguments)),
          directory_(std::move(directory)),
          verdict_(verdict),
          port_(free_port()),
          base_("http://127.0.0.1:" + std::to_string(port_)),
          client_(io_.get_executor(), base_),
          load_(io_.get_executor(), client_, arguments_.seed),
          random_(arguments_.seed) {}

    void run() {
        asio::co_spawn(io_, all(), [](std::exception_ptr failure) {
            if (failure) std::rethrow_exception(failure);
        });
        io_.run();
    }

    std::uint64_t accepted() const { return load_.accepted; }
    std::uint64_t repeated() const { return load_.repeated; }
    std::size_t documents() const { return load_.sent.size(); }

  private:
    asio::awaitable<void> all() {
        start_server();
        load_.start(8);
        for (int kill = 1; kill <= arguments_.kills; ++kill) {
            co_await wait_ready();
            co_await pause(milliseconds(20 + random_() % 600));
            server_.kill();
            start_server();
            if (kill % 20 == 0) {
                std::printf("%4d kills, %llu accepted\n", kill,
                            static_cast<unsigned long long>(load_.accepted));
                std::fflush(stdout);
            }
        }
        load_.stop();
        co_await wait_ready();
        while (!load_.ended()) co_await pause(milliseconds(20));
        co_await wait_all_ended();
        co_await check_searches();
        co_await check_dead_letters();
        client_.stop();
        verdict_.expect(server_.terminate() == 0, "the server did not end in order on SIGTERM");
        check_rows();
    }

    void start_server() {
        const std::string config = directory_ / "millrace.toml";
        if (!fs::exists(config)) {
            std::ofstream(config) << "[[deployments]]\nname = \"embed\"\nprovider = \"local-hash\"\n";
        }
        server_.start({arguments_.server, "serve", "--config", config, "--data", directory_ / "server",
                       "--listen", "127.0.0.1:" + std::to_string(port_)},
                      directory_ / "server.log");
    }

    asio::awaitable<void> pause(milliseconds time) {
        asio::steady_timer timer(io_, time);
        co_await timer.async_wait(asio::use_awaitable);
    }

    asio::awaitable<void> wait_ready() {
        while (true) {
            int code = 0;
            if (server_.ended(code)) {
                throw std::runtime_error("the server ended by itself with " + std::to_string(code) +
                                         "; see " + (directory_ / "server.log").string());
            }
            auto answer = co_await client_.get("/readyz");
            if (answer.status == 200) co_return;
            co_await pause(milliseconds(5));
        }
    }

    asio::awaitable<json::value> find(std::string id) {
        auto answer = co_await client_.get("/v1/documents/" + id);
        if (answer.status != 200) co_return json::value();
        co_return json::parse(answer.body);
    }

    asio::awaitable<void> wait_all_ended() {
        const auto give_up = SteadyTime::now() + std::chrono::minutes(10);
        for (const auto& [id, sent] : load_.sent) {
            std::string status;
            while (status != "succeeded" && status != "failed" && SteadyTime::now() < give_up) {
                if (!status.empty()) co_await pause(milliseconds(20));
                const json::value document = co_await find(id);
                verdict_.expect(document.is_object(), id + " was accepted and is lost");
                if (!document.is_object()) break;
                status = document.at("status").as_string();
            }
            const std::string expected = sent.damaged ? "failed" : "succeeded";
            verdict_.expect(status == expected, id + " ended as \"" + status + "\", not " + expected);
        }
    }

    asio::awaitable<json::value> search(std::string query) {
        json::value request = json::object{{"query", query}, {"mode", "keyword"}};
        auto answer = co_await client_.post("/v1/search", std::move(request));
        co_return answer.status == 200 ? json::parse(answer.body) : json::value();
    }

    asio::awaitable<void> check_searches() {
        for (const auto& [id, sent] : load_.sent) {
            if (sent.damaged) continue;
            const json::value found = co_await search(token_of(id, sent.version));
            std::size_t hits = 0;
            if (found.is_object()) {
                for (const auto& hit : found.at("results").as_array()) {
                    hits += hit.at("documentId").as_string() == id.c_str();
                    verdict_.expect(hit.at("documentId").as_string() == id.c_str(),
                                    id + ": its word is found elsewhere");
                }
            }
            verdict_.expect(hits == 1, id + " is found " + std::to_string(hits) + " times, not once");
            if (sent.version < 2) continue;
            const json::value old = co_await search(token_of(id, sent.version - 1));
            verdict_.expect(old.is_object() && old.at("results").as_array().empty(),
                            id + ": an old version is found");
        }
    }

    asio::awaitable<void> check_dead_letters() {
        std::int64_t damaged = 0;
        for (const auto& [id, sent] : load_.sent) damaged += sent.damaged;
        auto answer = co_await client_.get("/v1/queues/document-ingestion");
        const std::int64_t dead =
            answer.status == 200 ? json::parse(answer.body).at("deadLettered").to_number<std::int64_t>() : -1;
        verdict_.expect(dead == damaged, "dead letters: " + std::to_string(dead) +
                                             ", damaged documents: " + std::to_string(damaged));
    }

    void check_rows() {
        store::SqliteConnection connection(directory_ / "server/millrace.db", store::Access::read_write);
        const auto zero = [&](const char* what, const char* sql) {
            const std::int64_t count = connection.integer(sql);
            verdict_.expect(count == 0, std::string(what) + ": " + std::to_string(count));
        };
        zero("orphan chunks",
             "SELECT count(*) FROM chunk c LEFT JOIN version v ON v.id=c.version LEFT JOIN document d "
             "ON d.id=v.document AND d.live=v.generation AND v.live=1 WHERE d.id IS NULL");
        zero("orphan vectors", "SELECT count(*) FROM chunk_vector WHERE chunk NOT IN (SELECT id FROM chunk)");
        zero("versions that search sees and the document does not",
             "SELECT count(*) FROM version v LEFT JOIN document d "
             "ON d.id=v.document AND d.live=v.generation WHERE v.live=1 AND d.id IS NULL");
        zero("documents whose chunks don't add up",
             "SELECT count(*) FROM document d WHERE d.live>0 AND d.chunks<>(SELECT count(*) FROM chunk c "
             "JOIN version v "
             "ON v.id=c.version WHERE v.document=d.id)");
        zero("words of chunks that are gone",
             "SELECT (SELECT count(*) FROM chunk_words_docsize) - (SELECT count(*) FROM chunk)");
        zero("blobs of documents that are ready",
             "SELECT count(*) FROM blob b JOIN document d ON d.id=b.document "
             "WHERE d.status='succeeded'");
        zero("messages left in working queues",
             "SELECT count(*) FROM message m JOIN entity e ON e.id=m.entity WHERE "
             "e.name NOT LIKE '%$DeadLetterQueue'");
        const std::string integrity = [&] {
            auto& row = connection.prepare("PRAGMA integrity_check");
            std::string text = row.step() ? row.string(0) : "";
            row.reset();
            return text;
        }();
        verdict_.expect(integrity == "ok", "integrity_check: " + integrity);
    }

    Arguments arguments_;
    fs::path directory_;
    Verdict& verdict_;
    asio::io_context io_;
    unsigned short port_;
    std::string base_;
    Client client_;
    Load load_;
    std::mt19937 random_;
    Process server_;
};

void crash_sessions(const Arguments& arguments, const fs::path& directory, Verdict& verdict) {
    std::mt19937 random(arguments.seed);
    const std::string log = directory / "sessions.log";
    const std::string data = directory / "sessions";
    Process child;
    for (int kill = 0; kill < arguments.session_kills; ++kill) {
        fs::remove(SessionChild::sign_of_life(data));
        child.start({arguments.self, "--child", data, "--child-mode", "load"}, log);
        // Every other one is killed while it sends, however long its start takes; the others at any moment.
        for (int i = 0; kill % 2 == 0 && i < 30'000 && !fs::exists(SessionChild::sign_of_life(data)); ++i)
            ::usleep(1000);
        ::usleep(static_cast<useconds_t>(1000 * (30 + random() % 250)));
        child.kill();
    }
    child.start({arguments.self, "--child", data, "--child-mode", "drain"}, log);
    verdict.expect(child.wait() == 0, "the session child could not drain its queue");
    const SessionLedger ledger = read_ledger(data);
    verdict.expect(ledger.sent > 0, "no session message was sent");
    for (const auto& problem : ledger.problems) verdict.expect(false, problem);
    std::printf("sessions: %lld messages in %lld sessions over %d kills, each once and in order: %s\n",
                static_cast<long long>(ledger.sent), static_cast<long long>(ledger.sessions),
                arguments.session_kills, ledger.problems.empty() ? "yes" : "NO");
}

void count_poison_starts(const Arguments& arguments, const fs::path& directory, Verdict& verdict) {
    const std::string data = directory / "poison";
    int starts = 0;
    int code = -SIGABRT;
    while (code == -SIGABRT && starts < 100) {
        Process child;
        child.start({arguments.self, "--child", data, "--child-mode", "poison"}, directory / "poison.log");
        code = child.wait();
        starts += code == -SIGABRT;
    }
    std::printf("poison: a message that aborts its process was started %d times, then dead-lettered\n",
                starts);
    verdict.expect(code == 0, "the poison child ended with " + std::to_string(code));
    verdict.expect(starts == limits::delivery_count_max_default,
                   "it took " + std::to_string(starts) + " starts");
}

int run(const Arguments& arguments) {
    if (!arguments.child.empty()) return run_session_child(arguments.child, arguments.child_mode);
    std::string pattern = fs::temp_directory_path() / "millrace-crash-XXXXXX";
    const fs::path directory = ::mkdtemp(pattern.data());
    std::printf("seed %u, data in %s\n", arguments.seed, directory.c_str());
    Verdict verdict;
    DocumentCrash documents(arguments, directory, verdict);
    documents.run();
    std::printf("documents: %d kills, %llu versions of %zu documents accepted, %llu requests repeated\n",
                arguments.kills, static_cast<unsigned long long>(documents.accepted()), documents.documents(),
                static_cast<unsigned long long>(documents.repeated()));
    crash_sessions(arguments, directory, verdict);
    count_poison_starts(arguments, directory, verdict);
    std::printf("%d checks, %d broken\n", verdict.checks(), verdict.failures());
    if (!arguments.json.empty()) {
        std::ofstream(arguments.json)
            << json::object{{"kills", arguments.kills},         {"sessionKills", arguments.session_kills},
                            {"accepted", documents.accepted()}, {"checks", verdict.checks()},
                            {"broken", verdict.failures()},     {"seed", arguments.seed}};
    }
    if (verdict.failures() == 0) fs::remove_all(directory);
    return verdict.failures() == 0 ? 0 : 1;
}

}  // namespace
}  // namespace millrace::bench

int main(int argc, char** argv) {
    return millrace::bench::run_program(
        "bench_crash", [&] { return millrace::bench::run(millrace::bench::parse(argc, argv)); });
}
