#include "provider/local.hpp"

#include "base/limits.hpp"
#include "provider/feature_hash.hpp"
#include "provider/local_batch.hpp"
#include "provider/local_raw.hpp"
#include "provider/local_tasks.hpp"
#include "provider/use_lite.hpp"
#include "provider/use_lite_math.hpp"

#include <algorithm>

namespace millrace::provider {

namespace {

constexpr std::size_t kDimensions = 1024;
constexpr std::size_t kHashTextsPerTurn = 64;  ///< about 5 ms
constexpr std::size_t kMixTextsPerTurn = 8;    ///< 40 to 100 ms

constexpr std::size_t kContextTokensMax = 128'000;   ///< a few milliseconds per thousand

constexpr std::size_t kHashDimensions = kDimensions - UseLite::kDimensions;
constexpr float kMeaningWeight =
    1.3f;  ///< of the model's half; the hash has 1. Measured: docs/local-model.md

class LocalProvider : public Provider {
  public:
    LocalProvider(CpuPool& pool, ModelInfo model, EmbedTexts embed_texts, std::size_t texts_per_turn)
        : pool_(pool),
          model_(std::move(model)),
          texts_per_turn_(texts_per_turn),
          embed_texts_(std::make_shared<const EmbedTexts>(std::move(embed_texts))) {}

    const ModelInfo& model() const noexcept override { return model_; }

    asio::awaitable<Outcome<Embeddings>> embed(std::vector<std::string> inputs, CallContext) override {
        if (auto why = reason_to_reject(inputs, model_))
            co_return Failure{FailureKind::rejected, 0, *why, {}};
        Embeddings embeddings =
            co_await embed_in_turns(pool_, embed_texts_, std::move(inputs), texts_per_turn_);
        co_return embeddings;
    }

    asio::awaitable<Outcome<Completion>> complete(CompletionRequest request, CallContext) override {
        if (auto failure = reason_not_to_answer(request)) co_return *failure;
        auto asked = std::make_shared<const CompletionRequest>(std::move(request));
        auto choose = [asked] { return texts_to_embed(*asked); };
        auto choosing = pool_.run(choose);
        std::vector<std::string> texts = co_await std::move(choosing);
        Embeddings embeddings;
        if (!texts.empty())
            embeddings = co_await embed_in_turns(pool_, embed_texts_, std::move(texts), texts_per_turn_);
        auto vectors = std::make_shared<const std::vector<std::vector<float>>>(std::move(embeddings.vectors));
        auto answer = [asked, vectors] { return answer_task(*asked, *vectors); };
        auto answering = pool_.run(answer);
        co_return co_await std::move(answering);
    }

    asio::awaitable<Outcome<RawAnswer>> call(RawRequest request, CallContext) override {
        auto read = [request = std::move(request)] {
            return std::optional<std::variant<LocalRequest, RawAnswer>>(read_local_request(request));
        };
        auto parsed = co_await pool_.run(std::move(read));
        if (auto* refusal = std::get_if<RawAnswer>(&*parsed)) co_return std::move(*refusal);
        auto asked = std::make_shared<LocalRequest>(std::move(std::get<LocalRequest>(*parsed)));
        if (asked->endpoint != "/v1/embeddings") {
            CompletionRequest completion = asked->completion;
            auto completing = complete(std::move(completion), CallContext());
            const auto completed = co_await std::move(completing);
            if (!completed) co_return local_refusal(completed.error().detail);
            co_return local_answer(*asked, *completed);
        }
        std::vector<std::string> inputs = asked->inputs;
        auto embedding = embed(std::move(inputs), CallContext());
        auto embedded = co_await std::move(embedding);
        if (!embedded) co_return local_refusal(embedded.error().detail);
        auto vectors = std::make_shared<const Embeddings>(std::move(*embedded));
        auto write = [asked, vectors, name = model_.name] { return local_answer(*asked, name, *vectors); };
        auto writing = pool_.run(std::move(write));
        co_return co_await std::move(writing);
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
    info.completes = true;
    info.context_tokens_max = kContextTokensMax;
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

/// `text` with words that are all capitals in lower case: the model's pieces are those of ordinary writing,
/// and "ERROR" falls apart into letters.
std::string without_shouting(std::string_view text) {
    auto is_upper = [](char c) { return c >= 'A' && c <= 'Z'; };
    auto is_lower = [](char c) { return c >= 'a' && c <= 'z'; };
    auto in_word = [&](char c) { return is_upper(c) || is_lower(c) || static_cast<signed char>(c) < 0; };
    std::string quiet(text);
    for (auto at = quiet.begin(); at != quiet.end();) {
        const auto begin = std::find_if(at, quiet.end(), in_word);
        at = std::find_if_not(begin, quiet.end(), in_word);
        if (std::count_if(begin, at, is_upper) < 2 || std::any_of(begin, at, is_lower)) continue;
        std::transform(begin, at, begin, [&](char c) { return is_upper(c) ? static_cast<char>(c + 32) : c; });
    }
    return quiet;
}

/// Both halves, weighted, as one unit vector: the closeness of two texts is a weighted mean of both halves'.
std::int64_t embed_by_mix(const UseLite& model, std::span<const std::string> texts,
                          std::span<std::vector<float>> vectors) {
    FeatureHash hash(kHashDimensions);
    std::vector<std::string> quiet;
    std::vector<std::string_view> views;
    std::vector<std::span<float>> halves;
    quiet.reserve(texts.size());
    for (std::size_t i = 0; i < texts.size(); ++i) {
        vectors[i].resize(kDimensions);
        views.push_back(quiet.emplace_back(without_shouting(texts[i])));
        halves.push_back(std::span(vectors[i]).first(UseLite::kDimensions));
    }
    const std::size_t pieces = model.embed(views, halves);
    for (std::size_t i = 0; i < texts.size(); ++i) {
        for (float& x : halves[i]) x *= kMeaningWeight;
        hash.embed(texts[i], std::span(vectors[i]).last(kHashDimensions));
        normalise(vectors[i]);
    }
    return static_cast<std::int64_t>(pieces);
}

}  // namespace

Result<std::unique_ptr<Provider>> make_local(CpuPool& pool, const std::filesystem::path& assets) {
    auto loaded = UseLite::load(assets);
    if (!loaded) return loaded.error();
    auto embed_texts = [model = std::make_shared<const UseLite>(std::move(*loaded))](
                           auto texts, auto vectors) { return embed_by_mix(*model, texts, vectors); };
    return std::make_unique<LocalProvider>(pool, model_info("local-use-hash-1024", 90, 22),
                                           std::move(embed_texts), kMixTextsPerTurn);
}

std::unique_ptr<Provider> make_local_hash(CpuPool& pool) {
    return std::make_unique<LocalProvider>(pool, model_info("local-hash-1024", 110, 22), embed_by_hash,
                                           kHashTextsPerTurn);
}

}  // namespace millrace::provider
