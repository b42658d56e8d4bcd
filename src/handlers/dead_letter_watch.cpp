#include "handlers/dead_letter_watch.hpp"

#include "broker/value.hpp"
#include "handlers/payload.hpp"
#include "handlers/task_payload.hpp"

namespace millrace::handlers {

namespace {

constexpr std::size_t kPage = 256;
constexpr Duration kPause = std::chrono::milliseconds(500);

}  // namespace

DeadLetterWatch::DeadLetterWatch(Services& services, broker::Broker& broker, std::vector<std::string> queues)
    : services_(services), broker_(broker), queues_(std::move(queues)) {}

asio::awaitable<void> DeadLetterWatch::run() {
    while (true) {
        co_await look();
        co_await services_.clock.sleep_for(kPause);
    }
}

asio::awaitable<void> DeadLetterWatch::look() {
    for (const auto& queue : queues_) {
        const auto counts = broker_.counts(queue);
        if (!counts) continue;
        const bool first_look = !seen_total_.contains(queue);
        const bool unchanged = !first_look && seen_total_[queue] == counts->dead_lettered_total;
        if (unchanged) continue;
        co_await look_at(queue);
        seen_total_[queue] = counts->dead_lettered_total;
    }
}

asio::awaitable<void> DeadLetterWatch::look_at(std::string queue) {
    std::int64_t& next = next_[queue];
    const std::string dead_letters = broker::dead_letter_queue_of(queue);
    while (true) {
        auto page = co_await broker_.peek(dead_letters, next, kPage);
        if (!page || page->empty()) co_return;
        for (const auto& delivery : *page) {
            co_await mark(delivery, queue);
            next = delivery.sequence + 1;
        }
    }
}

asio::awaitable<void> DeadLetterWatch::mark(const broker::Delivery& delivery, const std::string& queue) {
    const auto version = version_of(delivery.message);
    if (!version) co_return co_await mark_task(delivery, queue);
    const std::string reason = broker::text_property(delivery.message, broker::kDeadLetterReason);
    const std::string description = broker::text_property(delivery.message, broker::kDeadLetterDescription);
    auto work = [version = *version, queue, error = reason + ": " + description,
                 now = services_.clock.now()](store::Connection& connection) -> Result<void> {
        const auto document = work::records::find_document(connection, version.document);
        const bool open =
            document && document->generation == version.generation &&
            (document->status == work::Status::accepted || document->status == work::Status::running);
        if (open) work::records::fail(connection, version, queue, error, now);
        return {};
    };
    auto marked = co_await services_.database.write(std::move(work));
    if (marked) services_.operations.changed(version->document);
}

asio::awaitable<void> DeadLetterWatch::mark_task(const broker::Delivery& delivery, const std::string& queue) {
    const std::string id = task_id_of(delivery.message);
    if (id.empty()) co_return;
    const std::string error = broker::text_property(delivery.message, broker::kDeadLetterReason) + ": " +
                              broker::text_property(delivery.message, broker::kDeadLetterDescription);
    auto work = [id, queue, error,
                 now = services_.clock.now()](store::Connection& connection) -> Result<void> {
        const auto task = work::records::find_task(connection, id);
        const bool open =
            task && (task->status == work::Status::accepted || task->status == work::Status::running);
        const work::TaskCost unknown;
        if (open) work::records::fail_task(connection, id, queue, error, unknown, now);
        return {};
    };
    auto marked = co_await services_.database.write(std::move(work));
    if (marked) services_.operations.changed(id);
}

}  // namespace millrace::handlers
