#include "broker/value.hpp"
#include "handlers/embed_requests.hpp"
#include "handlers/outcomes.hpp"
#include "handlers/payload.hpp"
#include "handlers/stages.hpp"

#include <boost/json/serialize.hpp>

namespace millrace::handlers {

namespace json = boost::json;

namespace {

namespace records = work::records;

/// A passage that waits for its vector.
struct Waiting {
    std::uint32_t ordinal = 0;
    std::string text;
};

asio::awaitable<provider::Outcome<provider::Embeddings>> call_provider(Services& services,
                                                                       const std::string& category,
                                                                       std::span<const Waiting> waiting,
                                                                       provider::CallContext context) {
    std::vector<std::string> inputs;
    for (const auto& one : waiting) inputs.push_back(one.text);
    const auto started = std::chrono::steady_clock::now();
    auto answer = co_await services.provider.embed(std::move(inputs), std::move(context));
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - started;
    if (services.observer.embedding_took) services.observer.embedding_took(category, took.count());
    if (answer && (answer->vectors.empty() || answer->vectors.size() > waiting.size())) {
        co_return provider::Failure{provider::FailureKind::transient, 0,
                                    "the provider answered another number of vectors"};
    }
    co_return answer;
}

/// The texts of `ordinals` that have no vector; with `gone` set where the version is.
asio::awaitable<std::vector<Waiting>> load_waiting(Services& services, const Job& job,
                                                   std::vector<std::uint32_t> ordinals, Embedded& embedded) {
    std::vector<Waiting> waiting;
    auto staged =
        co_await services.index.staged_texts(job.version.document, job.version.generation, ordinals);
    if (!staged) {
        embedded.gone = staged.error().code == Errc::not_found;
        if (!embedded.gone) {
            embedded.failure = outcome_for(staged.error(), job.delivery.delivery_count, services.jitter());
        }
        co_return waiting;
    }
    for (std::size_t i = 0; i < ordinals.size() && i < staged->size(); ++i) {
        auto& one = (*staged)[i];
        if (!one.embedded) waiting.push_back({ordinals[i], std::move(one.text)});
    }
    co_return waiting;
}

asio::awaitable<bool> store_vectors(Services& services, const Job& job, std::span<const Waiting> waiting,
                                    provider::Embeddings embeddings, Embedded& embedded) {
    std::vector<std::pair<std::uint32_t, std::vector<float>>> vectors;
    for (std::size_t i = 0; i < waiting.size(); ++i) {
        vectors.emplace_back(waiting[i].ordinal, std::move(embeddings.vectors[i]));
    }
    auto remaining =
        co_await services.index.put_vectors(job.version.document, job.version.generation, std::move(vectors));
    if (remaining) {
        embedded.remaining = *remaining;
        co_return true;
    }
    embedded.gone = remaining.error().code == Errc::not_found;
    if (!embedded.gone) {
        embedded.failure = outcome_for(remaining.error(), job.delivery.delivery_count, services.jitter());
    }
    co_return false;
}

}  // namespace

asio::awaitable<Embedded> embed_missing(Services& services, const Job& job, std::string category,
                                        std::vector<std::uint32_t> ordinals) {
    Embedded embedded;
    std::vector<Waiting> waiting = co_await load_waiting(services, job, std::move(ordinals), embedded);
    std::span<const Waiting> rest(waiting);
    const provider::CallContext context = context_for(job.delivery.message);
    if (rest.empty() && !embedded.gone && !embedded.failure) {
        // Everything was embedded by an earlier delivery: only ask how much the version still lacks.
        provider::Embeddings none;
        co_await store_vectors(services, job, rest, std::move(none), embedded);
    }
    while (!rest.empty()) {
        const TextAt text_at = [rest](std::size_t i) { return std::string_view(rest[i].text); };
        const auto request = rest.first(request_size(services.provider.model(), 0, rest.size(), text_at));
        auto answer = co_await call_provider(services, category, request, context);
        if (!answer) {
            const Duration age = services.clock.now() - job.delivery.enqueued_at;
            embedded.failure =
                outcome_for(answer.error(), job.delivery.delivery_count, age, services.jitter());
            break;
        }
        embedded.usage.prompt_tokens += answer->usage.prompt_tokens;
        embedded.usage.completion_tokens += answer->usage.completion_tokens;
        const auto answered = request.first(answer->vectors.size());
        const bool stored = co_await store_vectors(services, job, answered, std::move(*answer), embedded);
        if (!stored) break;
        rest = rest.subspan(answered.size());
    }
    co_return embedded;
}

asio::awaitable<work::Outcome> embed_chunks(Services& services, Job job) {
    auto payload = parse_embed(job.delivery.message.body);
    if (!payload) co_return dead_letter_for_payload(payload.error());
    // "" in messages of a version that did not write it yet.
    std::string category = broker::text_property(job.delivery.message, kCategoryProperty);
    const Embedded embedded =
        co_await embed_missing(services, job, std::move(category), std::move(payload->ordinals));
    if (embedded.gone) co_return co_await gone(services, job.version);
    if (embedded.failure) {
        co_await note_tokens(services, job.version, embedded.usage);
        co_return *embedded.failure;
    }
    work::Done done;
    if (embedded.remaining == 0) {
        done.follow_ups.push_back({work::queue::index, pipeline_message(job.version, "index", "{}")});
    }
    done.with = [version = job.version, usage = embedded.usage, total = payload->total,
                 remaining = static_cast<std::int64_t>(embedded.remaining),
                 now = services.clock.now()](store::Connection& connection) -> Result<void> {
        records::add_tokens(connection, version, usage.prompt_tokens, usage.completion_tokens);
        records::set_progress(connection, version, total - remaining, total, now);
        if (remaining == 0) records::set_stage(connection, version, "index", now);
        return {};
    };
    done.then = [&services, document = job.version.document] { services.operations.changed(document); };
    co_return done;
}

}  // namespace millrace::handlers
