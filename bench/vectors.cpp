// Where a graph (HNSW) begins to pay: exact scan and graph side by side as the number of vectors grows.
//
//     bench_vectors [--corpora DIR] [--rows-max N] [--queries N] [--json PATH]
//
// Vectors of 1,024 numbers: passages of the `man` set (bench/corpora.py) by the model local-hash, and beyond
// their number blends of two of them; queries are the set's own. Candidates are what a hybrid search asks for
// (300), which are ranked anew in full precision afterwards; recall is the share of the true best ten among
// them.
#include "bench/support/program.hpp"
#include "bench/support/retrieval.hpp"
#include "index/vector_table.hpp"
#include "provider/local.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/json/serialize.hpp>

#include <numeric>
#include <random>

namespace millrace::bench {
namespace {

namespace asio = boost::asio;
using Vectors = std::vector<std::vector<float>>;

constexpr std::size_t kDimensions = 1024;
constexpr std::size_t kWordsPerPassage = 80;

struct Arguments {
    std::filesystem::path corpora = "build/bench/corpora";
    std::size_t rows_max = 400'000;
    std::size_t queries = 100;
    std::string json;
};

Arguments parse(int argc, char** argv) {
    Arguments arguments;
    for (int i = 1; i + 1 < argc; i += 2) {
        const std::string_view name = argv[i];
        const std::string value = argv[i + 1];
        if (name == "--corpora")
            arguments.corpora = value;
        else if (name == "--rows-max")
            arguments.rows_max = std::stoul(value);
        else if (name == "--queries")
            arguments.queries = std::stoul(value);
        else if (name == "--json")
            arguments.json = value;
        else
            throw std::runtime_error("unknown argument " + std::string(name));
    }
    return arguments;
}

std::vector<std::string> passages_of(const RetrievalSet& set) {
    std::vector<std::string> passages;
    for (const SetDocument& document : set.documents) {
        std::size_t words = 0;
        std::size_t start = 0;
        for (std::size_t at = 0; at < document.content.size(); ++at) {
            if (document.content[at] != ' ' || ++words % kWordsPerPassage != 0) continue;
            passages.push_back(document.content.substr(start, at - start));
            start = at;
        }
    }
    return passages;
}

Vectors embed_all(const std::vector<std::string>& texts) {
    constexpr std::size_t kTextsPerCall = 256;
    asio::io_context io;
    CpuPool pool(std::max(2U, std::thread::hardware_concurrency()) - 1);
    const auto provider = provider::make_local_hash(pool);
    Vectors vectors;
    auto work = [&]() -> asio::awaitable<void> {
        for (std::size_t first = 0; first < texts.size(); first += kTextsPerCall) {
            const std::size_t last = std::min(first + kTextsPerCall, texts.size());
            std::vector<std::string> inputs(texts.begin() + static_cast<std::ptrdiff_t>(first),
                                            texts.begin() + static_cast<std::ptrdiff_t>(last));
            auto embedded = co_await provider->embed(std::move(inputs));
            if (!embedded) throw std::runtime_error(embedded.error().detail);
            std::move(embedded->vectors.begin(), embedded->vectors.end(), std::back_inserter(vectors));
        }
    };
    std::exception_ptr failure;
    asio::co_spawn(io, work(), [&](std::exception_ptr thrown) { failure = thrown; });
    io.run();
    if (failure) std::rethrow_exception(failure);
    return vectors;
}

/// Fills up to `count` with blends of two of the first `real` vectors, as far apart as documents of a larger
/// collection would be.
void grow(Vectors& vectors, std::size_t real, std::size_t count, std::mt19937& random) {
    std::uniform_int_distribution<std::size_t> any(0, real - 1);
    std::uniform_real_distribution<float> share(0.2F, 0.8F);
    while (vectors.size() < count) {
        const auto& a = vectors[any(random)];
        const auto& b = vectors[any(random)];
        const float part = share(random);
        std::vector<float> blend(kDimensions);
        for (std::size_t i = 0; i < kDimensions; ++i) blend[i] = part * a[i] + (1 - part) * b[i];
        const float length = std::sqrt(std::inner_product(blend.begin(), blend.end(), blend.begin(), 0.0F));
        for (float& x : blend) x /= length;
        vectors.push_back(std::move(blend));
    }
}

float dot(const std::vector<float>& a, const std::vector<float>& b) {
    float sums[16] = {};
    for (std::size_t i = 0; i < kDimensions; i += 16) {
        for (std::size_t j = 0; j < 16; ++j) sums[j] += a[i + j] * b[i + j];
    }
    return std::accumulate(std::begin(sums), std::end(sums), 0.0F);
}

/// The best ten rows of each query among the first `count`, in full precision; kept up to date as `count`
/// grows.
class Truth {
  public:
    explicit Truth(std::size_t queries) : best_(queries) {}

    void extend(const Vectors& queries, const Vectors& vectors, std::size_t count) {
        for (std::size_t query = 0; query < queries.size(); ++query) {
            auto& best = best_[query];
            for (std::size_t row = done_; row < count; ++row) {
                best.emplace_back(dot(queries[query], vectors[row]), static_cast<std::int64_t>(row));
                if (best.size() < 64) continue;
                keep_ten(best);
            }
            keep_ten(best);
        }
        done_ = count;
    }

