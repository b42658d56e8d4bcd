#include "handlers/outcomes.hpp"
#include "handlers/payload.hpp"
#include "handlers/stages.hpp"

namespace millrace::handlers {

namespace {

namespace records = work::records;

asio::awaitable<std::optional<work::DocumentView>> find_document(Services& services, std::string id) {
    auto look_up = [&id](store::Connection& connection) { return records::find_document(connection, id); };
    co_return co_await services.database.read(std::move(look_up));
}

}  // namespace

asio::awaitable<std::optional<work::Outcome>> publish_version(Services& services, const Job& job,
                                                              std::optional<std::string> metadata) {
    auto document = co_await find_document(services, job.version.document);
    if (!document) co_return co_await drop(services, job.version);
    auto finish = std::make_shared<Finish>();
    index::DocumentVersion version{job.version.document, job.version.generation, document->title,
                                   document->category};
    index::AlsoWrite with = [version = job.version, finish, metadata = std::move(metadata),
                             now = services.clock.now()](store::Connection& connection) -> Result<void> {
        records::set_live(connection, version);
        if (metadata) {
            records::merge_metadata(connection, version, *metadata);
            finish_part(connection, version, work::Part::metadata, now);
        }
        *finish = finish_part(connection, version, work::Part::indexed, now);
        return {};
    };
    auto published = co_await services.index.publish(std::move(version), std::move(with));
    if (published) {
        after_finish(services, job.version, document->category, *finish);
        co_return std::nullopt;
    }
    const bool newest = co_await is_newest(services, job.version);
    if (!newest) co_return co_await drop(services, job.version);
    co_return outcome_for(published.error(), job.delivery.delivery_count, services.jitter());
}

asio::awaitable<work::Outcome> publish_document(Services& services, Job job) {
    auto failure = co_await publish_version(services, job, std::nullopt);
    if (failure) co_return std::move(*failure);
    co_return work::Done{};
}

}  // namespace millrace::handlers
