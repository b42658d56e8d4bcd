// How fast documents become text, chunks and tokens, beside a plain copy and a plain scan of the same bytes.
#include "bench/support/program.hpp"
#include "text/chunk.hpp"
#include "text/extract.hpp"
#include "text/tokens.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <vector>

namespace {

using namespace millrace;
using bench::fastest;
namespace fs = std::filesystem;

/// Where ./dev puts them; benchmarks run in the root of the repository.
const fs::path kAssets = "build/assets";

struct Row {
    std::string name;
    double bytes;
    double seconds;
    std::string note;
};

/// Prose with some other scripts, the same in each run.
std::string prose(std::size_t bytes) {
    const std::vector<std::string> sentences = {
        "The write-ahead log holds changes until a checkpoint moves them into the database. ",
        "A reader sees the state at which its transaction began, whatever is written meanwhile. ",
        "In 2024 the limit was 1,048,576 bytes; version 3.40.1 (see sqlite.org) raised it. ",
        "Grüße aus München: naïve café-goers don't queue. ",
        "日本語の文章も少し含まれています。 ",
        "if (rc != SQLITE_OK) return handle_error(db, rc); ",
    };
    std::string text;
    for (std::size_t i = 0; text.size() < bytes; ++i) {
        text += sentences[(i * 7 + i / 5) % sentences.size()];
        if (i % 6 == 5) text += "\n\n";
    }
    return text;
}

/// `text` with each paragraph between `before` and `after`, a heading before every eighth.
std::string marked_up(const std::string& text, const std::string& heading, const std::string& before,
                      const std::string& after) {
    std::string result;
    for (std::size_t at = 0, count = 0; at < text.size(); ++count) {
        const std::size_t end = std::min(text.find("\n\n", at), text.size());
        if (count % 8 == 0) result += heading;
        result += before + text.substr(at, end - at) + after;
        at = end + 2;
    }
    return result;
}

std::string read(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

/// Every document of a format below `folder`, up to 64 MB.
std::vector<std::string> documents_below(const fs::path& folder, text::Format format) {
    std::vector<std::string> documents;
    std::size_t bytes = 0;
    for (const auto& entry :
         fs::recursive_directory_iterator(folder, fs::directory_options::skip_permission_denied)) {
        if (bytes > 64'000'000) break;
        if (!entry.is_regular_file() || entry.path().extension().empty()) continue;
        const std::string head = read(entry.path()).substr(0, 1024);
        const auto found = text::detect_format("", entry.path().filename().string(), head);
        if (!found || *found != format) continue;
        documents.push_back(read(entry.path()));
        bytes += documents.back().size();
    }
    return documents;
}

Row extract_all(const std::string& name, const std::vector<std::string>& documents, text::Format format) {
    double bytes = 0, text_bytes = 0;
    std::size_t failed = 0;
    for (const std::string& document : documents) bytes += static_cast<double>(document.size());
    const double seconds = fastest(3, [&] {
        text_bytes = 0;
        failed = 0;
        for (const std::string& document : documents) {
            const auto extracted = text::extract(document, format);
            if (!extracted) ++failed;
            if (extracted) text_bytes += static_cast<double>(extracted->text.size());
        }
    });
    std::string note = std::to_string(documents.size()) + " documents";
    if (failed > 0) note += ", " + std::to_string(failed) + " refused";
    note += ", " + std::to_string(static_cast<long>(text_bytes / 1e6 * 10) / 10) + " MB of text";
    return {name, bytes, seconds, note};
}

Row count_tokens(const std::string& encoding, const std::string& text) {
    const auto counter = text::TokenCounter::load(encoding, kAssets / (encoding + ".tiktoken"));
    if (!counter) return {encoding, 0, 1, counter.error().detail};
    std::size_t tokens = 0;
    const double seconds = fastest(3, [&] { tokens = (*counter)->count(text); });
    char note[64];
    std::snprintf(note, sizeof note, "%.1f million tokens/s", static_cast<double>(tokens) / seconds / 1e6);
    return {"count " + encoding, static_cast<double>(text.size()), seconds, note};
}

Row chunks(const std::string& text, bool counted) {
    text::ExtractedText document;
    document.text = text;
    text::ChunkOptions options;
    if (counted) {
        const auto counter = text::TokenCounter::load("cl100k_base", kAssets / "cl100k_base.tiktoken");
        if (!counter) return {"split, cl100k_base", 0, 1, counter.error().detail};
        options = text::chunk_options(*counter, 512, 64);
    }
    std::size_t count = 0;
    const double seconds = fastest(3, [&] { count = text::split(document, options).size(); });
    return {counted ? "split, cl100k_base" : "split, estimate", static_cast<double>(text.size()), seconds,
            std::to_string(count) + " chunks"};
}

void print(const std::vector<Row>& rows, const std::string& json_path) {
    const double copy = rows[0].bytes / rows[0].seconds;
    std::ofstream json(json_path);
    json << "[";
    std::printf("%-22s %10s %10s %12s  %s\n", "what", "MB", "MB/s", "of a copy", "");
    for (std::size_t i = 0; i < rows.size(); ++i) {
        const Row& row = rows[i];
        const double rate = row.bytes / row.seconds;
        std::printf("%-22s %10.2f %10.1f %12.5f  %s\n", row.name.c_str(), row.bytes / 1e6, rate / 1e6,
                    rate / copy, row.note.c_str());
        json << (i > 0 ? ",\n " : "") << "{\"what\": \"" << row.name << "\", \"bytes\": " << row.bytes
             << ", \"seconds\": " << row.seconds << ", \"ofCopy\": " << rate / copy << "}";
    }
    json << "]\n";
}

}  // namespace

/// bench_text [--json PATH] [--folder DIR]: with a folder, the real documents below it are read as well.
int main(int argc, char** argv) {
    std::map<std::string, std::string> arguments;
    for (int i = 1; i + 1 < argc; i += 2) arguments[argv[i]] = argv[i + 1];
    const std::string text = prose(8'000'000);
    std::string copy(text.size(), '\0');
    std::size_t spaces = 0;
    std::vector<Row> rows;
    const double bytes = static_cast<double>(text.size());
    rows.push_back({"copy (memcpy)", bytes,
                    fastest(20, [&] { std::memcpy(copy.data(), text.data(), text.size()); }), ""});
    rows.push_back(
        {"scan (count spaces)", bytes,
         fastest(5, [&] { spaces += static_cast<std::size_t>(std::count(text.begin(), text.end(), ' ')); }),
         spaces == 0 ? "none" : ""});
    const std::string markdown = marked_up(text, "## Heading\n\n", "", "\n\n- an *item* with `code`\n\n");
    const std::string html =
        "<html><body>" + marked_up(text, "<h2>Heading</h2>", "<div class=a><p>", "</p><b>x</b></div>");
    rows.push_back(extract_all("text", {text}, text::Format::text));
    rows.push_back(extract_all("Markdown", {markdown}, text::Format::markdown));
    rows.push_back(extract_all("HTML", {html}, text::Format::html));
    if (arguments.contains("--folder")) {
        using text::Format;
        for (const auto format : {Format::text, Format::markdown, Format::html, Format::pdf, Format::docx}) {
            const auto documents = documents_below(arguments["--folder"], format);
            if (!documents.empty())
                rows.push_back(extract_all("real " + std::string(to_string(format)), documents, format));
        }
    }
    rows.push_back(chunks(text, false));
    rows.push_back(chunks(text, true));
    rows.push_back(count_tokens("cl100k_base", text));
    rows.push_back(count_tokens("o200k_base", text));
    print(rows, arguments.contains("--json") ? arguments["--json"] : "/dev/null");
    return 0;
}
