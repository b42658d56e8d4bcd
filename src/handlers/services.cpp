#include "handlers/services.hpp"

#include "broker/body.hpp"
#include "handlers/outcomes.hpp"
#include "handlers/payload.hpp"
#include "work/requester.hpp"
#include "work/trace.hpp"

#include <variant>

namespace millrace::handlers {

namespace {

using work::DeadLetter;
using work::Done;
using work::Outcome;
using work::RetryAfter;
using work::VersionRef;
namespace records = work::records;

constexpr Duration kAdoptRetry = std::chrono::seconds(5);

/// Shared by the coroutines of one handler.
struct StageHandler {
    Services& services;
    std::string name;
    Stage stage;
    Adoption adoption;
};

/// Ends the operation of a version that was replaced, and answers the blobs that nobody needs now.
asio::awaitable<Result<std::vector<std::string>>> note_superseded(Services& services, VersionRef version) {
    using Names = std::vector<std::string>;
    auto work = [version, now = services.clock.now()](store::Connection& connection) -> Result<Names> {
        records::supersede(connection, version, now);
        return records::forget_blobs(connection, version);
    };
    co_return co_await services.database.write(std::move(work));
}

/// A redriven dead letter carries the reason it died of; its version has failed and goes on now.
asio::awaitable<void> revive_if_redriven(Services& services, const broker::Delivery& delivery,
                                         VersionRef version) {
    if (!delivery.message.properties.contains(broker::kDeadLetterReason)) co_return;
    auto work = [version, now = services.clock.now()](store::Connection& connection) -> Result<void> {
        records::revive(connection, version, now);
        return {};
    };
    auto revived = co_await services.database.write(std::move(work));
    (void)revived;
}

/// A message that another producer has put into the queue becomes one of the pipeline: its document gets rows
/// and the generation of the moment it was enqueued, and the message goes back into the queue with that, once
/// and for all. So it keeps its place among the versions of the document whatever becomes of it: retried,
/// dead-lettered or redriven.
Outcome adopt(Services& services, broker::Delivery delivery) {
    const auto body = broker::plain_body(delivery.message);
    if (!body) return dead_letter_for_payload(body.error());
    auto payload = parse_ingest(*body);
    if (!payload) return dead_letter_for_payload(payload.error());
    const std::int64_t enqueued = to_millis(delivery.enqueued_at) * 1000 + delivery.sequence % 1000;
    const VersionRef version{payload->document_id, enqueued};
    Done done;
    broker::Message message = std::move(delivery.message);
    message.message_id = pipeline_message(version, "adopted", {}).message_id;
    message.subject = version.document;
    message.properties[work::kGenerationProperty] = version.generation;
    message.properties.erase(broker::kDeadLetterReason);
    message.properties.erase(broker::kDeadLetterDescription);
    message.scheduled_at.reset();
    done.follow_ups.push_back({std::move(delivery.entity), std::move(message)});
    done.with = [version, payload = std::move(*payload),
                 now = services.clock.now()](store::Connection& connection) -> Result<void> {
        records::adopt(connection, version, payload.title, payload.category, payload.uploaded_at, now);
        return {};
    };
    return done;
}

/// As `adopt`, but the message stays as and where it is: delivered again it finds the same rows by the moment
/// it was enqueued, if its queue tells that, or by the version that another Millrace has given it. Its
/// version, or what becomes of the message.
asio::awaitable<std::variant<VersionRef, Outcome>> adopt_in_place(Services& services,
                                                                  const broker::Delivery& delivery) {
    const auto body = broker::plain_body(delivery.message);
    if (!body) co_return Outcome(dead_letter_for_payload(body.error()));
    auto payload = parse_ingest(*body);
    if (!payload) co_return Outcome(dead_letter_for_payload(payload.error()));
    const TimePoint enqueued =
        delivery.enqueued_at == TimePoint{} ? services.clock.now() : delivery.enqueued_at;
    VersionRef version{payload->document_id, to_millis(enqueued) * 1000 + delivery.sequence % 1000};
    if (const auto given = version_of(delivery.message)) version = *given;
    auto work = [version, payload = std::move(*payload),
                 now = services.clock.now()](store::Connection& connection) -> Result<void> {
        records::adopt(connection, version, payload.title, payload.category, payload.uploaded_at, now);
        return {};
    };
    auto adopted = co_await services.database.write(std::move(work));
    // The store's trouble is not the message's.
    if (!adopted) co_return Outcome(RetryAfter{kAdoptRetry, adopted.error().detail, false});
    co_return version;
}

asio::awaitable<void> note_attempt(StageHandler& self, VersionRef version, std::string why) {
    auto work = [version, why = std::move(why), name = self.name,
                 now = self.services.clock.now()](store::Connection& connection) -> Result<void> {
        records::add_attempt(connection, version, name, why, now);
        return {};
    };
    auto noted = co_await self.services.database.write(std::move(work));
    (void)noted;
    self.services.operations.changed(version.document);
}

asio::awaitable<void> note_failure(StageHandler& self, VersionRef version, DeadLetter dead) {
    const std::string error = dead.reason + ": " + dead.description;
    auto work = [version, error, name = self.name,
                 now = self.services.clock.now()](store::Connection& connection) -> Result<void> {
        records::fail(connection, version, name, error, now);
        return {};
    };
    auto noted = co_await self.services.database.write(std::move(work));
    (void)noted;
    self.services.operations.changed(version.document);
    if (self.services.observer.document_failed) {
        const bool api = dead.reason.starts_with("ApiError_");
        self.services.observer.document_failed(dead.reason, api ? dead.reason.substr(9) : std::string());
    }
}

asio::awaitable<Outcome> run_stage(StageHandler& self, Job job) {
    broker::Message& message = job.delivery.message;
    if (message.body_format != broker::kPlainBody) {
        auto body = broker::plain_body(message);
        if (!body) co_return dead_letter_for_payload(body.error());
        message.body = std::move(*body);
        message.body_format = broker::kPlainBody;
    }
    std::string failure;
    try {
        Outcome outcome = co_await self.stage(self.services, std::move(job));
        co_return outcome;
    } catch (const MachineError&) {
        throw;
    } catch (const std::bad_alloc&) {
        throw;
    } catch (const std::exception& error) {
        failure = error.what();
    }
    co_return DeadLetter{work::reason::unexpected_exception, failure};
}

asio::awaitable<Outcome> handle(std::shared_ptr<StageHandler> self, broker::Delivery delivery) {
    auto version = version_of(delivery.message);
    if (!version && self->adoption == Adoption::by_resending)
        co_return adopt(self->services, std::move(delivery));
    if (self->adoption == Adoption::in_place) {
        const auto adopted = co_await adopt_in_place(self->services, delivery);
        if (const auto* outcome = std::get_if<Outcome>(&adopted)) co_return *outcome;
        version = std::get<VersionRef>(adopted);
    }
    const auto trace = work::trace_of(delivery.message);
    const work::Requester requester = work::requester_of(delivery.message);
    Job job{std::move(delivery), *version};
    const bool newest = co_await is_newest(self->services, *version);
    if (!newest) co_return co_await drop(self->services, *version);
    co_await revive_if_redriven(self->services, job.delivery, *version);

    const auto started = std::chrono::steady_clock::now();
    Outcome outcome = co_await run_stage(*self, std::move(job));
    if (auto* retry = std::get_if<RetryAfter>(&outcome)) {
        co_await note_attempt(*self, *version, retry->why);
    } else if (auto* dead = std::get_if<DeadLetter>(&outcome)) {
        co_await note_failure(*self, *version, *dead);
    } else {
        for (auto& next : std::get<Done>(outcome).follow_ups) {
            work::set_requester(next.message, requester);
            if (trace) work::set_trace(next.message, *trace);
        }
    }
    if (self->services.observer.stage_took) {
        const std::chrono::duration<double> took = std::chrono::steady_clock::now() - started;
        self->services.observer.stage_took(self->name, took.count());
    }
    co_return outcome;
}

}  // namespace

work::Handler make_stage_handler(Services& services, std::string name, Stage stage, Adoption adoption) {
    auto self =
        std::make_shared<StageHandler>(StageHandler{services, std::move(name), std::move(stage), adoption});
    return [self](broker::Delivery delivery) { return handle(self, std::move(delivery)); };
}

provider::CallContext context_for(const broker::Message& message) {
    work::Requester requester = work::requester_of(message);
    provider::CallContext context;
    context.tenant = std::move(requester.tenant);
    context.priority = requester.batch ? provider::Priority::batch : provider::Priority::interactive;
    context.trace = work::trace_of(message);
    return context;
}

asio::awaitable<Outcome> drop(Services& services, VersionRef version) {
    auto discarded = co_await services.index.discard(version.document, version.generation);
    auto noted = co_await note_superseded(services, version);
    (void)discarded;
    if (noted) co_await services.documents.remove_blobs(std::move(*noted));
    Done done;
    done.then = [&services, document = version.document] { services.operations.changed(document); };
    co_return done;
}

asio::awaitable<Outcome> gone(Services& services, VersionRef version) {
    const bool newest = co_await is_newest(services, version);
    if (!newest) co_return co_await drop(services, version);
    co_return DeadLetter{work::reason::malformed_payload,
                         "its passages are not in the index; send the document again"};
}

asio::awaitable<void> note_tokens(Services& services, VersionRef version, provider::Usage usage) {
    if (usage.prompt_tokens == 0 && usage.completion_tokens == 0) co_return;
    auto work = [version, usage](store::Connection& connection) -> Result<void> {
        records::add_tokens(connection, version, usage.prompt_tokens, usage.completion_tokens);
        return {};
    };
    auto noted = co_await services.database.write(std::move(work));
    (void)noted;
}

asio::awaitable<bool> is_newest(Services& services, VersionRef version) {
    auto look_up = [&version](store::Connection& connection) {
        return records::is_newest(connection, version);
    };
    co_return co_await services.database.read(std::move(look_up));
}

Finish finish_part(store::Connection& connection, const VersionRef& version, work::Part part, TimePoint now) {
    Finish finish;
    finish.ready = records::finish_part(connection, version, part, now);
    if (finish.ready) finish.blobs = records::forget_blobs(connection, version);
    return finish;
}

void after_finish(Services& services, const VersionRef& version, const std::string& category,
                  const Finish& finish) {
    services.operations.changed(version.document);
    if (!finish.ready) return;
    services.tasks.start("remove blobs", services.documents.remove_blobs(finish.blobs));
    if (services.observer.document_processed) {
        const Duration since = services.clock.now() - from_millis(version.generation / 1000);
        services.observer.document_processed(category, since);
    }
}

asio::awaitable<std::string> put_blob(Services& services, std::string bytes) {
    auto put = [&services, bytes = std::move(bytes)] { return services.blobs.put(bytes); };
    co_return co_await services.pool.run(std::move(put));
}

asio::awaitable<Result<std::string>> get_blob(Services& services, std::string name) {
    // Result has no default constructor that means "nothing yet", which a pool task's result needs.
    std::optional<Result<std::string>> bytes;
    auto get = [&services, &bytes, name = std::move(name)] { bytes.emplace(services.blobs.get(name)); };
    co_await services.pool.run(std::move(get));
    co_return std::move(*bytes);
}

}  // namespace millrace::handlers
