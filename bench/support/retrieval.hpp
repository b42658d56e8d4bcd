// Known-item retrieval: sets made by bench/corpora.py, and how well a ranking finds what was meant.
#pragma once

#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace millrace::bench {

namespace json = boost::json;

struct SetDocument {
    std::string id;
    std::string title;
    std::string content;
};

/// A query and the one document that it describes.
struct KnownItem {
    std::string query;
    std::string document;
};

struct RetrievalSet {
    std::string name;
    std::vector<SetDocument> documents;
    std::vector<KnownItem> queries;
};

inline std::vector<json::value> read_lines(const std::filesystem::path& path) {
    std::ifstream file(path);
    if (!file) throw std::runtime_error("cannot read " + path.string() + "; run bench/corpora.py first");
    std::vector<json::value> values;
    for (std::string line; std::getline(file, line);) values.push_back(json::parse(line));
    return values;
}

/// The set `name` in `folder`, with every `nth` query (1: all of them).
inline RetrievalSet read_set(const std::filesystem::path& folder, const std::string& name, std::size_t nth) {
    const auto text = [](const json::value& value, const char* member) {
        return std::string(value.at(member).as_string());
    };
    RetrievalSet set;
    set.name = name;
    for (const auto& value : read_lines(folder / name / "documents.jsonl")) {
        set.documents.push_back({text(value, "id"), text(value, "title"), text(value, "content")});
    }
    const auto queries = read_lines(folder / name / "queries.jsonl");
    for (std::size_t i = 0; i < queries.size(); i += nth) {
        set.queries.push_back({text(queries[i], "query"), text(queries[i], "document")});
    }
    return set;
}

/// Means over queries. With one relevant document, nDCG@10 is 1 / log2(1 + its place).
struct Quality {
    double ndcg = 0;
    double recall_1 = 0;
    double recall_10 = 0;
    double reciprocal_rank = 0;   ///< of the first ten
    double milliseconds = 0;
    std::size_t queries = 0;

    void add(const std::vector<std::string>& ranking, const std::string& wanted, double took_milliseconds) {
        queries += 1;
        milliseconds += took_milliseconds;
        for (std::size_t place = 1; place <= ranking.size() && place <= 10; ++place) {
            if (ranking[place - 1] != wanted) continue;
            ndcg += 1 / std::log2(1 + static_cast<double>(place));
            recall_1 += place == 1;
            recall_10 += 1;
            reciprocal_rank += 1 / static_cast<double>(place);
            return;
        }
    }

    Quality mean() const {
        const auto n = static_cast<double>(std::max<std::size_t>(1, queries));
        return {ndcg / n, recall_1 / n, recall_10 / n, reciprocal_rank / n, milliseconds / n, queries};
    }
};

}  // namespace millrace::bench
