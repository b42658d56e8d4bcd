#include "app/metered_provider.hpp"

#include <chrono>

namespace millrace::app {

namespace metric = telemetry::metric;

namespace {

std::string_view outcome_name(const provider::Outcome<provider::Embeddings>& outcome) {
    if (outcome) return "ok";
    switch (outcome.error().kind) {
        case provider::FailureKind::throttled: return "throttled";
        case provider::FailureKind::transient: return "transient";
        case provider::FailureKind::rejected: return "rejected";
        case provider::FailureKind::unavailable: return "unavailable";
        case provider::FailureKind::content_filtered: break;
    }
    return "content_filtered";
}

}  // namespace

MeteredProvider::MeteredProvider(std::unique_ptr<provider::Provider> inner, std::string deployment,
                                 telemetry::Metrics& metrics)
    : inner_(std::move(inner)), deployment_(std::move(deployment)), metrics_(metrics) {}

boost::asio::awaitable<provider::Outcome<provider::Embeddings>> MeteredProvider::embed(
    std::vector<std::string> inputs, std::optional<TraceContext> trace) {
    const auto start = std::chrono::steady_clock::now();
    auto outcome = co_await inner_->embed(std::move(inputs), trace);
    const std::chrono::duration<double> time = std::chrono::steady_clock::now() - start;
    metrics_.add(metric::provider_calls, {deployment_, outcome_name(outcome)});
    metrics_.observe(metric::provider_call_duration, {deployment_}, time.count());
    if (outcome && outcome->usage.prompt_tokens > 0)
        metrics_.add(metric::provider_tokens, {deployment_, "prompt"},
                     static_cast<double>(outcome->usage.prompt_tokens));
    co_return outcome;
}

}  // namespace millrace::app
