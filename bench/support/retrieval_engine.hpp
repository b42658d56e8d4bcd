// Two ways to search a retrieval set: a server over HTTP, or the product's parts in this process.
#pragma once

#include "base/ids.hpp"
#include "bench/support/client.hpp"
#include "bench/support/folder.hpp"
#include "bench/support/process.hpp"
#include "bench/support/retrieval.hpp"
#include "index/embedded_index.hpp"
#include "provider/provider.hpp"
#include "text/chunk.hpp"
#include "text/tokens.hpp"

#include <cstdio>
#include <fstream>

namespace millrace::bench {

namespace asio = boost::asio;

class RetrievalEngine {
  public:
    virtual ~RetrievalEngine() = default;
    /// Makes the documents of `set` searchable.
    virtual asio::awaitable<void> ingest(const RetrievalSet& set) = 0;
    /// Ids of documents, best first, at most ten. `mode`: "keyword", "vector" or "hybrid".
    virtual asio::awaitable<std::vector<std::string>> search(const std::string& query,
                                                             const std::string& mode) = 0;
};

inline void show_progress(const std::string& what, std::size_t done, std::size_t total) {
    if (done != total && done % 100 != 0) return;
    std::fprintf(stderr, "\r%s %zu/%zu%s", what.c_str(), done, total, done == total ? "\n" : "");
}

/// A server of the benchmark's own on a free port, killed with it.
class OwnServer {
  public:
    OwnServer(const std::filesystem::path& program, const std::string& provider, std::filesystem::path folder)
        : folder_(std::move(folder)), address_("127.0.0.1:" + std::to_string(free_port())) {
        const auto config = folder_.path() / "millrace.toml";
        std::ofstream(config) << "[[deployments]]\nname = \"embed\"\nprovider = \"" << provider << "\"\n";
        process_.start(
            {program, "serve", "--config", config, "--data", folder_.path() / "data", "--listen", address_},
            folder_.path() / "server.log");
    }
    std::string url() const { return "http://" + address_; }
    /// Why it does not run; empty while it does.
    std::string failure() {
        int code = 0;
        if (!process_.ended(code)) return {};
        return "the server ended with " + std::to_string(code) + "; see " +
               (folder_.path() / "server.log").string();
    }

  private:
    BenchFolder folder_;
    std::string address_;
    Process process_;
};

/// Chunks, embeds, indexes and searches with the layers themselves, on a database in `folder`, which is kept,
/// or if that is empty in a temporary one.
class InProcessEngine final : public RetrievalEngine {
  public:
    InProcessEngine(const asio::any_io_executor& io, CpuPool& pool, provider::Provider& provider,
                    std::shared_ptr<const text::TokenCounter> tokens, std::filesystem::path folder)
        : io_(io), pool_(pool), provider_(provider), tokens_(std::move(tokens)), folder_(std::move(folder)) {}

    asio::awaitable<void> ingest(const RetrievalSet& set) override {
        auto database = store::Database::open(io_, {folder_.path()});
        if (!database) throw std::runtime_error(database.error().detail);
        database_ = std::move(*database);
        auto index = co_await index::make_embedded_index(*database_, pool_);
        index_ = std::move(*index);
        for (std::size_t i = 0; i < set.documents.size(); ++i) {
            co_await put(set.documents[i]);
            show_progress("indexing " + set.name, i + 1, set.documents.size());
        }
        std::fprintf(stderr, "%s: %zu documents, %zu passages, %.1f MB of vectors in memory\n",
                     set.name.c_str(), set.documents.size(), static_cast<std::size_t>(index_->stats().chunks),
                     static_cast<double>(index_->stats().bytes) / 1e6);
    }

    asio::awaitable<std::vector<std::string>> search(const std::string& query,
                                                     const std::string& mode) override {
        index::SearchRequest request;
        request.query = query;
        request.mode = mode == "keyword"  ? index::Mode::keyword
                       : mode == "vector" ? index::Mode::vector
                                          : index::Mode::hybrid;
        request.chunks_per_document_max = 1;
        if (request.mode != index::Mode::keyword) {
            std::vector<std::string> inputs = {query};
            auto embedded = co_await provider_.embed(std::move(inputs));
            if (!embedded) throw std::runtime_error(embedded.error().detail);
            request.vector = std::move(embedded->vectors.front());
            request.model = model();
        }
        auto hits = co_await index_->search(std::move(request));
        if (!hits) throw std::runtime_error(hits.error().detail);
        std::vector<std::string> ids;
        for (auto& hit : *hits) ids.push_back(std::move(hit.document_id));
        co_return ids;
    }

  private:
    std::string model() const {
        return provider_.model().name + "/" + std::to_string(provider_.model().dimensions);
    }

    std::vector<index::ChunkText> split(const SetDocument& document) const {
        auto extracted = text::extract(document.content, text::Format::text);
        if (!extracted) throw std::runtime_error(document.id + ": " + extracted.error().detail);
        const auto& model = provider_.model();
        const auto options = text::chunk_options(tokens_, model.chunk_tokens, model.chunk_overlap_tokens);
        std::vector<index::ChunkText> chunks;
        for (auto& chunk : text::split(*extracted, options)) {
            chunks.push_back({std::move(chunk.text), std::move(chunk.heading), chunk.page, chunk.begin,
                              chunk.end, static_cast<std::uint32_t>(chunk.tokens)});
        }
        return chunks;
    }

