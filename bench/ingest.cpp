// Documents per second from POST to searchable, with the local model and with a remote one of 200 ms latency;
// the time of an answer at a fixed rate of requests while ingesting; and where the time goes, by stage.
//
//     bench_ingest [--server PATH] [--documents N] [--rate PER_SECOND] [--seconds N] [--json PATH]
#include "base/async.hpp"
#include "bench/support/client.hpp"
#include "bench/support/folder.hpp"
#include "bench/support/process.hpp"
#include "bench/support/program.hpp"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>

namespace millrace::bench {
namespace {

namespace fs = std::filesystem;
using SteadyTime = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;

constexpr int kLatencyMillis = 200;

struct Arguments {
    std::string server;
    int documents = 400;
    int rate = 500;
    int seconds = 10;
    std::string json;
};

Arguments parse(int argc, char** argv) {
    Arguments arguments;
    arguments.server = fs::canonical("/proc/self/exe").parent_path().parent_path() / "millrace";
    for (int i = 1; i + 1 < argc; i += 2) {
        const std::string_view name = argv[i];
        const std::string value = argv[i + 1];
        if (name == "--server")
            arguments.server = value;
        else if (name == "--documents")
            arguments.documents = std::stoi(value);
        else if (name == "--rate")
            arguments.rate = std::stoi(value);
        else if (name == "--seconds")
            arguments.seconds = std::stoi(value);
        else if (name == "--json")
            arguments.json = value;
        else
            throw std::runtime_error("unknown argument " + std::string(name));
    }
    return arguments;
}

/// About 1.8 KiB of text that no other number gives: four passages of the local model.
std::string text_of(int number) {
    static constexpr const char* kWords[] = {"mill",  "river",  "wheel",   "stone", "grain", "water",
                                             "gate",  "sluice", "flour",   "weir",  "dam",   "bucket",
                                             "shaft", "gear",   "channel", "pond"};
    std::mt19937 random(static_cast<unsigned>(number));
    std::string text;
    for (int word = 0; word < 300; ++word) {
        text += kWords[random() % std::size(kWords)];
        text += word % 3 == 2 ? std::to_string(random() % 1000) : std::string();
        text += word % 15 == 14 ? ". " : " ";
    }
    return text;
}

double percentile(std::vector<double> values, double share) {
    if (values.empty()) return 0;
    const auto rank = static_cast<std::size_t>(share * static_cast<double>(values.size() - 1));
    std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(rank), values.end());
    return values[rank];
}

/// A server with its data directory, and if it is wanted a simulated provider beside it.
class Setting {
  public:
    Setting(const Arguments& arguments, std::string deployment, bool simulated)
        : port_(free_port()), client_(io_.get_executor(), "http://127.0.0.1:" + std::to_string(port_)) {
        const fs::path& directory = folder_.path();
        const std::string log = directory / "log";
        std::ofstream config(directory / "millrace.toml");
        config << "[[deployments]]\nname = \"embed\"\nprovider = \"" << deployment << "\"\n";
        if (simulated) {
            const unsigned short simulator_port = free_port();
            config << "model = \"text-embedding-3-small\"\ndimensions = 256\nendpoint = \"http://127.0.0.1:"
                   << simulator_port << "/v1\"\n";
            simulator_.start(
                {arguments.server, "simulate", "--listen", "127.0.0.1:" + std::to_string(simulator_port),
                 "--latency", std::to_string(kLatencyMillis)},
                log);
        }
        config.close();
        server_.start({arguments.server, "serve", "--config", directory / "millrace.toml", "--data",
                       directory / "data", "--listen", "127.0.0.1:" + std::to_string(port_)},
                      log);
    }

    ~Setting() {
        server_.terminate();
        if (simulator_.running()) simulator_.terminate();
    }

    /// Runs `work` to its end.
    void run(asio::awaitable<void> work) {
        std::exception_ptr failure;
        bool ended = false;
        asio::co_spawn(io_, std::move(work), [&](std::exception_ptr thrown) {
            failure = thrown;
            ended = true;
        });
        io_.restart();
        while (!ended && io_.run_one() > 0) {
        }
        if (failure) std::rethrow_exception(failure);
    }

    asio::awaitable<void> wait_ready() {
        while (true) {
            auto answer = co_await client_.get("/readyz");
            if (answer.status == 200) co_return;
            co_await pause(std::chrono::milliseconds(20));
        }
    }

    /// Posts documents `first` to `last` (not included), `at_once` requests at a time.
    asio::awaitable<void> post_all(int first, int last, int at_once) {
        int next = first;
        int running = 0;
        auto worker = [&]() -> asio::awaitable<void> {
            while (next < last) {
                const int number = next++;
                co_await post(number);
            }
            running -= 1;
        };
        for (int i = 0; i < at_once; ++i) {
            running += 1;
            spawn(io_.get_executor(), worker());
        }
        while (running > 0) co_await pause(std::chrono::milliseconds(2));
    }

    /// Posts at a fixed rate whatever the answers do; the time from when each was due to its answer.
    asio::awaitable<std::vector<double>> post_at_rate(int first, int rate, int seconds) {
        std::vector<double> millis;
        int running = 0;
        const auto start = SteadyTime::now();
        auto one = [&](int number, SteadyTime::time_point due) -> asio::awaitable<void> {
            co_await post(number);
            millis.push_back(std::chrono::duration<double, std::milli>(SteadyTime::now() - due).count());
            running -= 1;
        };
        for (int i = 0; i < rate * seconds; ++i) {
            const auto due = start + std::chrono::microseconds(1'000'000LL * i / rate);
            asio::steady_timer timer(io_, due);
            if (due > SteadyTime::now()) co_await timer.async_wait(asio::use_awaitable);
            running += 1;
            spawn(io_.get_executor(), one(first + i, due));
        }
        while (running > 0) co_await pause(std::chrono::milliseconds(2));
        co_return millis;
    }

