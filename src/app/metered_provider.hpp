// A provider whose calls, tokens and times are counted.
#pragma once

#include "provider/provider.hpp"
#include "telemetry/metrics.hpp"

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
        std::vector<std::string> inputs, std::optional<TraceContext> trace) override;

  private:
    std::unique_ptr<provider::Provider> inner_;
    std::string deployment_;
    telemetry::Metrics& metrics_;
};

}  // namespace millrace::app
