#include "handlers/outcomes.hpp"
#include "handlers/payload.hpp"
#include "handlers/stages.hpp"

namespace millrace::handlers {

namespace {

namespace records = work::records;

asio::awaitable<Result<void>> note_progress(Services& services, work::VersionRef version, std::string title,
                                            std::size_t done, std::size_t total) {
    auto work = [version, title = std::move(title), done, total,
                 now = services.clock.now()](store::Connection& connection) -> Result<void> {
        records::set_stage(connection, version, "embed", now);
        records::set_title(connection, version, title);
        records::set_progress(connection, version, static_cast<std::int64_t>(done),
                              static_cast<std::int64_t>(total), now);
        return {};
    };
    co_return co_await services.database.write(std::move(work));
}

asio::awaitable<Result<index::Staged>> stage_text(Services& services, const Job& job,
                                                  const IngestPayload& payload,
                                                  std::shared_ptr<const text::ExtractedText> text) {
    auto chunks = co_await split_text(services, text);
    if (!chunks) co_return chunks.error();
    index::DocumentVersion version{job.version.document, job.version.generation, payload.title,
                                   payload.category};
    std::string model = services.model_key();
    co_return co_await services.index.stage(std::move(version), std::move(model), std::move(*chunks));
}

}  // namespace

asio::awaitable<work::Outcome> embed_index(Services& services, Job job) {
    auto payload = parse_ingest(job.delivery.message.body);
    if (!payload) co_return dead_letter_for_payload(payload.error());
    auto extracted = co_await extract_text(services, *payload);
    if (!extracted && extracted.error().code == Errc::unavailable) {
        co_return outcome_for(extracted.error(), job.delivery.delivery_count, services.jitter());
    }
    if (!extracted) co_return dead_letter_for_content(extracted.error());
    auto text = std::make_shared<const text::ExtractedText>(std::move(*extracted));
    if (payload->title.empty()) payload->title = text->title.empty() ? payload->document_id : text->title;

    auto staged = co_await stage_text(services, job, *payload, text);
    if (!staged && staged.error().code != Errc::over_limit) {
        co_return outcome_for(staged.error(), job.delivery.delivery_count, services.jitter());
    }
    if (!staged) co_return dead_letter_for_content(staged.error());
    const std::size_t done = staged->total - staged->missing.size();
    auto noted = co_await note_progress(services, job.version, payload->title, done, staged->total);
    if (!noted) co_return outcome_for(noted.error(), job.delivery.delivery_count, services.jitter());

    const Embedded embedded =
        co_await embed_missing(services, job, payload->category, std::move(staged->missing));
    co_await note_tokens(services, job.version, embedded.usage);
    if (embedded.gone) co_return co_await gone(services, job.version);
    if (embedded.failure) co_return *embedded.failure;

    auto describe = [text] { return describe_text(*text, "text"); };
    std::optional<std::string> metadata = co_await services.pool.run(std::move(describe));
    auto failure = co_await publish_version(services, job, std::move(metadata));
    if (failure) co_return std::move(*failure);
    co_return work::Done{};
}

}  // namespace millrace::handlers
