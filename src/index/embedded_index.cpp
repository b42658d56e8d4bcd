#include "index/embedded_index.hpp"

#include "base/ids.hpp"
#include "base/limits.hpp"
#include "index/graph_keeper.hpp"
#include "index/reading.hpp"
#include "index/rows.hpp"
#include "index/scanner.hpp"
#include "index/searches.hpp"
#include "index/vector_tables.hpp"
#include "index/versions.hpp"

#include <boost/asio/this_coro.hpp>

#include <cmath>

namespace millrace::index {

namespace {

constexpr std::size_t kVectorsPerRead = 512;
constexpr std::size_t kHashesPerRead = 4096;

/// Of a change in several commands only the last needs a flush, which takes the others along.
store::Sync sync_of(bool last) { return last ? store::Sync::durable : store::Sync::written; }

bool all_finite(const std::vector<float>& vector) {
    return std::all_of(vector.begin(), vector.end(), [](float value) { return std::isfinite(value); });
}

/// A command that changes what search sees, and the trace it leaves if its transaction is rolled back.
struct ChangeCommand {
    Versions& versions;
    std::function<Result<Published>(store::Connection&, Stamp)> write_rows;
    AlsoWrite with;
    VersionState* born = nullptr;
    Stamp stamp = 0;

    /// On the writer thread. What is in memory changes last: all that can still fail then is the commit.
    Result<Published> operator()(store::Connection& database) {
        stamp = versions.begin(read_stamp(database));
        auto published = write_rows(database, stamp);
        if (!published) return published;
        if (with) {
            const auto also = with(database);
            if (!also) return also.error();
        }
        if (!published->unchanged) versions.change(stamp, born, published->superseded);
        return published;
    }
};

/// One ranking of both, or the one that the mode asks for.
std::vector<Ranked> fuse(const SearchRequest& request, const std::vector<Ranked>& words,
                         const std::vector<Ranked>& meaning, std::size_t depth) {
    if (request.mode == Mode::keyword || (request.mode == Mode::hybrid && meaning.empty())) return words;
    if (request.mode == Mode::vector) return meaning;
    return request.fusion == Fusion::score ? fuse_scores(words, meaning, request.keyword_weight, depth)
                                           : fuse_ranks(words, meaning, request.keyword_weight, depth);
}

class EmbeddedIndex final : public Index {
  public:
    EmbeddedIndex(store::Database& database, CpuPool& pool, const EmbeddedIndexOptions& options,
                  const asio::any_io_executor& executor, Stamp newest)
        : database_(database),
          state_(options.state),
          pool_(pool),
          scanner_(pool, executor, options.scan_threads),
          searches_(std::make_shared<Searches>(executor)),
          versions_(newest),
          graphs_(pool, executor, searches_, options.graph_rows_min),
          tables_(versions_, [this](const std::shared_ptr<VectorTable>& table) { graphs_.look(table); }) {}

    asio::awaitable<void> open();

    asio::awaitable<Result<Staged>> stage(DocumentVersion version, std::string model,
                                          std::vector<ChunkText> chunks) override;
    asio::awaitable<std::vector<bool>> remembered(
        std::string model, std::shared_ptr<const std::vector<ChunkText>> chunks) override;
    asio::awaitable<std::vector<Unembedded>> unembedded() override;
    asio::awaitable<Result<std::vector<StagedText>>> staged_texts(
        std::string document, std::int64_t generation, std::vector<std::uint32_t> ordinals) override;
    asio::awaitable<Result<std::size_t>> put_vectors(std::string document, std::int64_t generation,
                                                     OrdinalVectors vectors) override;
    asio::awaitable<Result<std::size_t>> publish(DocumentVersion version, AlsoWrite with) override;
    asio::awaitable<Result<void>> discard(std::string document, std::int64_t generation) override;
    asio::awaitable<Result<void>> remove(std::string document, AlsoWrite with) override;
    asio::awaitable<Result<std::vector<SearchHit>>> search(SearchRequest request) override;
    IndexStats stats() const override;

