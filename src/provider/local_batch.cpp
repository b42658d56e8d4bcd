#include "provider/local_batch.hpp"

#include "base/limits.hpp"

#include <boost/asio/this_coro.hpp>

#include <algorithm>
#include <exception>

namespace millrace::provider {

namespace {

/// One call under way. Its lanes, coroutines of the I/O thread, take turns off it; only `embed_texts` runs
/// elsewhere, on a part of `inputs` and `vectors` of its own.
struct Job {
    Job(const asio::any_io_executor& executor, std::shared_ptr<const EmbedTexts> work,
        std::vector<std::string> texts, std::size_t per_turn)
        : embed_texts(std::move(work)),
          inputs(std::move(texts)),
          vectors(inputs.size()),
          texts_per_turn(per_turn),
          lane_ended(executor) {}

    bool has_turn() const { return !abandoned && !failure && next < inputs.size(); }

    std::shared_ptr<const EmbedTexts> embed_texts;
    std::vector<std::string> inputs;
    std::vector<std::vector<float>> vectors;
    std::size_t texts_per_turn;
    std::size_t next = 0;  ///< first text that no lane has taken
    std::int64_t tokens = 0;
    unsigned other_lanes = 0;
    bool abandoned = false;
    std::exception_ptr failure;
    Signal lane_ended;
};

/// Tells the other lanes to end when the caller's coroutine is gone, for whatever reason.
struct AbandonOnExit {
    Job& job;
    ~AbandonOnExit() { job.abandoned = true; }
};

asio::awaitable<void> run_lane(CpuPool& pool, std::shared_ptr<Job> job) {
    while (job->has_turn()) {
        const std::size_t first = job->next;
        const std::size_t count = std::min(job->texts_per_turn, job->inputs.size() - first);
        job->next += count;
        auto turn = [job, first, count] {
            const std::span texts = std::span<const std::string>(job->inputs).subspan(first, count);
            return (*job->embed_texts)(texts, std::span(job->vectors).subspan(first, count));
        };
        const std::int64_t tokens = co_await pool.run(turn);
        job->tokens += tokens;
    }
}

void start_lane(const asio::any_io_executor& executor, CpuPool& pool, const std::shared_ptr<Job>& job) {
    ++job->other_lanes;
    auto on_end = [job](std::exception_ptr failure) {
        if (failure && !job->failure) job->failure = failure;
        --job->other_lanes;
        job->lane_ended.notify();
    };
    asio::co_spawn(executor, run_lane(pool, job), on_end);
}

}  // namespace

std::optional<std::string> reason_to_reject(const std::vector<std::string>& inputs, const ModelInfo& model) {
    if (inputs.empty()) return model.name + ": no input";
    if (inputs.size() > model.inputs_per_request_max) {
        return model.name + ": " + std::to_string(inputs.size()) + " inputs, at most " +
               std::to_string(model.inputs_per_request_max) + " in one call";
    }
    for (const std::string& input : inputs) {
        if (input.empty()) return model.name + ": an input is empty";
        if (input.size() > limits::local_input_bytes_max) {
            return model.name + ": an input has " + std::to_string(input.size()) + " bytes, at most " +
                   std::to_string(limits::local_input_bytes_max);
        }
    }
    return std::nullopt;
}

asio::awaitable<Embeddings> embed_in_turns(CpuPool& pool, std::shared_ptr<const EmbedTexts> embed_texts,
                                           std::vector<std::string> inputs, std::size_t texts_per_turn) {
    const asio::any_io_executor executor = co_await asio::this_coro::executor;
    const std::size_t turns = (inputs.size() + texts_per_turn - 1) / texts_per_turn;
    auto job = std::make_shared<Job>(executor, std::move(embed_texts), std::move(inputs), texts_per_turn);
    const AbandonOnExit guard{*job};
    for (std::size_t lane = 1; lane < std::min<std::size_t>(pool.threads(), turns); ++lane) {
        start_lane(executor, pool, job);
    }
    co_await run_lane(pool, job);
    while (job->other_lanes > 0) co_await job->lane_ended.wait();
    if (job->failure) std::rethrow_exception(job->failure);
    Embeddings embeddings;
    embeddings.vectors = std::move(job->vectors);
    embeddings.usage.prompt_tokens = job->tokens;
    co_return embeddings;
}

}  // namespace millrace::provider
