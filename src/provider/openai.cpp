#include "provider/openai.hpp"

#include "provider/openai_completions.hpp"
#include "provider/openai_json.hpp"

#include <algorithm>
#include <iterator>
#include <random>
#include <span>

namespace millrace::provider {

namespace {

constexpr std::size_t kParseHereBytesMax = 128 * limits::kKiB;   ///< about a millisecond of parsing

constexpr int kTooLarge = 413;
constexpr int kTooManyRequests = 429;

/// Texts that the caller of `embed` gave; they live until it returns.
using Texts = std::span<const std::string>;

bool is_header_text(std::string_view text) noexcept {
    return std::ranges::all_of(text, [](unsigned char c) { return c > 0x20 && c < 0x7F; });
}

/// Where the operations of one server are.
struct Urls {
    HttpUrl embed;
    HttpUrl chat;
    HttpUrl respond;
};

/// One request, for as many tries as it takes.
struct Question {
    const HttpUrl& url;
    const std::string& body;
    Duration time_max{};
    CallContext context;
    bool refusals_are_answers = false;  ///< a 4xx that trying again won't change goes to the caller
};

/// What one try gave.
struct Try {
    HttpAnswer answer;               ///< status 0: none
    std::optional<Failure> failure;  ///< nothing: 2xx
    RetryAdvice advice = RetryAdvice::none;
};

/// Inputs, up to the one at `end`, that were too many for one request.
struct Misfit {
    std::size_t end = 0;
    std::size_t half = 0;  ///< how many were asked for next
};

bool is_refusal(const Try& tried) {
    const int status = tried.answer.status;
    const FailureKind kind = tried.failure->kind;
    return status >= 400 && status < 500 && status != kTooManyRequests && kind != FailureKind::transient &&
           kind != FailureKind::throttled;
}

Failure rejected(std::string why) { return {FailureKind::rejected, 0, std::move(why)}; }

class OpenAi final : public Provider {
  public:
    OpenAi(HttpClient& http, Clock& clock, OpenAiOptions options, Urls urls, CpuPool* pool)
        : http_(http),
          clock_(clock),
          pool_(pool),
          options_(std::move(options)),
          urls_(std::move(urls)),
          random_(options_.seed != 0 ? options_.seed : std::random_device()()) {
        model_ = known_model(options_.server.model);
        if (options_.dimensions != 0) model_.dimensions = options_.dimensions;
        if (options_.context_tokens_max != 0) model_.context_tokens_max = options_.context_tokens_max;
        if (options_.output_tokens_max != 0) model_.output_tokens_max = options_.output_tokens_max;
        model_.api = options_.api;
        model_.inputs_per_request_max = options_.inputs_per_request_max;
        model_.tokens_per_request_max = options_.tokens_per_request_max;
        model_.tokens_per_input_max = options_.tokens_per_input_max;
    }

    const ModelInfo& model() const noexcept override { return model_; }
    asio::awaitable<Outcome<Embeddings>> embed(std::vector<std::string> inputs, CallContext context) override;
    asio::awaitable<Outcome<Completion>> complete(CompletionRequest request, CallContext context) override;
    asio::awaitable<Outcome<RawAnswer>> call(RawRequest request, CallContext context) override;

  private:
    std::optional<Failure> refuse(const std::vector<std::string>& inputs) const;
    void learn(const std::vector<Misfit>& misfits, std::size_t embedded);
    asio::awaitable<Outcome<Embeddings>> embed_part(Texts inputs, const CallContext& context);
    asio::awaitable<Outcome<HttpAnswer>> ask(Question question);
    asio::awaitable<Try> try_once(const Question& question);
    template <class T>
    asio::awaitable<T> read(const std::string& body, std::function<T(std::string_view)> parse);
    std::optional<Duration> wait_after(const Try& tried, int tries_done);
    double random() { return static_cast<double>(random_() >> 11) * 0x1p-53; }

