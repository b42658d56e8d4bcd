#include "base/limits.hpp"
#include "handlers/embed_requests.hpp"
#include "handlers/outcomes.hpp"
#include "handlers/payload.hpp"
#include "handlers/stages.hpp"
#include "text/chunk.hpp"

#include <boost/json/serialize.hpp>

namespace millrace::handlers {

namespace json = boost::json;

namespace {

namespace records = work::records;

text::ChunkOptions chunk_options(const Services& services) {
    const auto& model = services.provider.model();
    if (services.tokens)
        return text::chunk_options(services.tokens, model.chunk_tokens, model.chunk_overlap_tokens);
    text::ChunkOptions options;
    options.tokens_max = model.chunk_tokens;
    options.overlap_tokens = model.chunk_overlap_tokens;
    return options;
}

std::vector<index::ChunkText> to_index(std::vector<text::Chunk> chunks) {
    std::vector<index::ChunkText> texts;
    texts.reserve(chunks.size());
    for (auto& chunk : chunks) {
        index::ChunkText text;
        text.text = std::move(chunk.text);
        text.heading = std::move(chunk.heading);
        text.page = chunk.page;
        text.begin = chunk.begin;
        text.end = chunk.end;
        text.tokens = static_cast<std::uint32_t>(chunk.tokens);
        texts.push_back(std::move(text));
    }
    return texts;
}

std::string embed_body(std::size_t total, std::span<const std::uint32_t> ordinals) {
    json::array list(ordinals.begin(), ordinals.end());
    return json::serialize(json::object{{"total", total}, {"ordinals", std::move(list)}});
}

std::vector<work::FollowUp> next_messages(const work::VersionRef& version, const TextPayload& payload,
                                          const index::Staged& staged) {
    std::vector<work::FollowUp> messages;
    const std::span<const std::uint32_t> missing(staged.missing);
    for (std::size_t first = 0; first < missing.size(); first += kBatchChunksMax) {
        const auto batch = missing.subspan(first, std::min(kBatchChunksMax, missing.size() - first));
        const std::string step = "embed/" + std::to_string(batch.front());
        broker::Message message = pipeline_message(version, step, embed_body(staged.total, batch));
        message.properties[kCategoryProperty] = payload.category;
        messages.push_back({work::queue::embed, std::move(message)});
    }
    if (messages.empty()) {
        const json::object body{{"title", payload.title}, {"category", payload.category}};
        messages.push_back({work::queue::index, pipeline_message(version, "index", json::serialize(body))});
    }
    return messages;
}

}  // namespace

asio::awaitable<Result<text::ExtractedText>> load_text(Services& services, TextPayload payload) {
    if (!payload.text_ref.empty()) {
        auto bytes = co_await get_blob(services, payload.text_ref);
        if (!bytes) co_return bytes.error();
        payload.extracted = std::move(*bytes);
    }
    auto parse = [&payload] { return read_extracted(payload.extracted); };
    co_return co_await services.pool.run(std::move(parse));
}

asio::awaitable<Result<std::vector<index::ChunkText>>> split_text(
    Services& services, std::shared_ptr<const text::ExtractedText> text) {
    auto work = [text, options = chunk_options(services)] { return to_index(text::split(*text, options)); };
    std::vector<index::ChunkText> chunks = co_await services.pool.run(std::move(work));
    if (chunks.size() > limits::chunks_per_document_max) {
        co_return Error{Errc::over_limit, "the document has " + std::to_string(chunks.size()) +
                                              " passages, at most " +
                                              std::to_string(limits::chunks_per_document_max) +
                                              " are indexed; split it into several documents"};
    }
    co_return chunks;
}

asio::awaitable<work::Outcome> chunk_document(Services& services, Job job) {
    auto payload = parse_text(job.delivery.message.body);
    if (!payload) co_return dead_letter_for_payload(payload.error());
    auto loaded = co_await load_text(services, *payload);
    if (!loaded) co_return dead_letter_for_content(loaded.error());
    auto text = std::make_shared<const text::ExtractedText>(std::move(*loaded));
    auto chunks = co_await split_text(services, text);
    if (!chunks) co_return dead_letter_for_content(chunks.error());

    index::DocumentVersion version{job.version.document, job.version.generation, payload->title,
                                   payload->category};
    std::string model = services.model_key();
    auto staged = co_await services.index.stage(std::move(version), std::move(model), std::move(*chunks));
    if (!staged) co_return outcome_for(staged.error(), job.delivery.delivery_count, services.jitter());
    // Deleted or superseded while it was being staged: what was staged must not stay.
    const bool newest = co_await is_newest(services, job.version);
    if (!newest) co_return co_await drop(services, job.version);

    work::Done done;
    done.follow_ups = next_messages(job.version, *payload, *staged);
    done.with = [version = job.version, total = staged->total, missing = staged->missing.size(),
                 now = services.clock.now()](store::Connection& connection) -> Result<void> {
        records::set_stage(connection, version, missing == 0 ? "index" : "embed", now);
        records::set_progress(connection, version, static_cast<std::int64_t>(total - missing),
                              static_cast<std::int64_t>(total), now);
        return {};
    };
    done.then = [&services, document = job.version.document] { services.operations.changed(document); };
    co_return done;
}

asio::awaitable<work::Outcome> describe_document(Services& services, Job job) {
    auto payload = parse_text(job.delivery.message.body);
    if (!payload) co_return dead_letter_for_payload(payload.error());
    auto text = co_await load_text(services, *payload);
    if (!text) co_return dead_letter_for_content(text.error());
    auto describe = [&text, format = payload->format] { return describe_text(*text, format); };
    const std::string found = co_await services.pool.run(std::move(describe));

    auto finish = std::make_shared<Finish>();
    work::Done done;
    done.with = [version = job.version, found, finish,
                 now = services.clock.now()](store::Connection& connection) -> Result<void> {
        records::merge_metadata(connection, version, found);
        *finish = finish_part(connection, version, work::Part::metadata, now);
        return {};
    };
    done.then = [&services, version = job.version, category = payload->category, finish] {
        after_finish(services, version, category, *finish);
    };
    co_return done;
}

}  // namespace millrace::handlers