    std::size_t found(std::size_t query, const std::vector<index::Candidate>& candidates) const {
        return static_cast<std::size_t>(
            std::count_if(best_[query].begin(), best_[query].end(), [&](const auto& one) {
                return std::any_of(candidates.begin(), candidates.end(),
                                   [&](const auto& candidate) { return candidate.chunk == one.second; });
            }));
    }

  private:
    using Scored = std::pair<float, std::int64_t>;

    static void keep_ten(std::vector<Scored>& best) {
        std::sort(best.begin(), best.end(), std::greater<>());
        best.resize(std::min<std::size_t>(best.size(), 10));
    }

    std::vector<std::vector<Scored>> best_;
    std::size_t done_ = 0;
};

struct Measured {
    double milliseconds = 0;
    double recall = 0;
};

template <class Search>
Measured measure(const Vectors& queries, const Truth& truth, Search search) {
    std::vector<double> times;
    std::size_t found = 0;
    for (std::size_t query = 0; query < queries.size(); ++query) {
        const auto start = std::chrono::steady_clock::now();
        const auto candidates = search(queries[query]);
        times.push_back(
            std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count());
        found += truth.found(query, candidates);
    }
    std::nth_element(times.begin(), times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2),
                     times.end());
    return {times[times.size() / 2], static_cast<double>(found) / static_cast<double>(10 * queries.size())};
}

/// Adds rows `first` to `last` to the table and the graph; answers the seconds that the graph took.
double add_rows(index::VectorTable& table, index::Graph& graph, const index::VersionState* version,
                const Vectors& vectors, std::size_t first, std::size_t last) {
    for (std::size_t at = first; at < last; ++at) {
        index::QuantizedRows row;
        row.add(static_cast<std::int64_t>(at), vectors[at]);
        table.add(row, 0, version);
    }
    const auto start = std::chrono::steady_clock::now();
    for (auto rows = table.graph_rows(1000); !rows.empty(); rows = table.graph_rows(1000)) {
        for (const auto& row : rows) graph.add(row.slot, row.row(), row.scale());
    }
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

int main_of(const Arguments& arguments) {
    constexpr std::size_t kCandidates = 300;
    const RetrievalSet set = read_set(arguments.corpora, "man", 1);
    Vectors vectors = embed_all(passages_of(set));
    const std::size_t real = vectors.size();
    std::vector<std::string> questions;
    for (std::size_t i = 0; i < std::min(arguments.queries, set.queries.size()); ++i) {
        questions.push_back(set.queries[i].query);
    }
    const Vectors queries = embed_all(questions);
    std::printf("%zu vectors of passages, then blends of them; kernel %s, one thread\n\n", real,
                std::string(index::best_kernel().name).c_str());
    std::printf("%9s %10s %8s %10s %8s %10s %10s %10s\n", "rows", "scan ms", "recall", "graph ms", "recall",
                "build s", "rows MB", "links MB");

    index::Versions versions(0);
    index::VersionState* version = versions.create(1, 0);
    versions.load(version);
    index::VectorTable table(kDimensions);
    table.begin_graph();
    const auto graph = std::make_shared<index::Graph>(table.stride(), 1);
    Truth truth(queries.size());
    std::mt19937 random(1);
    json::array report;
    double build_seconds = 0;
    std::size_t done = 0;
    for (std::size_t rows = 12'500; rows <= arguments.rows_max; rows *= 2) {
        grow(vectors, real, rows, random);
        build_seconds += add_rows(table, *graph, version, vectors, done, rows);
        done = rows;
        truth.extend(queries, vectors, rows);
        const index::TableView view = table.view();
        const Measured exact = measure(queries, truth, [&](const std::vector<float>& query) {
            return index::scan(view, {query, 1, index::kAnyCategory, kCandidates}, 0, view.blocks.size());
        });
        index::TableView with_graph = view;
        with_graph.graph = graph;
        const Measured near = measure(queries, truth, [&](const std::vector<float>& query) {
            return *index::scan_graph(with_graph, {query, 1, index::kAnyCategory, kCandidates}, kCandidates);
        });
        const double row_megabytes = static_cast<double>(table.bytes()) / 1e6;
        const double link_megabytes = static_cast<double>(graph->bytes()) / 1e6;
        std::printf("%9zu %10.2f %8.3f %10.2f %8.3f %10.0f %10.0f %10.0f\n", rows, exact.milliseconds,
                    exact.recall, near.milliseconds, near.recall, build_seconds, row_megabytes,
                    link_megabytes);
        std::fflush(stdout);
        report.push_back({{"rows", rows},
                          {"scan_ms", exact.milliseconds},
                          {"scan_recall", exact.recall},
                          {"graph_ms", near.milliseconds},
                          {"graph_recall", near.recall},
                          {"build_seconds", build_seconds},
                          {"row_mb", row_megabytes},
                          {"link_mb", link_megabytes}});
    }
    if (!arguments.json.empty()) std::ofstream(arguments.json) << json::serialize(report) << '\n';
    return 0;
}

}  // namespace
}  // namespace millrace::bench

int main(int argc, char** argv) {
    return millrace::bench::run_program(
        "bench_vectors", [&] { return millrace::bench::main_of(millrace::bench::parse(argc, argv)); });
}
