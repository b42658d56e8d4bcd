#include "app/metered_provider.hpp"

namespace millrace::app {

namespace metric = telemetry::metric;

namespace {

std::string_view outcome_name(const std::optional<provider::Failure>& failure) {
    if (!failure) return "ok";
    switch (failure->kind) {
        case provider::FailureKind::throttled: return "throttled";
        case provider::FailureKind::transient: return "transient";
        case provider::FailureKind::rejected: return "rejected";
        case provider::FailureKind::unavailable: return "unavailable";
        case provider::FailureKind::refused: return "refused";
        case provider::FailureKind::cut_off: return "cut_off";
        case provider::FailureKind::content_filtered: break;
    }
    return "content_filtered";
}

template <class T>
provider::Usage usage_of(const provider::Outcome<T>& outcome) {
    return outcome ? outcome->usage : outcome.error().usage;
}

}  // namespace

MeteredProvider::MeteredProvider(std::unique_ptr<provider::Provider> inner, std::string deployment,
                                 telemetry::Metrics& metrics)
    : inner_(std::move(inner)), deployment_(std::move(deployment)), metrics_(metrics) {}

void MeteredProvider::count(std::chrono::steady_clock::time_point start,
                            const std::optional<provider::Failure>& failure, const provider::Usage& usage) {
    const std::chrono::duration<double> time = std::chrono::steady_clock::now() - start;
    metrics_.add(metric::provider_calls, {deployment_, outcome_name(failure)});
    metrics_.observe(metric::provider_call_duration, {deployment_}, time.count());
    if (usage.prompt_tokens > 0)
        metrics_.add(metric::provider_tokens, {deployment_, "prompt"},
                     static_cast<double>(usage.prompt_tokens));
    if (usage.completion_tokens > 0)
        metrics_.add(metric::provider_tokens, {deployment_, "completion"},
                     static_cast<double>(usage.completion_tokens));
}

boost::asio::awaitable<provider::Outcome<provider::Embeddings>> MeteredProvider::embed(
    std::vector<std::string> inputs, provider::CallContext context) {
    const auto start = std::chrono::steady_clock::now();
    auto outcome = co_await inner_->embed(std::move(inputs), std::move(context));
    count(start, failure_of(outcome), usage_of(outcome));
    co_return outcome;
}

boost::asio::awaitable<provider::Outcome<provider::Completion>> MeteredProvider::complete(
    provider::CompletionRequest request, provider::CallContext context) {
    const auto start = std::chrono::steady_clock::now();
    auto outcome = co_await inner_->complete(std::move(request), std::move(context));
    count(start, failure_of(outcome), usage_of(outcome));
    co_return outcome;
}

boost::asio::awaitable<provider::Outcome<provider::RawAnswer>> MeteredProvider::call(
    provider::RawRequest request, provider::CallContext context) {
    const auto start = std::chrono::steady_clock::now();
    auto outcome = co_await inner_->call(std::move(request), std::move(context));
    count(start, failure_of(outcome), usage_of(outcome));
    co_return outcome;
}

}  // namespace millrace::app
