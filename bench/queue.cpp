// Durable lifecycles of messages per second beside a bare SQLite loop and the bare flush; and a long backlog.
#include "bench/support/bare_queue.hpp"
#include "bench/support/broker_load.hpp"

#include <CLI/CLI.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include <cstdio>
#include <fstream>

namespace {

using namespace millrace::bench;
namespace json = boost::json;

struct Settings {
    double seconds = 1.0;
    int rounds = 5;
    std::size_t backlog = 1'000'000;
    std::string json = "build/bench/queue.json";
    std::string directory = "build/bench";
    std::vector<std::size_t> clients{1, 16, 256};
    std::vector<std::size_t> bytes{1024, 8192};
    bool quick = false;
    bool bare = true;
};

/// An empty folder on the disk that is measured.
class Folder {
  public:
    explicit Folder(const std::string& parent) : path_(std::filesystem::path(parent) / "queue-data") {
        std::filesystem::remove_all(path_);
        std::filesystem::create_directories(path_);
    }
    ~Folder() { std::filesystem::remove_all(path_); }
    const std::filesystem::path& path() const { return path_; }

  private:
    std::filesystem::path path_;
};

/// One line of the table: all rounds of one shape.
struct Row {
    LoadShape shape;
    std::vector<double> ours;
    std::vector<double> bare;
    std::vector<double> ratios;
    std::vector<double> send_micros;
    std::vector<double> bare_send_micros;
    std::vector<double> commits;
    std::vector<double> bare_commits;
    std::vector<double> cpu_micros;
    std::vector<double> bare_cpu_micros;
};

void measure(const Settings& settings, Row& row, int round) {
    const auto ours = [&] {
        const Folder folder(settings.directory);
        const LoadResult result = run_broker(folder.path(), row.shape);
        row.ours.push_back(result.lifecycles_per_second);
        row.commits.push_back(result.commits_per_second);
        row.cpu_micros.push_back(result.cpu_micros);
        row.send_micros.insert(row.send_micros.end(), result.send_micros.begin(), result.send_micros.end());
    };
    const auto bare = [&] {
        const Folder folder(settings.directory);
        const LoadResult result = run_bare(folder.path(), row.shape);
        row.bare.push_back(result.lifecycles_per_second);
        row.bare_commits.push_back(result.commits_per_second);
        row.bare_cpu_micros.push_back(result.cpu_micros);
        row.bare_send_micros.insert(row.bare_send_micros.end(), result.send_micros.begin(),
                                    result.send_micros.end());
    };
    // Who goes first takes turns.
    if (round % 2 == 0) ours();
    if (settings.bare) bare();
    if (round % 2 == 1) ours();
    if (settings.bare) row.ratios.push_back(row.ours.back() / row.bare.back());
}

json::object print(const Row& row) {
    const double p50 = quantile(row.send_micros, 0.5);
    const double p99 = quantile(row.send_micros, 0.99);
    const double bare_p50 = quantile(row.bare_send_micros, 0.5);
    const double bare_p99 = quantile(row.bare_send_micros, 0.99);
    std::printf("%7zu %6zu  %10.0f %10.0f %7.2f   %7.0f %8.0f   %7.0f %8.0f   %7.1f %7.1f\n",
                row.shape.clients, row.shape.body_bytes, median(row.ours), median(row.bare),
                median(row.ratios), p50, p99, bare_p50, bare_p99, median(row.cpu_micros),
                median(row.bare_cpu_micros));
    return {{"clients", row.shape.clients},
            {"bytes", row.shape.body_bytes},
            {"lifecycles_per_second", median(row.ours)},
            {"bare_lifecycles_per_second", median(row.bare)},
            {"ratio", median(row.ratios)},
            {"commits_per_second", median(row.commits)},
            {"bare_commits_per_second", median(row.bare_commits)},
            {"cpu_micros", median(row.cpu_micros)},
            {"bare_cpu_micros", median(row.bare_cpu_micros)},
            {"send_p50_micros", p50},
            {"send_p99_micros", p99},
            {"bare_send_p50_micros", bare_p50},
            {"bare_send_p99_micros", bare_p99}};
}

json::object measure_lifecycles(const Settings& settings) {
    std::vector<Row> rows;
    for (const std::size_t bytes : settings.bytes) {
        for (const std::size_t clients : settings.clients) {
            Row& row = rows.emplace_back();
            row.shape = {clients, bytes, settings.seconds};
        }
    }
    std::vector<double> flushes;
    for (int round = 0; round < settings.rounds; ++round) {
        std::fprintf(stderr, "round %d of %d\n", round + 1, settings.rounds);
        const Folder folder(settings.directory);
        flushes.push_back(run_flush(folder.path(), settings.seconds / 2));
        for (Row& row : rows) measure(settings, row, round);
    }
    std::printf("Durable send -> receive -> complete, lifecycles per second; medians of %d rounds\n",
                settings.rounds);
    std::printf(
        "clients  bytes    Millrace       bare   ratio   send p50      p99  bare p50      p99    cpu us    "
        "bare\n");
    json::array table;
    for (const Row& row : rows) table.push_back(print(row));
    std::printf("4 KiB overwritten and flushed: %.0f per second\n", median(flushes));
    return {{"lifecycles", std::move(table)}, {"flushes_per_second", median(flushes)}};
}

json::object measure_backlog(const Settings& settings) {
    const Folder folder(settings.directory);
    const BacklogResult result = run_backlog(folder.path(), settings.backlog);
    const auto [low, high] =
        std::minmax_element(result.drain_per_second.begin(), result.drain_per_second.end());
    std::printf("\nBacklog of %zu messages of 1 KiB\n", settings.backlog);
    std::printf("fill %.0f/s, resident %.0f MiB; opened again in %.2f s, resident %.0f MiB, peak %.0f MiB\n",
                result.fill_per_second, result.rss_filled_mib, result.restart_seconds,
                result.rss_restarted_mib, result.rss_peak_mib);
    std::printf("drain per tenth:");
    json::array drain;
    for (const double rate : result.drain_per_second) {
        std::printf(" %.0f", rate);
        drain.push_back(rate);
    }
    std::printf(" /s; slowest / fastest %.2f\n", *low / *high);
    return {{"messages", settings.backlog},
            {"fill_per_second", result.fill_per_second},
            {"restart_seconds", result.restart_seconds},
            {"rss_filled_mib", result.rss_filled_mib},
            {"rss_restarted_mib", result.rss_restarted_mib},
            {"rss_peak_mib", result.rss_peak_mib},
            {"drain_per_second", std::move(drain)}};
}

Settings parse(int argc, char** argv) {
    Settings settings;
    CLI::App app("Benchmarks the queue");
    bool no_backlog = false;
    app.add_option("--seconds", settings.seconds, "length of one sample");
    app.add_option("--clients", settings.clients, "lifecycles under way at once");
    app.add_option("--bytes", settings.bytes, "sizes of bodies");
    app.add_option("--rounds", settings.rounds, "samples of each kind");
    app.add_option("--backlog", settings.backlog, "messages of the backlog");
    app.add_option("--json", settings.json, "where the numbers go");
    app.add_option("--directory", settings.directory, "a folder on the disk to measure");
    app.add_flag("--no-backlog", no_backlog, "only lifecycles");
    app.add_flag("!--no-bare", settings.bare, "only Millrace: for a profile");
    app.add_flag("--quick", settings.quick, "a glance: 1 round of 0.3 s, 100,000 messages");
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        std::exit(app.exit(error));
    }
    if (settings.quick) {
        settings.rounds = 1;
        settings.seconds = 0.3;
        settings.backlog = 100'000;
    }
    if (no_backlog) settings.backlog = 0;
    return settings;
}

}  // namespace

int main(int argc, char** argv) {
    const Settings settings = parse(argc, argv);
    json::object numbers;
    // First, so that its memory is its own.
    if (settings.backlog > 0) numbers["backlog"] = measure_backlog(settings);
    for (auto& [name, value] : measure_lifecycles(settings)) numbers[name] = value;
    std::filesystem::create_directories(std::filesystem::path(settings.json).parent_path());
    std::ofstream(settings.json) << json::serialize(numbers) << "\n";
    return 0;
}
