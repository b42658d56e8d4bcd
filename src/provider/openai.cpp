#include "provider/openai.hpp"

#include <algorithm>
#include <iterator>
#include <random>
#include <span>

namespace millrace::provider {

namespace {

constexpr std::size_t kParseHereBytesMax = 128 * limits::kKiB;   ///< about a millisecond of parsing

constexpr int kTooLarge = 413;

/// Texts that the caller of `embed` gave; they live until it returns.
using Texts = std::span<const std::string>;

bool is_header_text(std::string_view text) noexcept {
    return std::ranges::all_of(text, [](unsigned char c) { return c > 0x20 && c < 0x7F; });
}

/// What one try gave.
struct Try {
    Outcome<Embeddings> outcome = Failure{FailureKind::transient, 0, {}, {}};
    RetryAdvice advice = RetryAdvice::none;
    bool garbage = false;
};

class OpenAi final : public Provider {
  public:
    OpenAi(HttpClient& http, Clock& clock, OpenAiOptions options, HttpUrl url, CpuPool* pool)
        : http_(http),
          clock_(clock),
          pool_(pool),
          options_(std::move(options)),
          url_(std::move(url)),
          random_(options_.seed != 0 ? options_.seed : std::random_device()()) {
        model_ = known_model(options_.server.model);
        if (options_.dimensions != 0) model_.dimensions = options_.dimensions;
        model_.inputs_per_request_max = options_.inputs_per_request_max;
        model_.tokens_per_request_max = options_.tokens_per_request_max;
        model_.tokens_per_input_max = options_.tokens_per_input_max;
    }

    const ModelInfo& model() const noexcept override { return model_; }
    asio::awaitable<Outcome<Embeddings>> embed(std::vector<std::string> inputs, CallContext context) override;

  private:
    std::optional<Failure> refuse(const std::vector<std::string>& inputs) const;
    asio::awaitable<Outcome<Embeddings>> embed_part(Texts inputs, std::optional<TraceContext> trace);
    asio::awaitable<Try> try_once(const std::string& body, Texts inputs, std::optional<TraceContext> trace);
    asio::awaitable<Outcome<Embeddings>> parse(std::string body, Texts inputs);
    std::optional<Duration> wait_after(const Try& tried, int tries_done);
    double random() { return static_cast<double>(random_() >> 11) * 0x1p-53; }