    HttpClient& http_;
    Clock& clock_;
    CpuPool* pool_;
    OpenAiOptions options_;
    Urls urls_;
    ModelInfo model_;
    std::mt19937_64 random_;
};

std::optional<Failure> OpenAi::refuse(const std::vector<std::string>& inputs) const {
    if (inputs.empty()) return rejected("nothing to embed");
    if (inputs.size() > options_.inputs_per_request_max)
        return rejected("more inputs than one request may hold");
    if (std::ranges::any_of(inputs, &std::string::empty)) return rejected("an empty text can't be embedded");
    return std::nullopt;
}

asio::awaitable<Outcome<Embeddings>> OpenAi::embed(std::vector<std::string> inputs, CallContext context) {
    if (auto failure = refuse(inputs)) co_return *failure;
    const Texts all(inputs);
    Embeddings embeddings;
    std::vector<Misfit> misfits;
    std::size_t piece = model_.inputs_per_request_max;
    for (std::size_t begin = 0; begin < all.size();) {
        const Texts part = all.subspan(begin, std::min(piece, all.size() - begin));
        auto result = co_await embed_part(part, context);
        if (!result && result.error().status == kTooLarge && part.size() > 1) {
            piece = (part.size() + 1) / 2;
            misfits.push_back({begin + part.size(), piece});
            continue;
        }
        // What the earlier parts brought is paid for: it goes to the caller, who asks again for the rest.
        if (!result && !embeddings.vectors.empty()) break;
        if (!result) co_return std::move(result);
        std::ranges::move(result->vectors, std::back_inserter(embeddings.vectors));
        embeddings.usage.prompt_tokens += result->usage.prompt_tokens;
        begin += part.size();
        learn(misfits, begin);
    }
    co_return embeddings;
}

/// What did not fit together though all of it has fitted in pieces was too many; otherwise a single input
/// among them may be too large.
void OpenAi::learn(const std::vector<Misfit>& misfits, std::size_t embedded) {
    for (const Misfit& misfit : misfits)
        if (misfit.end <= embedded)
            model_.inputs_per_request_max = std::min(model_.inputs_per_request_max, misfit.half);
}

asio::awaitable<Outcome<Embeddings>> OpenAi::embed_part(Texts inputs, const CallContext& context) {
    const std::string body = embeddings_body(options_.server, inputs, options_.dimensions);
    Question question{urls_.embed, body, options_.try_time_max, context};
    auto answer = co_await ask(std::move(question));
    if (!answer) co_return answer.error();
    std::function<Outcome<Embeddings>(std::string_view)> parse =
        [inputs, dimensions = model_.dimensions](std::string_view text) {
            return parse_embeddings(text, inputs, dimensions);
        };
    auto embeddings = co_await read(answer->body, std::move(parse));
    if (embeddings && model_.dimensions == 0) model_.dimensions = embeddings->vectors.front().size();
    co_return embeddings;
}

asio::awaitable<Outcome<Completion>> OpenAi::complete(CompletionRequest request, CallContext context) {
    if (request.input.empty()) co_return rejected("nothing to answer");
    const auto body = completion_body(options_.server, request, options_.api);
    if (!body) co_return rejected(body.error().detail);
    const HttpUrl& url = options_.api == CompletionApi::chat ? urls_.chat : urls_.respond;
    Question question{url, *body, options_.completion_time_max, std::move(context)};
    auto answer = co_await ask(std::move(question));
    if (!answer) co_return answer.error();
    std::function<Outcome<Completion>(std::string_view)> parse = [&request,
                                                                  api = options_.api](std::string_view text) {
        return parse_completion(text, request, api);
    };
    auto completion = co_await read(answer->body, std::move(parse));
    if (completion && completion->model.empty()) completion->model = options_.server.model;
    co_return completion;
}

asio::awaitable<Outcome<RawAnswer>> OpenAi::call(RawRequest request, CallContext context) {
    const auto operation = operation_of(request.endpoint);
    if (!operation) co_return rejected("no OpenAI request that can be passed on: " + request.endpoint);
    const OpenAiServer& server = options_.server;
    const bool renamed = server.azure && !server.deployment.empty();
    const auto body = with_model(request.body, renamed ? server.deployment : server.model);
    if (!body) co_return rejected(body.error().detail);
    const bool embeds = *operation == Operation::embed;
    const HttpUrl& url = embeds ? urls_.embed : *operation == Operation::chat ? urls_.chat : urls_.respond;
    Question question{url, *body, embeds ? options_.try_time_max : options_.completion_time_max,
                      std::move(context), true};
    auto answer = co_await ask(std::move(question));
    if (!answer) co_return answer.error();
    RawAnswer raw;
    raw.status = answer->status;
    raw.request_id = find_field(answer->headers, "x-request-id");
    if (raw.request_id.empty()) raw.request_id = find_field(answer->headers, "apim-request-id");
    raw.body = std::move(answer->body);
    if (raw.status > 299) co_return raw;
    std::function<std::optional<Usage>(std::string_view)> parse = reported_usage;
    const std::optional<Usage> usage = co_await read(raw.body, std::move(parse));
    if (!usage) co_return garbage("it isn't a JSON object");
    raw.usage = *usage;
    if (raw.usage.prompt_tokens == 0) raw.usage.prompt_tokens = estimate_tokens(request.body);
    if (raw.usage.completion_tokens == 0 && !embeds) raw.usage.completion_tokens = estimate_tokens(raw.body);
    co_return raw;
}

asio::awaitable<Outcome<HttpAnswer>> OpenAi::ask(Question question) {
    for (int tries = 1;; ++tries) {
        Try tried = co_await try_once(question);
        if (!tried.failure) co_return std::move(tried.answer);
        const auto wait = wait_after(tried, tries);
        if (!wait && question.refusals_are_answers && is_refusal(tried)) co_return std::move(tried.answer);
        if (!wait) co_return std::move(*tried.failure);
        co_await clock_.sleep_for(*wait);
    }
}

asio::awaitable<Try> OpenAi::try_once(const Question& question) {
    HttpRequest request;
    request.url = question.url;
    request.headers = request_headers(options_.server);
    const CallContext& context = question.context;
    if (context.trace) request.headers.emplace_back("traceparent", context.trace->traceparent());
    request.body = question.body;
    request.time_max = question.time_max;
    request.repeatable = true;
    request.on_sent = context.on_sent;
    auto answer = co_await http_.send(std::move(request));
    Try tried;
    if (!answer) {
        tried.failure = failure_for(answer.error());
        co_return tried;
    }
    if (context.on_rate) context.on_rate(parse_rate_headers(*answer, clock_.now()));
    tried.answer = std::move(*answer);
    if (tried.answer.status >= 200 && tried.answer.status <= 299) co_return tried;
    tried.failure = failure_for(tried.answer, clock_.now());
    tried.advice = retry_advice(tried.answer.headers);
    for (std::string* text : {&tried.failure->detail, &tried.answer.body}) {
        const std::string& key = options_.server.key;
        const std::size_t at = key.empty() ? std::string::npos : text->find(key);
        if (at != std::string::npos) text->replace(at, key.size(), "***");
    }
    co_return tried;
}

template <class T>
asio::awaitable<T> OpenAi::read(const std::string& body, std::function<T(std::string_view)> parse) {
    if (!pool_ || body.size() <= kParseHereBytesMax) co_return parse(body);
    auto parsed = std::make_shared<std::optional<T>>();
    auto work = [&body, parse = std::move(parse), parsed] { parsed->emplace(parse(body)); };
    auto running = pool_->run(std::move(work));
    co_await std::move(running);
    co_return std::move(**parsed);
}

std::optional<Duration> OpenAi::wait_after(const Try& tried, int tries_done) {
    RetryInput input{tried.failure->kind};
    input.advice = tried.advice;
    input.retry_after = tried.failure->retry_after;
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
        options.try_time_max <= Duration::zero() || options.completion_time_max <= Duration::zero()) {
        return refused("a limit of a deployment is 0");
    }
    auto embed = operation_url(server, Operation::embed);
    auto chat = operation_url(server, Operation::chat);
    auto respond = operation_url(server, Operation::respond);
    if (!embed || !chat || !respond) return refused("endpoint: " + embed.error().detail);
    const auto prepared = http.prepare(*embed);
    if (!prepared) return prepared.error();
    Urls urls{std::move(*embed), std::move(*chat), std::move(*respond)};
    return std::unique_ptr<Provider>(
        std::make_unique<OpenAi>(http, clock, std::move(options), std::move(urls), pool));
}

}  // namespace millrace::provider
