// A provider whose calls, tokens and times are counted.
#pragma once

#include "provider/provider.hpp"
#include "telemetry/metrics.hpp"

#include <chrono>
#include <memory>
#include <string>

namespace millrace::app {

/// Passes everything on to `inner` and counts it under `deployment`. `metrics` outlives it.
class MeteredProvider final : public provider::Provider {
  public:
    MeteredProvider(std::unique_ptr<provider::Provider> inner, std::string deployment,
                    telemetry::Metrics& metrics);

    const provider::ModelInfo& model() const noexcept override { return inner_->model(); }
    boost::asio::awaitable<provider::Outcome<provider::Embeddings>> embed(
        std::vector<std::string> inputs, provider::CallContext context) override;
    boost::asio::awaitable<provider::Outcome<provider::Completion>> complete(
        provider::CompletionRequest request, provider::CallContext context) override;
    boost::asio::awaitable<provider::Outcome<provider::RawAnswer>> call(
        provider::RawRequest request, provider::CallContext context) override;

  private:
    /// Counts a call that began at `start`; `failure`: none for a success.
    void count(std::chrono::steady_clock::time_point start, const std::optional<provider::Failure>& failure,
               const provider::Usage& usage);

    std::unique_ptr<provider::Provider> inner_;
    std::string deployment_;
    telemetry::Metrics& metrics_;
};

}  // namespace millrace::app
