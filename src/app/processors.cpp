#include "app/processors.hpp"

#include <algorithm>

namespace millrace::app {

void Processors::add(std::unique_ptr<work::Processor> processor) {
    queues_.push_back(processor->options().queue);
    processors_.push_back(std::move(processor));
}

void Processors::start() {
    for (const auto& processor : processors_) processor->start();
}

void Processors::close() {
    for (const auto& processor : processors_) processor->close();
}

asio::awaitable<void> Processors::stop(TimePoint deadline, Clock& clock) {
    close();
    for (const auto& processor : processors_) {
        const Duration left = std::max(deadline - clock.now(), Duration::zero());
        co_await processor->stop(left);
    }
}

void Processors::collect(telemetry::Metrics& metrics) const {
    namespace metric = telemetry::metric;
    for (const auto& processor : processors_) {
        const work::ProcessorStats stats = processor->stats();
        const std::string& queue = processor->options().queue;
        metrics.raise_to(metric::messages_settled, {queue, "done"}, static_cast<double>(stats.done));
        metrics.raise_to(metric::messages_settled, {queue, "retry"}, static_cast<double>(stats.retried));
        metrics.raise_to(metric::messages_settled, {queue, "dead_letter"},
                         static_cast<double>(stats.dead_lettered));
        metrics.raise_to(metric::messages_settled, {queue, "lost"}, static_cast<double>(stats.locks_lost));
    }
}

}  // namespace millrace::app
