#include "base/task_group.hpp"

namespace millrace {

void TaskGroup::start(std::string name, asio::awaitable<void> task) {
    if (stopping_) return;
    const auto signal = signals_.emplace(signals_.end());
    auto on_end = [this, name = std::move(name), signal](std::exception_ptr failure) {
        signals_.erase(signal);
        ended_.notify();
        if (!failure || stopping_) return;
        try {
            std::rethrow_exception(failure);
        } catch (const std::exception& error) {
            on_failure_(name, error.what());
        }
    };
    auto bound = asio::bind_cancellation_slot(signal->slot(), std::move(on_end));
    asio::co_spawn(io_, std::move(task), std::move(bound));
}

asio::awaitable<void> TaskGroup::stop() {
    stopping_ = true;
    // A task that ends at once takes its signal out of the list.
    for (auto signal = signals_.begin(); signal != signals_.end();) {
        const auto next = std::next(signal);
        signal->emit(asio::cancellation_type::terminal);
        signal = next;
    }
    while (!signals_.empty()) co_await ended_.wait();
}

}  // namespace millrace