    asio::awaitable<void> put(const SetDocument& document) {
        auto chunks = split(document);
        std::vector<std::string> texts;
        for (const auto& chunk : chunks) texts.push_back(chunk.text);
        const index::DocumentVersion version{document.id, 1, document.title, ""};
        auto staged = co_await index_->stage(version, model(), std::move(chunks));
        if (!staged) throw std::runtime_error(staged.error().detail);
        const std::span<const std::uint32_t> missing(staged->missing);
        for (std::size_t first = 0; first < missing.size(); first += kInputsPerCall) {
            co_await embed(version, texts,
                           missing.subspan(first, std::min(kInputsPerCall, missing.size() - first)));
        }
        index::AlsoWrite nothing;
        auto published = co_await index_->publish(version, std::move(nothing));
        if (!published) throw std::runtime_error(published.error().detail);
    }

    asio::awaitable<void> embed(const index::DocumentVersion& version, const std::vector<std::string>& texts,
                                std::span<const std::uint32_t> ordinals) {
        std::vector<std::string> inputs;
        for (const auto ordinal : ordinals) inputs.push_back(texts[ordinal]);
        auto embedded = co_await provider_.embed(std::move(inputs));
        if (!embedded) throw std::runtime_error(embedded.error().detail);
        std::vector<std::pair<std::uint32_t, std::vector<float>>> vectors;
        for (std::size_t i = 0; i < ordinals.size(); ++i) {
            vectors.emplace_back(ordinals[i], std::move(embedded->vectors[i]));
        }
        auto stored = co_await index_->put_vectors(version.id, version.generation, std::move(vectors));
        if (!stored) throw std::runtime_error(stored.error().detail);
    }

    static constexpr std::size_t kInputsPerCall = 64;

    asio::any_io_executor io_;
    CpuPool& pool_;
    provider::Provider& provider_;
    std::shared_ptr<const text::TokenCounter> tokens_;
    BenchFolder folder_;
    std::unique_ptr<store::Database> database_;
    std::unique_ptr<index::Index> index_;
};

/// Documents in by POST /v1/documents, queries by POST /v1/search, at a server that runs already or at one of
/// its own. The documents of a set have its name as their category.
class ServerEngine final : public RetrievalEngine {
  public:
    ServerEngine(const asio::any_io_executor& io, std::string url) : client_(io, std::move(url)) {}
    ServerEngine(const asio::any_io_executor& io, std::unique_ptr<OwnServer> server)
        : server_(std::move(server)), client_(io, server_->url()) {}
    ~ServerEngine() override { client_.stop(); }

    asio::awaitable<void> ingest(const RetrievalSet& set) override {
        constexpr std::size_t kDocumentsPerRequest = 100;
        set_ = set.name;
        co_await until_ready();
        std::vector<std::string> operations;
        for (std::size_t first = 0; first < set.documents.size(); first += kDocumentsPerRequest) {
            std::string lines;
            for (std::size_t i = first; i < std::min(first + kDocumentsPerRequest, set.documents.size());
                 ++i) {
                const auto& document = set.documents[i];
                const json::object line{{"id", set.name + "/" + document.id},
                                        {"title", document.title},
                                        {"content", document.content},
                                        {"category", set.name}};
                lines += json::serialize(line) + "\n";
            }
            const provider::HttpFields headers{{"Content-Type", "application/x-ndjson"}};
            auto answer = co_await client_.send("POST", "/v1/documents", std::move(lines), headers,
                                                std::chrono::seconds(120));
            if (answer.status != 202) throw std::runtime_error("POST /v1/documents: " + answer.body);
            const json::value accepted = json::parse(answer.body);
            for (const auto& one : accepted.as_array())
                operations.emplace_back(one.at("operation").as_string());
        }
        for (std::size_t i = 0; i < operations.size(); ++i) {
            co_await wait_for(operations[i]);
            show_progress("indexing " + set.name, i + 1, operations.size());
        }
    }

    asio::awaitable<std::vector<std::string>> search(const std::string& query,
                                                     const std::string& mode) override {
        json::value body = json::object{{"query", query},
                                        {"mode", mode},
                                        {"top", 10},
                                        {"chunksPerDocument", 1},
                                        {"filter", json::object{{"category", set_}}}};
        auto answer = co_await client_.post("/v1/search", std::move(body));
        if (answer.status != 200) throw std::runtime_error("POST /v1/search: " + answer.body);
        const json::value found = json::parse(answer.body);
        std::vector<std::string> ids;
        for (const auto& hit : found.at("results").as_array()) {
            ids.push_back(std::string(hit.at("documentId").as_string()).substr(set_.size() + 1));
        }
        co_return ids;
    }

  private:
    asio::awaitable<void> until_ready() {
        asio::steady_timer timer(co_await asio::this_coro::executor);
        for (;;) {
            const std::string failure = server_ ? server_->failure() : std::string();
            if (!failure.empty()) throw std::runtime_error(failure);
            auto answer = co_await client_.get("/readyz");
            if (answer.status == 200) co_return;
            timer.expires_after(std::chrono::milliseconds(20));
            co_await timer.async_wait(asio::use_awaitable);
        }
    }

    asio::awaitable<void> wait_for(const std::string& operation) {
        for (;;) {
            auto answer = co_await client_.get("/v1/operations/" + operation + "?wait=30");
            if (answer.status != 200) throw std::runtime_error("GET /v1/operations: " + answer.body);
            const json::value body = json::parse(answer.body);
            const std::string status(body.at("status").as_string());
            if (status == "succeeded") co_return;
            if (status == "failed")
                throw std::runtime_error("operation " + operation + " failed: " + answer.body);
        }
    }

    std::unique_ptr<OwnServer> server_;
    Client client_;
    std::string set_;
};

}  // namespace millrace::bench