    asio::awaitable<void> wait_searchable(int documents) {
        while (true) {
            const std::string text = co_await metrics();
            if (value_of(text, "documents_processed_total") >= documents) co_return;
            if (value_of(text, "documents_failed_total") > 0) throw std::runtime_error("a document failed");
            co_await pause(std::chrono::milliseconds(10));
        }
    }

    asio::awaitable<std::string> metrics() {
        auto answer = co_await client_.get("/metrics");
        co_return answer.body;
    }

    /// The sum of all series of a family, or of the one with `label`.
    static double value_of(const std::string& metrics, const std::string& family,
                           const std::string& label = "") {
        std::istringstream lines(metrics);
        double sum = 0;
        for (std::string line; std::getline(lines, line);) {
            const bool same = line.starts_with(family + "{") || line.starts_with(family + " ");
            if (same && line.find(label) != std::string::npos) sum += std::stod(line.substr(line.rfind(' ')));
        }
        return sum;
    }

  private:
    asio::awaitable<void> post(int number) {
        json::value body = json::object{
            {"id", "d" + std::to_string(number)}, {"title", "Document"}, {"content", text_of(number)}};
        auto answer = co_await client_.post("/v1/documents", std::move(body));
        if (answer.status != 202) throw std::runtime_error("POST answered " + std::to_string(answer.status));
    }

    asio::awaitable<void> pause(std::chrono::milliseconds time) {
        asio::steady_timer timer(io_, time);
        co_await timer.async_wait(asio::use_awaitable);
    }

    asio::io_context io_;
    unsigned short port_;
    Client client_;
    BenchFolder folder_;
    Process server_;
    Process simulator_;
};

void print_stages(const std::string& metrics, double seconds) {
    std::printf("  %-10s %12s %16s %12s\n", "stage", "runs", "busy s", "share");
    for (const char* stage : {"extract", "chunk", "embed", "index", "metadata"}) {
        const std::string label = "\"" + std::string(stage) + "\"";
        const double busy = Setting::value_of(metrics, "stage_duration_seconds_sum", label);
        const double runs = Setting::value_of(metrics, "stage_duration_seconds_count", label);
        std::printf("  %-10s %12.0f %16.2f %11.0f%%\n", stage, runs, busy, 100 * busy / seconds);
    }
}

/// Posts all documents at once and waits until they are searchable; documents per second.
double measure_throughput(Setting& setting, const Arguments& arguments, const char* name,
                          double call_seconds_limit) {
    const auto start = SteadyTime::now();
    setting.run([](Setting& s, int documents) -> asio::awaitable<void> {
        co_await s.wait_ready();
        co_await s.post_all(0, documents, 64);
        co_await s.wait_searchable(documents);
    }(setting, arguments.documents));
    const double seconds = Seconds(SteadyTime::now() - start).count();
    std::string metrics;
    setting.run([](Setting& s, std::string& into) -> asio::awaitable<void> { into = co_await s.metrics(); }(
                                                      setting, metrics));
    const double rate = arguments.documents / seconds;
    const double calls = Setting::value_of(metrics, "embedding_duration_seconds_sum");
    std::printf(
        "%s: %.0f documents/s to searchable (%d in %.1f s); a call to the model is under way %.1f times on "
        "average\n",
        name, rate, arguments.documents, seconds, calls / seconds);
    if (call_seconds_limit > 0) {
        std::printf("  ratio to one document a call and %d ms a call, one after the other: %.1f\n",
                    kLatencyMillis, rate * call_seconds_limit);
    }
    print_stages(metrics, seconds);
    return rate;
}

int run(const Arguments& arguments) {
    json::object figures;
    for (const char* deployment : {"local", "local-hash"}) {
        Setting setting(arguments, deployment, false);
        figures[deployment] = measure_throughput(setting, arguments, deployment, 0);
    }
    Setting setting(arguments, "openai", true);
    figures["simulated"] =
        measure_throughput(setting, arguments, "simulated, 200 ms", kLatencyMillis / 1000.0);
    std::vector<double> millis;
    setting.run([](Setting& s, const Arguments& a, std::vector<double>& into) -> asio::awaitable<void> {
        into = co_await s.post_at_rate(1'000'000, a.rate, a.seconds);
    }(setting, arguments, millis));
    const double p50 = percentile(millis, 0.5);
    const double p99 = percentile(millis, 0.99);
    std::printf(
        "POST to 202 at %d a second while ingesting: p50 %.2f ms, p99 %.2f ms (%.2f of the aim of 20 ms), "
        "%zu "
        "requests\n",
        arguments.rate, p50, p99, p99 / 20, millis.size());
    figures["post_p50_ms"] = p50;
    figures["post_p99_ms"] = p99;
    if (!arguments.json.empty()) std::ofstream(arguments.json) << json::serialize(figures);
    return 0;
}

}  // namespace
}  // namespace millrace::bench

int main(int argc, char** argv) {
    return millrace::bench::run_program(
        "bench_ingest", [&] { return millrace::bench::run(millrace::bench::parse(argc, argv)); });
}
