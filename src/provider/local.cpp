#include "provider/local.hpp"

#include "base/limits.hpp"
#include "provider/feature_hash.hpp"
#include "provider/local_batch.hpp"

namespace millrace::provider {

namespace {

constexpr std::size_t kDimensions = 1024;
constexpr std::size_t kHashTextsPerTurn = 64;  ///< about 5 ms

class LocalProvider : public Provider {
  public:
    LocalProvider(CpuPool& pool, ModelInfo model, EmbedTexts embed_texts, std::size_t texts_per_turn)
        : pool_(pool), model_(std::move(model)), texts_per_turn_(texts_per_turn),
          embed_texts_(std::make_shared<const EmbedTexts>(std::move(embed_texts))) {}

    const ModelInfo& model() const noexcept override { return model_; }

    asio::awaitable<Outcome<Embeddings>> embed(std::vector<std::string> inputs) override {
        if (auto why = reason_to_reject(inputs, model_)) co_return Failure{FailureKind::rejected, 0, *why, {}};
        Embeddings embeddings = co_await embed_in_turns(pool_, embed_texts_, std::move(inputs), texts_per_turn_);
        co_return embeddings;
    }

  private:
    CpuPool& pool_;
    ModelInfo model_;
    std::size_t texts_per_turn_;
    std::shared_ptr<const EmbedTexts> embed_texts_;  ///< shared with turns that outlive a cancelled call
};

ModelInfo model_info(std::string name, std::size_t chunk_tokens, std::size_t chunk_overlap_tokens) {
    ModelInfo info;
    info.name = std::move(name);
    info.dimensions = kDimensions;
    info.inputs_per_request_max = limits::embed_inputs_max;
    info.tokens_per_request_max = limits::embed_request_tokens_max;
    info.tokens_per_input_max = limits::embed_input_tokens_max;
    info.chunk_tokens = chunk_tokens;
    info.chunk_overlap_tokens = chunk_overlap_tokens;
    return info;
}

std::int64_t embed_by_hash(std::span<const std::string> texts, std::span<std::vector<float>> vectors) {
    FeatureHash hash(kDimensions);
    std::size_t words = 0;
    for (std::size_t i = 0; i < texts.size(); ++i) {
        vectors[i].resize(kDimensions);
        words += hash.embed(texts[i], vectors[i]);
    }
    return static_cast<std::int64_t>(words);
}

}  // namespace

std::unique_ptr<Provider> make_local_hash(CpuPool& pool) {
    return std::make_unique<LocalProvider>(pool, model_info("local-hash-1024", 110, 22), embed_by_hash,
                                           kHashTextsPerTurn);
}

}  // namespace millrace::provider
