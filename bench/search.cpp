// How well search finds what was meant: known items among manual pages and package descriptions
// (bench/corpora.py), by words, by vectors and by both.
//
//     bench_search [--sets man,deb] [--corpora DIR] [--assets DIR] [--provider local|local-hash] [--nth N]
//                  [--data DIR] [--in process|server] [--server URL] [--json PATH]
//
// Through POST /v1/documents and /v1/search of a server that this starts for each set, or of one that runs
// at URL; with --in process on the parts themselves. --data keeps what was indexed for the next run.
#include "base/async.hpp"
#include "bench/support/program.hpp"
#include "bench/support/retrieval_engine.hpp"
#include "provider/local.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include <map>
#include <sstream>

namespace millrace::bench {
namespace {

struct Arguments {
    std::vector<std::string> sets = {"man", "deb"};
    std::filesystem::path corpora = "build/bench/corpora";
    std::filesystem::path assets = "build/assets";
    std::string provider = "local";
    std::filesystem::path data;
    std::string server;
    bool in_process = false;
    std::filesystem::path program;  ///< the server to start
    std::string json;
    std::size_t nth = 1;
};

std::vector<std::string> split_names(const std::string& list) {
    std::vector<std::string> names;
    std::istringstream stream(list);
    for (std::string name; std::getline(stream, name, ',');) names.push_back(name);
    return names;
}

Arguments parse(int argc, char** argv) {
    Arguments arguments;
    arguments.program = std::filesystem::path(argv[0]).parent_path().parent_path() / "millrace";
    for (int i = 1; i + 1 < argc; i += 2) {
        const std::string_view name = argv[i];
        const std::string value = argv[i + 1];
        if (name == "--sets")
            arguments.sets = split_names(value);
        else if (name == "--corpora")
            arguments.corpora = value;
        else if (name == "--assets")
            arguments.assets = value;
        else if (name == "--provider")
            arguments.provider = value;
        else if (name == "--nth")
            arguments.nth = std::stoul(value);
        else if (name == "--data")
            arguments.data = value;
        else if (name == "--in")
            arguments.in_process = value == "process";
        else if (name == "--server")
            arguments.server = value;
        else if (name == "--json")
            arguments.json = value;
        else
            throw std::runtime_error("unknown argument " + std::string(name));
    }
    return arguments;
}

constexpr std::array kModes = {"keyword", "vector", "hybrid"};

using Results = std::map<std::string, Quality>;

asio::awaitable<Results> measure(RetrievalEngine& engine, const RetrievalSet& set) {
    co_await engine.ingest(set);
    Results results;
    for (const std::string mode : kModes) {
        Quality quality;
        for (const KnownItem& item : set.queries) {
            const auto start = std::chrono::steady_clock::now();
            const auto ids = co_await engine.search(item.query, mode);
            const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - start;
            quality.add(ids, item.document, took.count());
        }
        results[mode] = quality.mean();
    }
    co_return results;
}

json::object print(const RetrievalSet& set, const Results& results) {
    json::object rows;
    for (const std::string mode : kModes) {
        const Quality& quality = results.at(mode);
        std::printf("%-6s %-8s %8zu %8.3f %7.3f %7.3f %7.3f %9.1f\n", set.name.c_str(), mode.c_str(),
                    quality.queries, quality.ndcg, quality.recall_1, quality.recall_10,
                    quality.reciprocal_rank, quality.milliseconds);
        rows[mode] = {{"queries", quality.queries},       {"ndcg10", quality.ndcg},
                      {"recall1", quality.recall_1},      {"recall10", quality.recall_10},
                      {"mrr10", quality.reciprocal_rank}, {"milliseconds", quality.milliseconds}};
    }
    return rows;
}

std::unique_ptr<provider::Provider> make_provider(const Arguments& arguments, CpuPool& pool) {
    if (arguments.provider == "local-hash") return provider::make_local_hash(pool);
    auto local = provider::make_local(pool, arguments.assets);
    if (!local) throw std::runtime_error(local.error().detail);
    return std::move(*local);
}

/// Makes what searches one set.
class Engines {
  public:
    Engines(asio::io_context& io, const Arguments& arguments)
        : io_(io), arguments_(arguments), pool_(std::max(2U, std::thread::hardware_concurrency()) - 1) {
        if (!arguments.in_process) return;
        provider_ = make_provider(arguments, pool_);
        auto loaded = text::TokenCounter::load("cl100k_base", arguments.assets / "cl100k_base.tiktoken");
        if (!loaded) throw std::runtime_error(loaded.error().detail);
        tokens_ = std::move(*loaded);
    }

    std::unique_ptr<RetrievalEngine> make(const std::string& set) {
        const auto executor = io_.get_executor();
        if (!arguments_.server.empty()) return std::make_unique<ServerEngine>(executor, arguments_.server);
        const auto folder = arguments_.data.empty() ? arguments_.data : arguments_.data / set;
        if (arguments_.in_process)
            return std::make_unique<InProcessEngine>(executor, pool_, *provider_, tokens_, folder);
        return std::make_unique<ServerEngine>(
            executor, std::make_unique<OwnServer>(arguments_.program, arguments_.provider, folder));
    }

  private:
    asio::io_context& io_;
    const Arguments& arguments_;
    CpuPool pool_;
    std::unique_ptr<provider::Provider> provider_;
    std::shared_ptr<const text::TokenCounter> tokens_;
};

/// Drives `work` to its end; rethrows what it throws.
Results run(asio::io_context& io, asio::awaitable<Results> work) {
    Results results;
    std::exception_ptr failure;
    auto on_end = [&](std::exception_ptr thrown, Results answer) {
        failure = thrown;
        results = std::move(answer);
        io.stop();
    };
    asio::co_spawn(io, std::move(work), on_end);
    io.restart();
    const auto guard = asio::make_work_guard(io);
    io.run();
    if (failure) std::rethrow_exception(failure);
    return results;
}

int main_of(const Arguments& arguments) {
    asio::io_context io;
    Engines engines(io, arguments);
    std::printf("%-6s %-8s %8s %8s %7s %7s %7s %9s\n", "set", "method", "queries", "nDCG@10", "R@1", "R@10",
                "MRR", "ms/query");
    json::object report;
    for (const std::string& name : arguments.sets) {
        const RetrievalSet set = read_set(arguments.corpora, name, arguments.nth);
        const auto engine = engines.make(name);
        report[name] = print(set, run(io, measure(*engine, set)));
        std::fflush(stdout);
    }
    if (!arguments.json.empty()) std::ofstream(arguments.json) << json::serialize(report) << '\n';
    return 0;
}

}  // namespace
}  // namespace millrace::bench

int main(int argc, char** argv) {
    return millrace::bench::run_program(
        "bench_search", [&] { return millrace::bench::main_of(millrace::bench::parse(argc, argv)); });
}
