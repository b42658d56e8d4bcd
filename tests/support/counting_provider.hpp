// A provider whose answers and failures a test decides, and whose calls it counts.
#pragma once

#include "provider/provider.hpp"

#include <cmath>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::test {

class CountingProvider final : public provider::Provider {
  public:
    CountingProvider() {
        model_.name = "counting";
        model_.dimensions = 64;
        model_.inputs_per_request_max = 8;
        model_.tokens_per_request_max = 100'000;
        model_.tokens_per_input_max = 8'191;
        model_.chunk_tokens = 60;
        model_.chunk_overlap_tokens = 0;
    }

    const provider::ModelInfo& model() const noexcept override { return model_; }

    boost::asio::awaitable<provider::Outcome<provider::Embeddings>> embed(
        std::vector<std::string> inputs, provider::CallContext context) override {
        calls += 1;
        traces.push_back(context.trace);
        embed_contexts.push_back(context);
        if (!failures.empty()) {
            provider::Failure failure = failures.front();
            failures.pop_front();
            co_return failure;
        }
        if (answers_max > 0 && inputs.size() > answers_max) inputs.resize(answers_max);
        provider::Embeddings embeddings;
        for (const auto& input : inputs) {
            texts.push_back(input);
            embeddings.vectors.push_back(vector_of(input));
            embeddings.usage.prompt_tokens += static_cast<std::int64_t>(input.size());
        }
        co_return embeddings;
    }

    /// Answers with the next of `answers`, or by `answer`, or "answer N".
    boost::asio::awaitable<provider::Outcome<provider::Completion>> complete(
        provider::CompletionRequest request, provider::CallContext context) override {
        contexts.push_back(context);
        requests.push_back(request);
        if (on_complete) co_await on_complete(request);
        if (!failures.empty()) {
            provider::Failure failure = failures.front();
            failures.pop_front();
            co_return failure;
        }
        provider::Completion completion;
        completion.model = "counting-1";
        completion.usage.prompt_tokens = static_cast<std::int64_t>(request.input.size());
        completion.text = "answer " + std::to_string(requests.size());
        completion.usage.completion_tokens = 7;
        if (!answers.empty()) {
            completion.text = answers.front();
            answers.pop_front();
        } else if (answer) {
            completion.text = answer(request);
        }
        co_return completion;
    }
    provider::ModelInfo& info() { return model_; }

    /// Unit vector in which every word of the text is counted in one of 64 places.
    static std::vector<float> vector_of(std::string_view text) {
        std::vector<float> vector(64, 0.01f);
        std::size_t hash = 0;
        for (const char c : text) {
            if (c == ' ' || c == '\n') {
                vector[hash % 64] += 1;
                hash = 0;
            } else {
                hash = hash * 31 + static_cast<unsigned char>(c);
            }
        }
        vector[hash % 64] += 1;
        float length = 0;
        for (const float x : vector) length += x * x;
        for (float& x : vector) x /= std::sqrt(length);
        return vector;
    }

    std::size_t calls = 0;
    std::vector<std::string> texts;            ///< every input that was embedded, in order
    std::vector<std::optional<TraceContext>> traces;  ///< of every call
    std::vector<provider::CallContext> embed_contexts;  ///< likewise
    std::size_t answers_max = 0;               ///< vectors in one answer; 0: for all inputs
    std::vector<provider::CompletionRequest> requests;  ///< every completion that was asked for
    std::vector<provider::CallContext> contexts;        ///< of these
    std::deque<std::string> answers;                    ///< of the next completions
    std::function<std::string(const provider::CompletionRequest&)> answer;
    /// Awaited before a completion is answered; may be empty.
    std::function<boost::asio::awaitable<void>(const provider::CompletionRequest&)> on_complete;
    std::deque<provider::Failure> failures;    ///< what the next calls answer instead

  private:
    provider::ModelInfo model_;
};

}  // namespace millrace::test
