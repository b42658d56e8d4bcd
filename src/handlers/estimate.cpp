#include "handlers/estimate.hpp"

#include "broker/body.hpp"
#include "handlers/embed_requests.hpp"
#include "handlers/outcomes.hpp"
#include "handlers/payload.hpp"
#include "handlers/tasks.hpp"

namespace millrace::handlers {

namespace {

using Chunks = std::shared_ptr<const std::vector<index::ChunkText>>;

std::string told(const work::DeadLetter& dead) { return dead.reason + ": " + dead.description; }

work::DocumentEstimate failed(const work::DeadLetter& dead) {
    work::DocumentEstimate estimate;
    estimate.error = told(dead);
    return estimate;
}

/// What it takes to embed texts of `tokens` together in so many calls.
work::Estimate embedding(const Services& services, std::int64_t calls, std::int64_t tokens) {
    work::Estimate estimate{services.provider.model().name, calls, tokens, 0,
                            services.price.micros(tokens, 0)};
    if (calls > 0) estimate.loads[services.deployment] = {calls, tokens};
    return estimate;
}

/// Those of `chunks` that `indexed` has no vector for, unless the provider has one.
asio::awaitable<work::DocumentEstimate> of_chunks(Services& services, Chunks chunks,
                                                  std::vector<bool> indexed) {
    std::vector<std::size_t> missing;
    std::vector<std::string> texts;
    for (std::size_t i = 0; i < chunks->size(); ++i) {
        if (indexed[i]) continue;
        missing.push_back(i);
        texts.push_back((*chunks)[i].text);
    }
    const std::vector<bool> known = co_await services.provider.known(std::move(texts));
    std::int64_t tokens = 0, asked = 0;
    for (std::size_t i = 0; i < missing.size(); ++i) {
        if (known[i]) continue;
        asked += 1;
        tokens += (*chunks)[missing[i]].tokens;
    }
    const TextAt text_at = [&](std::size_t i) { return std::string_view((*chunks)[missing[i]].text); };
    const auto calls =
        count_requests(services.provider.model(), missing.size(), kBatchChunksMax, text_at, known);
    work::DocumentEstimate estimate{embedding(services, static_cast<std::int64_t>(calls), tokens)};
    estimate.chunks = static_cast<std::int64_t>(chunks->size());
    estimate.cached_chunks = estimate.chunks - asked;
    co_return estimate;
}

asio::awaitable<work::DocumentEstimate> estimate_text(Services& services,
                                                      Result<text::ExtractedText> extracted) {
    if (!extracted) co_return failed(dead_letter_for_content(extracted.error()));
    auto text = std::make_shared<const text::ExtractedText>(std::move(*extracted));
    auto split = co_await split_text(services, text);
    if (!split) co_return failed(dead_letter_for_content(split.error()));
    const Chunks chunks = std::make_shared<const std::vector<index::ChunkText>>(std::move(*split));
    std::string model = services.model_key();
    std::vector<bool> indexed = co_await services.index.remembered(std::move(model), chunks);
    co_return co_await of_chunks(services, chunks, std::move(indexed));
}

/// True for what is no fault of the letter: the handler would try again later.
template <class T>
bool would_wait(const Result<T>& result) {
    return !result && result.error().code == Errc::unavailable;
}

work::LetterEstimate letter_of(work::DocumentEstimate document) {
    work::LetterEstimate letter;
    letter.add(document);
    letter.error = std::move(document.error);
    return letter;
}

work::LetterEstimate letter_of(const work::DeadLetter& dead) {
    work::LetterEstimate letter;
    letter.error = told(dead);
    return letter;
}

asio::awaitable<work::LetterEstimate> estimate_ingestion(Services& services, broker::Message letter) {
    auto payload = parse_ingest(letter.body);
    if (!payload) co_return letter_of(dead_letter_for_payload(payload.error()));
    auto text = co_await extract_text(services, *payload);
    if (would_wait(text)) co_return work::LetterEstimate();
    auto estimate = co_await estimate_text(services, std::move(text));
    co_return letter_of(std::move(estimate));
}

asio::awaitable<work::LetterEstimate> estimate_chunking(Services& services, broker::Message letter) {
    auto payload = parse_text(letter.body);
    if (!payload) co_return letter_of(dead_letter_for_payload(payload.error()));
    auto text = co_await load_text(services, std::move(*payload));
    if (would_wait(text)) co_return work::LetterEstimate();
    auto estimate = co_await estimate_text(services, std::move(text));
    co_return letter_of(std::move(estimate));
}

/// The passages of one embed message that have no vector yet.
asio::awaitable<work::LetterEstimate> estimate_embedding(Services& services, broker::Message letter,
                                                         work::VersionRef version) {
    auto payload = parse_embed(letter.body);
    if (!payload) co_return letter_of(dead_letter_for_payload(payload.error()));
    auto staged = co_await services.index.staged_texts(version.document, version.generation,
                                                       std::move(payload->ordinals));
    if (would_wait(staged)) co_return work::LetterEstimate();
    if (!staged)
        co_return letter_of(
            work::DeadLetter{work::reason::malformed_payload, "its passages are not in the index"});
    auto count = [&services, &staged] {
        std::vector<index::ChunkText> chunks;
        for (auto& one : *staged) {
            if (one.embedded) continue;
            index::ChunkText& chunk = chunks.emplace_back();
            const std::size_t tokens =
                services.tokens ? services.tokens->count(one.text) : text::estimate_tokens(one.text);
            chunk.tokens = static_cast<std::uint32_t>(tokens);
            chunk.text = std::move(one.text);
        }
        return std::make_shared<const std::vector<index::ChunkText>>(std::move(chunks));
    };
    const Chunks chunks = co_await services.pool.run(std::move(count));
    std::vector<bool> none_indexed(chunks->size(), false);
    auto estimate = co_await of_chunks(services, chunks, std::move(none_indexed));
    co_return letter_of(std::move(estimate));
}

asio::awaitable<work::LetterEstimate> estimate_tasks_letter(Services& services, broker::Message letter) {
    auto estimated = co_await estimate_task(services, *services.task_parts, std::move(letter));
    work::LetterEstimate estimate;
    if (estimated)
        estimate.add(*estimated);
    else if (!would_wait(estimated))
        estimate.error = estimated.error().detail;
    co_return estimate;
}

/// Runs `estimate`; what it throws is the dead letter that a handler would make of it.
template <class T>
asio::awaitable<T> safely(asio::awaitable<T> estimate) {
    T failed;
    try {
        co_return co_await std::move(estimate);
    } catch (...) {
        failed.error = std::string(work::reason::unexpected_exception) + ": " + blame_of_exception();
    }
    co_return failed;
}

asio::awaitable<work::DocumentEstimate> estimate_content(Services& services, work::NewDocument document) {
    const bool named = !document.content_type.empty() || !document.file_name.empty();
    const bool is_inline = work::travels_inline(document);
    Content content{std::move(document.content), std::move(document.content_type),
                    std::move(document.file_name)};
    if (is_inline && !named) content.type = kInlineType;
    auto text = co_await extract_text(services, std::move(content));
    auto estimate = co_await estimate_text(services, std::move(text));
    co_return estimate;
}

asio::awaitable<work::LetterEstimate> estimate_steps(Services& services, const HandlerRow& row,
                                                     broker::Message letter) {
    if (row.run == nullptr) co_return co_await estimate_tasks_letter(services, std::move(letter));
    auto body = broker::plain_body(letter);
    if (!body) co_return letter_of(dead_letter_for_payload(body.error()));
    letter.body = std::move(*body);
    letter.body_format = broker::kPlainBody;
    const auto version = version_of(letter);
    if (version) {
        const bool newest = co_await is_newest(services, *version);
        if (!newest) co_return work::LetterEstimate();
    }
    if (row.run == extract_document || row.run == embed_index)
        co_return co_await estimate_ingestion(services, std::move(letter));
    if (row.run == chunk_document) co_return co_await estimate_chunking(services, std::move(letter));
    if (row.run == embed_chunks && version)
        co_return co_await estimate_embedding(services, std::move(letter), *version);
    co_return work::LetterEstimate();
}

}  // namespace

asio::awaitable<work::DocumentEstimate> estimate_document(Services& services, work::NewDocument document) {
    return safely(estimate_content(services, std::move(document)));
}

asio::awaitable<work::LetterEstimate> estimate_letter(Services& services, const HandlerRow& row,
                                                      broker::Message letter) {
    return safely(estimate_steps(services, row, std::move(letter)));
}

asio::awaitable<void> BacklogView::look() {
    auto waiting = co_await services_.index.unembedded();
    auto sum = [waiting = std::move(waiting)](store::Connection& connection) {
        work::Load load;
        if (waiting.empty()) return load;
        const auto under_way = work::records::under_way(connection);
        for (const auto& version : waiting) {
            if (!under_way.contains({version.document, version.generation})) continue;
            load.tokens += version.tokens;
            load.calls += (version.chunks + kBatchChunksMax - 1) / static_cast<std::int64_t>(kBatchChunksMax);
        }
        return load;
    };
    passages_ = co_await services_.database.read(std::move(sum));
    looked_at_ = services_.clock.now();
}

asio::awaitable<work::Backlog> BacklogView::read(std::int64_t tasks_queued) {
    if (!looked_at_ || services_.clock.now() >= *looked_at_ + kBacklogKept) co_await look();
    work::Backlog backlog;
    if (passages_.calls > 0) backlog.passages[services_.deployment] = passages_;
    if (services_.task_parts != nullptr && tasks_queued > 0)
        for (const std::string& deployment : answering_deployments(*services_.task_parts))
            backlog.tasks[deployment] = tasks_queued;
    co_return backlog;
}

}  // namespace millrace::handlers
