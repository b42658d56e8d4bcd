#include "provider/paced_work.hpp"
#include "telemetry/log.hpp"

#include <algorithm>

namespace millrace::provider {

namespace {

constexpr std::size_t kPoolBytesMin = 64 * 1024;  // longer answers are taken apart on the pool
constexpr std::size_t kShapesMax = 64;

/// Statuses that say that something is wrong with an input, not with the caller.
bool blames_an_input(int status) { return status == 400 || status == 413 || status == 422; }

template <class T>
bool blames_an_input(const Outcome<T>& outcome) {
    if constexpr (requires { outcome->whole.status; }) {
        if (outcome) return blames_an_input(outcome->whole.status);
    }
    if (outcome) return false;
    const Failure& failure = outcome.error();
    if (failure.kind == FailureKind::content_filtered) return true;
    return failure.kind == FailureKind::rejected && blames_an_input(failure.status);
}

}  // namespace

asio::awaitable<Outcome<Embeddings>> Paced::embed(std::vector<std::string> inputs, CallContext context) {
    std::int64_t tokens = 0;
    for (const auto& input : inputs) tokens += count(input);
    auto work = std::make_shared<EmbedWork>(io_);
    work->part = {tokens, context.tenant, options_.price.micros(tokens, 0)};
    work->count = inputs.size();
    work->inputs = std::move(inputs);
    work->context = std::move(context);
    auto sharing = share(std::move(work));
    co_return co_await std::move(sharing);
}

/// Waits for a request that `work` may share, and again after failures that pass.
template <class W>
asio::awaitable<Outcome<typename W::Answer>> Paced::share(std::shared_ptr<W> work) {
    work->urgency = urgency_of(work->context.priority);
    work->packs = true;
    work->go = [this](quota::Pass pass) { tasks_.start("embed", carry<W>(std::move(pass))); };
    work->refuse = [this, raw = work.get()](const quota::Refusal& refusal) {
        raw->failure = failure_for_refusal(refusal, clock_.now());
        raw->done();
    };
    for (int tries = 1;; ++tries) {
        work->is_done = false;
        work->failure.reset();
        enter(work);
        co_await await_end(work);
        if (!work->failure) co_return std::move(work->answer);
        const auto pause = pause_before_retry(*work->failure, tries);
        if (!pause) co_return *work->failure;
        co_await clock_.sleep_for(*pause);
    }
}

/// One request for all that share it.
template <class W>
asio::awaitable<void> Paced::carry(quota::Pass pass) {
    std::vector<std::shared_ptr<W>> works;
    for (const auto& item : pass.group) {
        auto work = std::static_pointer_cast<W>(item);
        if (!work->abandoned) works.push_back(std::move(work));
    }
    Called called;
    if (works.empty()) {
        called.failure = Failure{FailureKind::rejected, 0, "nobody waits for it"};
        co_await settle(pass, called);
        co_return;
    }
    CallContext context = works.front()->context;
    context.on_sent = [works] {
        for (const auto& work : works)
            if (work->context.on_sent) work->context.on_sent();
    };
    const auto heard = listen(context, pass);
    auto asked = ask_together(works, std::move(context));
    auto outcome = co_await std::move(asked);
    called = {failure_of(outcome), usage_of(outcome), report_of(heard->rate), heard->sent_at, heard->told};
    co_await settle(pass, called);
    if (works.size() > 1 && blames_an_input(outcome))
        halve(works);
    else if (called.failure && called.failure->kind == FailureKind::throttled)
        for (const auto& work : works) work->abandoned ? void() : enter(work);
    else
        share_out(works, std::move(outcome));
}

asio::awaitable<Outcome<Embeddings>> Paced::ask_together(std::vector<std::shared_ptr<EmbedWork>> works,
                                                         CallContext context) {
    std::vector<std::string> inputs;
    for (const auto& work : works) inputs.insert(inputs.end(), work->inputs.begin(), work->inputs.end());
    auto asked = inner_.embed(std::move(inputs), std::move(context));
    co_return co_await std::move(asked);
}

asio::awaitable<Outcome<Paced::SharedAnswer>> Paced::ask_together(std::vector<std::shared_ptr<RawWork>> works,
                                                                  CallContext context) {
    RawRequest request = works.front()->request;
    if (works.size() > 1) {
        std::vector<const EmbeddingsRequest*> requests;
        for (const auto& work : works) requests.push_back(&work->embeddings);
        request.body = join_requests(requests);
    }
    auto asked = inner_.call(std::move(request), std::move(context));
    auto outcome = co_await std::move(asked);
    if (!outcome) co_return outcome.error();
    SharedAnswer answer{std::move(*outcome), {}, {}, {}};
    answer.usage = answer.whole.usage;
    if (works.size() == 1 || answer.whole.status != 200) co_return answer;
    std::vector<std::int64_t> weights;
    for (const auto& work : works) weights.push_back(work->part.tokens);
    answer.prompt_tokens = divide(answer.usage.prompt_tokens, weights);
    std::vector<EmbeddingsShare> shares;
    for (std::size_t i = 0; i < works.size(); ++i)
        shares.push_back({works[i]->embeddings.inputs.size(), answer.prompt_tokens[i]});
    const bool is_short = answer.whole.body.size() < kPoolBytesMin;
    auto split = [body = std::move(answer.whole.body), shares = std::move(shares)] {
        return split_answer(body, shares);
    };
    if (options_.pool == nullptr || is_short)
        answer.bodies = split();
    else
        answer.bodies = co_await options_.pool->run(std::move(split));
    co_return answer;
}

/// One of them is to blame: each half is asked for alone.
template <class W>
void Paced::halve(const std::vector<std::shared_ptr<W>>& works) {
    const std::uint64_t first = next_pack_++;
    const std::uint64_t second = next_pack_++;
    for (std::size_t i = 0; i < works.size(); ++i) {
        if (works[i]->abandoned) continue;
        works[i]->pack = i < works.size() / 2 ? first : second;
        enter(works[i]);
    }
}

/// Each gets its vectors, or the failure. Of fewer vectors than inputs, those behind them failed.
void Paced::share_out(const std::vector<std::shared_ptr<EmbedWork>>& works, Outcome<Embeddings> outcome) {
    std::vector<std::int64_t> weights;
    for (const auto& work : works) weights.push_back(work->part.tokens);
    const auto tokens = divide(outcome ? outcome->usage.prompt_tokens : 0, weights);
    std::size_t next = 0;
    for (std::size_t i = 0; i < works.size(); ++i) {
        const auto& work = works[i];
        if (!outcome) {
            work->failure = outcome.error();
            work->failure->usage = {};
            work->done();
            continue;
        }
        work->answer = {};
        const std::size_t end = std::min(next + work->inputs.size(), outcome->vectors.size());
        for (; next < end; ++next) work->answer.vectors.push_back(std::move(outcome->vectors[next]));
        if (work->answer.vectors.empty()) {
            if (!work->abandoned) enter(work);  // its turn had not come
            continue;
        }
        work->answer.usage.prompt_tokens = tokens[i];
        work->done();
    }
}

/// Each gets an answer of its own, or the failure; those of an answer that can't be divided ask alone.
void Paced::share_out(const std::vector<std::shared_ptr<RawWork>>& works, Outcome<SharedAnswer> outcome) {
    const bool undivided = outcome && works.size() > 1 && outcome->whole.status == 200 && !outcome->bodies;
    if (undivided)
        telemetry::log_warning("quota", gate_.options().deployment,
                               "the answer to a shared request has not one vector for each input");
    for (std::size_t i = 0; i < works.size(); ++i) {
        const auto& work = works[i];
        if (undivided) {
            work->packs = false;
            if (!work->abandoned) enter(work);
            continue;
        }
        if (!outcome) {
            work->failure = outcome.error();
            work->failure->usage = {};
        } else {
            work->answer = i + 1 < works.size() ? outcome->whole : std::move(outcome->whole);
            if (outcome->bodies) {
                work->answer.body = std::move((*outcome->bodies)[i]);
                work->answer.usage = {};
                work->answer.usage.prompt_tokens = outcome->prompt_tokens[i];
            }
        }
        work->done();
    }
}

asio::awaitable<Outcome<RawAnswer>> Paced::call_shared(RawRequest request, EmbeddingsRequest embeddings,
                                                       std::int64_t prompt, CallContext context) {
    auto work = std::make_shared<RawWork>(io_);
    work->part = {prompt, context.tenant, options_.price.micros(prompt, 0)};
    work->count = embeddings.inputs.size();
    work->pack = pack_of(embeddings.rest);
    work->embeddings = std::move(embeddings);
    work->request = std::move(request);
    work->context = std::move(context);
    auto sharing = share(std::move(work));
    co_return co_await std::move(sharing);
}

/// Requests that ask for the same, e.g. for as many dimensions, may share one.
std::uint64_t Paced::pack_of(const std::string& shape) {
    if (shapes_.size() >= kShapesMax && !shapes_.contains(shape)) shapes_.clear();
    const auto [known, fresh] = shapes_.try_emplace(shape, next_pack_);
    if (fresh) next_pack_ += 1;
    return known->second;
}

}  // namespace millrace::provider
