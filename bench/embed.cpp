// How many passages a second the local models embed on one core, beside the matrix products that they can't
// avoid.
#include "bench/support/program.hpp"
#include "provider/feature_hash.hpp"
#include "provider/local.hpp"
#include "provider/unigram.hpp"
#include "provider/use_lite.hpp"
#include "provider/use_lite_product.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include <chrono>
#include <cstdio>
#include <fstream>
#include <map>
#include <string>
#include <vector>

namespace {

using namespace millrace;
using bench::fastest;

/// Where ./dev puts them; benchmarks run in the root of the repository.
constexpr const char* kAssets = "build/assets";

struct Row {
    std::string name;
    double texts;
    double seconds;
    std::string note;
};

/// `count` passages of `words` words each, no two alike.
std::vector<std::string> passages(std::size_t count, std::size_t words) {
    const char* sentence[] = {"the",     "worker", "takes",  "a",     "message", "under",   "its",
                              "lock",    "and",    "writes", "what",  "it",      "found",   "into",
                              "another", "table",  "then",   "waits", "before",  "reading", "more"};
    std::vector<std::string> texts(count);
    for (std::size_t i = 0; i < count; ++i) {
        for (std::size_t j = 0; j < words; ++j)
            texts[i] += std::string(sentence[(i * 5 + j * (j / 21 + 1)) % 21]) + " ";
    }
    return texts;
}

/// The products of the transformer for 128 pieces: inner dimension and columns of each of its matrices.
Row products() {
    const std::pair<std::size_t, std::size_t> shapes[] = {{256, 768},  {256, 512},  {256, 512},
                                                          {512, 1536}, {1536, 512}, {512, 1536},
                                                          {512, 512},  {512, 1536}, {1536, 512}};
    double flops = 0;
    std::vector<provider::PackedMatrix> matrices;
    for (const auto& [inner, columns] : shapes) {
        const std::vector<float> ones(inner * columns, 1);
        matrices.emplace_back().pack(ones.data(), columns, inner, columns);
        flops += 2.0 * 128 * static_cast<double>(inner * columns);
    }
    const std::vector<float> left(128 * 1536, 1);
    std::vector<float> result(128 * 1536);
    const double seconds = fastest(20, [&] {
        for (const auto& matrix : matrices) {
            provider::multiply(left.data(), 1536, 128, matrix, {}, provider::Finish::store, result.data(),
                               1536);
        }
    });
    char note[64];
    std::snprintf(note, sizeof note, "%.0f GFLOP/s", flops / seconds / 1e9);
    return {"its matrix products", 1, seconds, note};
}

Row use_lite(const provider::UseLite& model, const std::string& name, const std::vector<std::string>& texts) {
    std::vector<std::vector<float>> vectors(texts.size(), std::vector<float>(provider::UseLite::kDimensions));
    const std::vector<std::string_view> views(texts.begin(), texts.end());
    const std::vector<std::span<float>> places(vectors.begin(), vectors.end());
    std::size_t pieces = 0;
    const double seconds = fastest(5, [&] { pieces = model.embed(views, places); });
    return {name, static_cast<double>(texts.size()), seconds,
            std::to_string(pieces / texts.size()) + " pieces each"};
}

Row tokenize(const std::vector<std::string>& texts) {
    const auto unigram = provider::Unigram::load(std::string(kAssets) + "/use_lite.vocab").value();
    const double seconds = fastest(5, [&] {
        for (const std::string& text : texts) unigram.encode(text);
    });
    return {"its tokenizer", static_cast<double>(texts.size()), seconds, ""};
}

Row feature_hash(std::size_t dimensions, const std::vector<std::string>& texts) {
    std::vector<float> vector(dimensions);
    provider::FeatureHash hash(dimensions);
    const double seconds = fastest(5, [&] {
        for (const std::string& text : texts) hash.embed(text, vector);
    });
    return {"feature hash, " + std::to_string(dimensions), static_cast<double>(texts.size()), seconds, ""};
}

/// One call of a provider on a pool of one thread, as the server makes it.
Row call(provider::Provider& provider, const std::vector<std::string>& texts) {
    const double seconds = fastest(5, [&] {
        boost::asio::io_context io;
        auto on_end = [](const std::exception_ptr& failure, const provider::Outcome<provider::Embeddings>&) {
            if (failure) std::rethrow_exception(failure);
        };
        boost::asio::co_spawn(io, provider.embed(texts), on_end);
        io.run();
    });
    return {provider.model().name, static_cast<double>(texts.size()), seconds,
            "one call of " + std::to_string(texts.size())};
}

void print(const std::vector<Row>& rows, const std::string& json_path) {
    const double base = rows[0].texts / rows[0].seconds;
    std::ofstream json(json_path);
    json << "[";
    std::printf("%-26s %12s %12s %14s  %s\n", "what", "ms each", "per second", "of products", "");
    for (std::size_t i = 0; i < rows.size(); ++i) {
        const Row& row = rows[i];
        const double rate = row.texts / row.seconds;
        std::printf("%-26s %12.4f %12.1f %14.3f  %s\n", row.name.c_str(), 1000 / rate, rate, rate / base,
                    row.note.c_str());
        json << (i > 0 ? ",\n " : "") << "{\"what\": \"" << row.name << "\", \"perSecond\": " << rate
             << ", \"ofProducts\": " << rate / base << "}";
    }
    json << "]\n";
}

}  // namespace

/// bench_embed [--json PATH]
int main(int argc, char** argv) {
    std::map<std::string, std::string> arguments;
    for (int i = 1; i + 1 < argc; i += 2) arguments[argv[i]] = argv[i + 1];
    const auto chunks = passages(64, 110);
    const auto queries = passages(64, 8);
    CpuPool pool(1);
    std::vector<Row> rows;
    rows.push_back(products());
    const auto model = provider::UseLite::load(kAssets);
    const auto local = provider::make_local(pool, kAssets);
    if (model && local) {
        rows.push_back(use_lite(*model, "USE Lite, passages", chunks));
        rows.push_back(use_lite(*model, "USE Lite, queries at once", queries));
        rows.push_back(use_lite(*model, "USE Lite, one query", {queries[0]}));
        rows.push_back(tokenize(chunks));
        rows.push_back(call(**local, chunks));
    } else {
        std::printf("%s\n", (!model ? model.error() : local.error()).detail.c_str());
    }
    rows.push_back(feature_hash(512, chunks));
    rows.push_back(feature_hash(1024, chunks));
    const auto hash = provider::make_local_hash(pool);
    rows.push_back(call(*hash, chunks));
    print(rows, arguments.contains("--json") ? arguments["--json"] : "/dev/null");
    return 0;
}