    HttpClient& http_;
    Clock& clock_;
    CpuPool* pool_;
    OpenAiOptions options_;
    HttpUrl url_;
    ModelInfo model_;
    std::mt19937_64 random_;
};

std::optional<Failure> OpenAi::refuse(const std::vector<std::string>& inputs) const {
    std::string why;
    if (inputs.empty())
        why = "nothing to embed";
    else if (inputs.size() > model_.inputs_per_request_max)
        why = "more inputs than one request may hold";
    else if (std::ranges::any_of(inputs, &std::string::empty))
        why = "an empty text can't be embedded";
    if (why.empty()) return std::nullopt;
    return Failure{FailureKind::rejected, 0, why, std::nullopt};
}

asio::awaitable<Outcome<Embeddings>> OpenAi::embed(std::vector<std::string> inputs, CallContext context) {
    if (auto failure = refuse(inputs)) co_return *failure;
    const Texts all(inputs);
    Embeddings embeddings;
    std::size_t piece = all.size();
    for (std::size_t begin = 0; begin < all.size();) {
        const Texts part = all.subspan(begin, std::min(piece, all.size() - begin));
        auto result = co_await embed_part(part, context.trace);
        if (!result && result.error().status == kTooLarge && part.size() > 1) {
            piece = (part.size() + 1) / 2;
            model_.inputs_per_request_max = std::min(model_.inputs_per_request_max, piece);
            continue;
        }
        // What the earlier parts brought is paid for: it goes to the caller, who asks again for the rest.
        if (!result && !embeddings.vectors.empty()) break;
        if (!result) co_return std::move(result);
        std::ranges::move(result->vectors, std::back_inserter(embeddings.vectors));
        embeddings.usage.prompt_tokens += result->usage.prompt_tokens;
        begin += part.size();
    }
    co_return embeddings;
}

asio::awaitable<Outcome<Embeddings>> OpenAi::embed_part(Texts inputs, std::optional<TraceContext> trace) {
    const std::string body = embeddings_body(options_.server, inputs, options_.dimensions);
    for (int tries = 1;; ++tries) {
        Try tried = co_await try_once(body, inputs, trace);
        const auto wait = wait_after(tried, tries);
        if (!wait) co_return std::move(tried.outcome);
        co_await clock_.sleep_for(*wait);
    }
}

asio::awaitable<Try> OpenAi::try_once(const std::string& body, Texts inputs,
                                      std::optional<TraceContext> trace) {
    HttpRequest request;
    request.url = url_;
    request.headers = request_headers(options_.server);
    if (trace) request.headers.emplace_back("traceparent", trace->traceparent());
    request.body = body;
    request.time_max = options_.try_time_max;
    request.repeatable = true;
    auto answer = co_await http_.send(std::move(request));
    Try tried;
    if (!answer) {
        tried.outcome = failure_for(answer.error());
        co_return tried;
    }
    if (options_.on_rate) options_.on_rate(parse_rate_headers(*answer, clock_.now()));
    if (answer->status < 200 || answer->status > 299) {
        Failure failure = failure_for(*answer, clock_.now());
        const std::string& key = options_.server.key;
        const std::size_t at = key.empty() ? std::string::npos : failure.detail.find(key);
        if (at != std::string::npos) failure.detail.replace(at, key.size(), "***");
        tried.advice = retry_advice(answer->headers);
        tried.outcome = std::move(failure);
        co_return tried;
    }
    tried.outcome = co_await parse(std::move(answer->body), inputs);
    tried.garbage = !tried.outcome;
    if (tried.outcome && model_.dimensions == 0) model_.dimensions = tried.outcome->vectors.front().size();
    co_return tried;
}

asio::awaitable<Outcome<Embeddings>> OpenAi::parse(std::string body, Texts inputs) {
    const std::size_t dimensions = model_.dimensions;
    if (!pool_ || body.size() <= kParseHereBytesMax) co_return parse_embeddings(body, inputs, dimensions);
    auto parsed = std::make_shared<Outcome<Embeddings>>(Failure{FailureKind::transient, 0, {}, {}});
    auto work = [&body, inputs, dimensions, parsed] { *parsed = parse_embeddings(body, inputs, dimensions); };
    auto running = pool_->run(std::move(work));
    co_await std::move(running);
    co_return std::move(*parsed);
}

std::optional<Duration> OpenAi::wait_after(const Try& tried, int tries_done) {
    if (tried.outcome) return std::nullopt;
    const Failure& failure = tried.outcome.error();
    RetryInput input{failure.kind};
    input.advice = tried.advice;
    input.retry_after = failure.retry_after;
    input.garbage = tried.garbage;
    input.tries_done = tries_done;
    input.tries_max = options_.tries_max;
    input.random = random();
    return wait_before_retry(input);
}

}  // namespace

Result<std::unique_ptr<Provider>> make_openai(HttpClient& http, Clock& clock, OpenAiOptions options,
                                              CpuPool* pool) {
    const auto refused = [](std::string why) { return Error{Errc::invalid_input, std::move(why)}; };
    const OpenAiServer& server = options.server;
    if (server.model.empty()) return refused("a deployment needs a model");
    if (!is_header_text(server.key))
        return refused("the provider's key holds spaces or unprintable characters");
    if (options.inputs_per_request_max == 0 || options.tokens_per_request_max == 0 || options.tries_max < 1 ||
        options.try_time_max <= Duration::zero()) {
        return refused("a limit of a deployment is 0");
    }
    auto url = embeddings_url(server);
    if (!url) return refused("endpoint: " + url.error().detail);
    const auto prepared = http.prepare(*url);
    if (!prepared) return prepared.error();
    return std::unique_ptr<Provider>(
        std::make_unique<OpenAi>(http, clock, std::move(options), std::move(*url), pool));
}

}  // namespace millrace::provider