  private:
    asio::awaitable<void> load_group(std::shared_ptr<const std::vector<LiveVersion>> group);
    asio::awaitable<LoadedVersion> load(std::int64_t version, const std::string& model,
                                        const std::string& category);
    asio::awaitable<void> find_orphans();
    asio::awaitable<Result<void>> remove_here(std::string document, AlsoWrite with);
    asio::awaitable<Result<Published>> change(std::shared_ptr<ChangeCommand> command);
    void to_purge(const std::vector<std::int64_t>& versions) {
        unpurged_.insert(unpurged_.end(), versions.begin(), versions.end());
    }
    asio::awaitable<void> purge();
    asio::awaitable<void> purge_sometime();
    asio::awaitable<std::vector<Candidate>> find_vectors(const SearchRequest& request, Stamp state,
                                                         std::size_t count);

    store::Database& database_;
    store::Database* state_;   ///< null: the same
    CpuPool& pool_;
    Scanner scanner_;
    std::shared_ptr<Searches> searches_;
    Versions versions_;
    GraphKeeper graphs_;
    VectorTables tables_;
    std::vector<std::int64_t> unpurged_;
    IndexStats stats_;
};

asio::awaitable<void> EmbeddedIndex::open() {
    co_await find_orphans();
    co_await purge();

    auto find_live = [](store::Connection& database) { return read_live_versions(database); };
    const auto live = co_await database_.read(std::move(find_live));
    for (std::size_t at = 0; at < live.size();) {
        std::size_t end = at;
        std::size_t chunks = 0;
        while (end < live.size() && chunks < kVectorsPerRead) chunks += live[end++].chunks;
        auto group = std::make_shared<std::vector<LiveVersion>>(live.begin() + at, live.begin() + end);
        co_await load_group(std::move(group));
        at = end;
    }
}

asio::awaitable<void> EmbeddedIndex::find_orphans() {
    auto list = [](store::Connection& database) { return unpublished(database); };
    auto candidates = co_await database_.read(std::move(list));
    auto choose = [candidates = std::move(candidates)](store::Connection& state) {
        std::vector<std::int64_t> orphans;
        for (const Unpublished& version : candidates)
            if (is_orphan(state, version)) orphans.push_back(version.id);
        return orphans;
    };
    store::Database& state = state_ == nullptr ? database_ : *state_;
    unpurged_ = co_await state.read(std::move(choose));
}

// Small documents are read together, a large one in pieces.
asio::awaitable<void> EmbeddedIndex::load_group(std::shared_ptr<const std::vector<LiveVersion>> group) {
    std::size_t first = 0;
    bool more = true;
    std::vector<VersionState*> states;
    for (const LiveVersion& version : *group) {
        states.push_back(tables_.create(version.id, version.category));
        versions_.load(states.back());
        stats_.documents += 1;
        stats_.chunks += version.chunks;
    }
    while (more) {
        auto work = [group, first](store::Connection& database) {
            std::vector<QuantizedRows> rows;
            for (const LiveVersion& version : *group) {
                rows.push_back(read_vectors(database, version.id, first, kVectorsPerRead));
            }
            return rows;
        };
        const auto rows = co_await database_.read(std::move(work));
        more = false;
        for (std::size_t at = 0; at < rows.size(); ++at) {
            tables_.add(states[at], (*group)[at].model, rows[at]);
            more = more || rows[at].size() == kVectorsPerRead;
        }
        first += kVectorsPerRead;
    }
}

asio::awaitable<Result<Staged>> EmbeddedIndex::stage(DocumentVersion version, std::string model,
                                                     std::vector<ChunkText> chunks) {
    if (version.generation < 0) co_return Error{Errc::invalid_input, "a generation is not negative"};
    if (chunks.size() > limits::chunks_per_document_max) {
        co_return Error{
            Errc::invalid_input,
            "a document has at most " + std::to_string(limits::chunks_per_document_max) + " passages"};
    }
    auto draft = std::make_shared<StageInput>();
    draft->version = std::move(version);
    draft->model = std::move(model);
    draft->chunks = std::move(chunks);
    auto hash = [draft] {
        for (const ChunkText& chunk : draft->chunks) draft->hashes.push_back(sha256(chunk.text));
    };
    co_await pool_.run(std::move(hash));
    const std::shared_ptr<const StageInput> input = draft;

    auto begin = [input](store::Connection& database) -> Result<StageStart> {
        auto start = begin_stage(database, *input);
        if (!start || start->version == 0) return start;
        const std::size_t last = std::min(kRowsPerCommand, input->chunks.size());
        auto missing = stage_rows(database, *input, start->version, 0, last);
        if (!missing) return missing.error();
        start->done = {input->chunks.size(), std::move(*missing)};
        return start;
    };
    const auto sync = sync_of(input->chunks.size() <= kRowsPerCommand);
    auto start = co_await database_.write(std::move(begin), sync);
    if (!start) co_return start.error();
    if (start->version == 0) co_return std::move(start->done);

    for (std::size_t first = kRowsPerCommand; first < input->chunks.size(); first += kRowsPerCommand) {
        auto work = [input, first, row = start->version](store::Connection& database) {
            return stage_rows(database, *input, row, first,
                              std::min(first + kRowsPerCommand, input->chunks.size()));
        };
        const auto sync = sync_of(first + kRowsPerCommand >= input->chunks.size());
        auto missing = co_await database_.write(std::move(work), sync);
        if (!missing) co_return missing.error();
        start->done.missing.insert(start->done.missing.end(), missing->begin(), missing->end());
    }
    to_purge(start->parked);
    co_await purge_sometime();
    co_return std::move(start->done);
}

asio::awaitable<std::vector<bool>> EmbeddedIndex::remembered(
    std::string model, std::shared_ptr<const std::vector<ChunkText>> chunks) {
    auto hash = [chunks] {
        std::vector<std::string> hashes;
        for (const ChunkText& chunk : *chunks) hashes.push_back(sha256(chunk.text));
        return hashes;
    };
    std::vector<std::string> hashed = co_await pool_.run(std::move(hash));
    const auto hashes = std::make_shared<const std::vector<std::string>>(std::move(hashed));
    std::vector<bool> remembered;
    while (remembered.size() < hashes->size()) {
        const std::size_t first = remembered.size();
        const std::size_t count = std::min(kHashesPerRead, hashes->size() - first);
        auto look_up = [model, hashes, first, count](store::Connection& database) {
            return remembered_rows(database, model, std::span(*hashes).subspan(first, count));
        };
        const std::vector<bool> page = co_await database_.read(std::move(look_up));
        remembered.insert(remembered.end(), page.begin(), page.end());
    }
    co_return remembered;
}

asio::awaitable<std::vector<Index::Unembedded>> EmbeddedIndex::unembedded() {
    auto list = [](store::Connection& database) { return unembedded_rows(database); };
    co_return co_await database_.read(std::move(list));
}

asio::awaitable<Result<std::vector<Index::StagedText>>> EmbeddedIndex::staged_texts(
    std::string document, std::int64_t generation, std::vector<std::uint32_t> ordinals) {
    auto work = [document = std::move(document), generation,
                 ordinals = std::move(ordinals)](store::Connection& database) {
        return staged_rows(database, document, generation, ordinals);
    };
    co_return co_await database_.read(std::move(work));
}

asio::awaitable<Result<std::size_t>> EmbeddedIndex::put_vectors(std::string document, std::int64_t generation,
                                                                OrdinalVectors vectors) {
    for (const auto& [ordinal, vector] : vectors) {
        if (vector.empty() || !all_finite(vector)) {
            co_return Error{Errc::invalid_input, "the vector of passage " + std::to_string(ordinal) +
                                                     " of document " + document + " is empty or not finite"};
        }
    }
    const auto shared = std::make_shared<const OrdinalVectors>(std::move(vectors));
    Result<std::size_t> missing = 0;
    for (std::size_t first = 0; first == 0 || first < shared->size(); first += kRowsPerCommand) {
        auto work = [shared, document, generation, first](store::Connection& database) {
            const std::size_t count = std::min(kRowsPerCommand, shared->size() - first);
            return put_vector_rows(database, document, generation, std::span(*shared).subspan(first, count));
        };
        const auto sync = sync_of(first + kRowsPerCommand >= shared->size());
        missing = co_await database_.write(std::move(work), sync);
        if (!missing) break;
    }
    co_return missing;
}

// The vectors are in memory before the command that makes them seen, which so stays short.
asio::awaitable<LoadedVersion> EmbeddedIndex::load(std::int64_t version, const std::string& model,
                                                   const std::string& category) {
    LoadedVersion loaded(tables_, tables_.create(version, category));
    for (std::size_t first = 0;; first += kVectorsPerRead) {
        auto work = [version, first](store::Connection& database) {
            return read_vectors(database, version, first, kVectorsPerRead);
        };
        const QuantizedRows rows = co_await database_.read(std::move(work));
        tables_.add(loaded.get(), model, rows);
        if (rows.size() < kVectorsPerRead) co_return std::move(loaded);
    }
}

// Runs `command` and puts right what is in memory if its transaction did not last.
asio::awaitable<Result<Published>> EmbeddedIndex::change(std::shared_ptr<ChangeCommand> command) {
    auto work = [command](store::Connection& database) { return (*command)(database); };
    Result<Published> published = Error{Errc::unavailable, {}};
    std::exception_ptr failure;
    try {
        published = co_await database_.write(std::move(work));
    } catch (...) {
        failure = std::current_exception();
    }
    const bool committed = !failure && published.has_value();
    versions_.settle(command->stamp, committed);
    if (failure) std::rethrow_exception(failure);
    if (committed) to_purge(published->superseded);
    if (committed && published->was_live) {
        stats_.documents -= 1;
        stats_.chunks -= published->live_chunks_removed;
    }
    co_return published;
}

asio::awaitable<Result<std::size_t>> EmbeddedIndex::publish(DocumentVersion version, AlsoWrite with) {
    auto find = [version](store::Connection& database) {
        return find_version(database, version.id, version.generation);
    };
    const auto row = co_await database_.read(std::move(find));
    if (!row) co_return Error{Errc::not_found, "this version of document " + version.id + " is gone"};
    LoadedVersion loaded;
    if (!row->live) loaded = co_await load(row->id, row->model, row->category);

    auto write_rows = [version, id = row->id](store::Connection& database, Stamp stamp) {
        return publish_rows(database, version, id, stamp);
    };
    AlsoWrite afterwards = state_ == nullptr ? AlsoWrite() : std::exchange(with, nullptr);
    auto command =
        std::make_shared<ChangeCommand>(ChangeCommand{versions_, write_rows, std::move(with), loaded.get()});
    auto published = co_await change(std::move(command));
    if (!published) co_return published.error();
    if (!published->unchanged) {
        loaded.keep();
        stats_.documents += 1;
        stats_.chunks += published->chunks;
        co_await purge_sometime();
    }
    if (afterwards) {
        auto written = co_await state_->write(std::move(afterwards));
        if (!written) co_return written.error();
    }
    co_return published->chunks;
}

asio::awaitable<Result<void>> EmbeddedIndex::discard(std::string document, std::int64_t generation) {
    auto work = [document = std::move(document),
                 generation](store::Connection& database) -> Result<std::int64_t> {
        return park(database, document, generation);
    };
    const auto parked = co_await database_.write(std::move(work));
    if (!parked) co_return parked.error();
    if (*parked != 0) to_purge({*parked});
    co_await purge();
    co_return Result<void>();
}

// On two databases a version may be staged and published between both: it goes with a second look.
asio::awaitable<Result<void>> EmbeddedIndex::remove(std::string document, AlsoWrite with) {
    AlsoWrite afterwards = state_ == nullptr ? AlsoWrite() : std::exchange(with, nullptr);
    auto removed = co_await remove_here(document, std::move(with));
    if (!removed || !afterwards) co_return removed;
    auto written = co_await state_->write(std::move(afterwards));
    if (!written) co_return written;
    const AlsoWrite nothing;
    co_return co_await remove_here(std::move(document), nothing);
}

asio::awaitable<Result<void>> EmbeddedIndex::remove_here(std::string document, AlsoWrite with) {
    auto write_rows = [document = std::move(document)](store::Connection& database,
                                                       Stamp stamp) -> Result<Published> {
        return unpublish_rows(database, document, stamp);
    };
    auto command = std::make_shared<ChangeCommand>(ChangeCommand{versions_, write_rows, std::move(with)});
    auto removed = co_await change(std::move(command));
    if (!removed) co_return removed.error();
    co_await purge();
    co_return Result<void>();
}

// What was to be done is done: rows that nobody sees must not make it fail.
asio::awaitable<void> EmbeddedIndex::purge_sometime() {
    try {
        co_await purge();
    } catch (const MachineError&) {
        // They are tried again with the next purge, and at the next start.
    }
}

// Throws MachineError; what is left then is tried again with the next purge, and at the next start.
asio::awaitable<void> EmbeddedIndex::purge() {
    std::vector<std::int64_t> versions = std::exchange(unpurged_, {});
    if (versions.empty()) co_return;
    try {
        co_await searches_->older_have_ended();
        for (const std::int64_t version : versions) tables_.drop(versions_.take(version));
        for (; !versions.empty(); versions.pop_back()) {
            for (bool done = false; !done;) {
                auto work = [version = versions.back()](store::Connection& database) -> Result<bool> {
                    return purge_rows(database, version);
                };
                const auto purged = co_await database_.write(std::move(work), store::Sync::written);
                done = *purged;
            }
        }
    } catch (...) {
        to_purge(versions);
        throw;
    }
}

asio::awaitable<std::vector<Candidate>> EmbeddedIndex::find_vectors(const SearchRequest& request, Stamp state,
                                                                    std::size_t count) {
    if (request.mode == Mode::keyword) co_return std::vector<Candidate>();
    ScanPlan plan = tables_.plan(request.model, request.vector, state, request.category, count);
    co_return co_await scanner_.find(std::move(plan));
}

asio::awaitable<Result<std::vector<SearchHit>>> EmbeddedIndex::search(SearchRequest request) {
    if (!all_finite(request.vector)) co_return Error{Errc::invalid_input, "the query's vector is not finite"};
    request.top = std::min(request.top, limits::search_top_max);
    const auto shared = std::make_shared<const SearchRequest>(std::move(request));
    const Searches::Ticket ticket(*searches_);
    const std::size_t depth = std::max(kFusionDepth, shared->top);

    auto read_words = [shared, depth](store::Connection& database) {
        std::pair<Stamp, std::vector<Ranked>> found(read_stamp(database), {});
        if (shared->mode == Mode::vector) return found;
        found.second = keyword_ranking(database, shared->query, shared->category, depth, shared->top);
        return found;
    };
    auto [state, by_words] = co_await database_.read(std::move(read_words));
    const std::size_t count = std::min(depth * 4, depth + 200);
    auto candidates = co_await find_vectors(*shared, state, count);

    auto rank = [shared, depth, words = std::move(by_words),
                 near = std::move(candidates)](store::Connection& database) {
        const std::vector<Ranked> meaning = exact_ranking(database, near, shared->vector);
        return read_hits(database, fuse(*shared, words, meaning, depth), shared->top,
                         shared->chunks_per_document_max);
    };
    auto hits = co_await database_.read(std::move(rank));
    co_return std::move(hits);
}

IndexStats EmbeddedIndex::stats() const {
    IndexStats stats = stats_;
    stats.vectors = stats.chunks;
    stats.bytes = tables_.bytes();
    return stats;
}

}  // namespace

asio::awaitable<Result<std::unique_ptr<Index>>> make_embedded_index(store::Database& database, CpuPool& pool,
                                                                    EmbeddedIndexOptions options) {
    const auto executor = co_await asio::this_coro::executor;
    auto read = [](store::Connection& connection) { return read_stamp(connection); };
    const Stamp newest = co_await database.read(std::move(read));
    auto index = std::make_unique<EmbeddedIndex>(database, pool, options, executor, newest);
    co_await index->open();
    co_return std::unique_ptr<Index>(std::move(index));
}

}  // namespace millrace::index
