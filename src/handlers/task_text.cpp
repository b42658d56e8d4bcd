#include "handlers/task_text.hpp"

#include "text/chunk.hpp"

#include <algorithm>

namespace millrace::handlers {

namespace {

constexpr std::size_t kPassagesAtOnce = 256;
constexpr std::size_t kOverlapBytesMin = 16;  ///< less is chance
constexpr std::int64_t kFramingTokens = 32;

/// Bytes at the end of `before` that `next` begins with: the border of "next, 0, end of before".
std::size_t overlap(std::string_view before, std::string_view next) {
    const std::size_t most = std::min(before.size(), next.size());
    std::string both(next.substr(0, most));
    both += '\0';
    both += before.substr(before.size() - most);
    std::vector<std::size_t> border(both.size());
    for (std::size_t i = 1; i < both.size(); ++i) {
        std::size_t length = border[i - 1];
        while (length > 0 && both[i] != both[length]) length = border[length - 1];
        border[i] = both[i] == both[length] ? length + 1 : 0;
    }
    const std::size_t length = most == 0 ? 0 : border.back();
    return length < kOverlapBytesMin ? 0 : length;
}

/// The numbers of the passages from `first` on, as many as are read at once.
std::vector<std::uint32_t> page_of(std::size_t first, std::size_t total) {
    std::vector<std::uint32_t> page;
    for (std::size_t i = first; i < std::min(total, first + kPassagesAtOnce); ++i)
        page.push_back(static_cast<std::uint32_t>(i));
    return page;
}

}  // namespace

std::string join_passages(const std::vector<std::string>& passages) {
    std::string text;
    std::string_view before;
    for (const std::string& passage : passages) {
        const std::size_t repeated = overlap(before, passage);
        if (!text.empty() && repeated == 0) text += "\n\n";
        text += std::string_view(passage).substr(repeated);
        before = passage;
    }
    return text;
}

asio::awaitable<Result<std::string>> document_text(Services& services, std::string id) {
    auto document = co_await services.documents.find(id);
    if (!document) co_return Error{Errc::not_found, "there is no document \"" + id + "\""};
    if (document->live == 0 && document->status == work::Status::failed)
        co_return Error{Errc::not_found, "the document \"" + id + "\" has failed: " + document->error};
    if (document->live == 0)
        co_return Error{Errc::unavailable, "the document \"" + id + "\" is not ready yet"};
    std::vector<std::string> passages;
    const auto total = static_cast<std::size_t>(document->chunks);
    while (passages.size() < total) {
        auto page = page_of(passages.size(), total);
        auto read = co_await services.index.staged_texts(id, document->live, std::move(page));
        // A newer version has taken its place meanwhile.
        if (!read) co_return Error{Errc::unavailable, "the document \"" + id + "\" is changing"};
        for (auto& one : *read) passages.push_back(std::move(one.text));
    }
    auto join = [&passages] { return join_passages(passages); };
    co_return co_await services.pool.run(std::move(join));
}

std::vector<std::string> cut_text(const std::string& text, std::size_t tokens_max, const CountTokens& count) {
    if (count(text) <= tokens_max) return {text};
    text::ExtractedText whole;
    whole.text = text;
    text::ChunkOptions options;
    options.tokens_max = tokens_max;
    options.overlap_tokens = 0;
    options.count_tokens = count;
    std::vector<std::string> pieces;
    for (auto& chunk : text::split(whole, options)) pieces.push_back(std::move(chunk.text));
    return pieces;
}

CallBudget budget_for(const TaskType& type, const provider::ModelInfo& model, std::int64_t overhead) {
    CallBudget budget;
    budget.output_tokens = type.output_tokens_max > 0 ? type.output_tokens_max : kOutputTokensDefault;
    if (model.output_tokens_max > 0)
        budget.output_tokens =
            std::min(budget.output_tokens, static_cast<std::int64_t>(model.output_tokens_max));
    budget.overhead_tokens = overhead + kFramingTokens;
    const auto context = model.context_tokens_max > 0 ? static_cast<std::int64_t>(model.context_tokens_max)
                                                      : kContextTokensUnknown;
    // An answer that is cut off is asked for again at twice the length.
    std::int64_t input = context - 2 * budget.output_tokens - budget.overhead_tokens;
    if (type.input_tokens_max > 0) input = std::min(input, type.input_tokens_max);
    budget.input_tokens = std::max(input, kInputTokensMin);
    return budget;
}

CallCount count_calls(TaskShape shape, const std::vector<std::int64_t>& pieces, const CallBudget& budget) {
    CallCount count;
    const auto add = [&](std::int64_t calls, std::int64_t input, std::int64_t output) {
        count.calls += calls;
        count.prompt_tokens += input + calls * budget.overhead_tokens;
        count.output_tokens_max += calls * output;
    };
    std::int64_t tokens = 0;
    for (const std::int64_t one : pieces) tokens += one;
    auto calls = static_cast<std::int64_t>(pieces.size());
    if (calls <= 1 || shape == TaskShape::entities) {
        add(std::max<std::int64_t>(calls, 1), tokens, budget.output_tokens);
        return count;
    }
    const std::int64_t notes = std::min(kNotesTokensMax, budget.input_tokens / 2);
    while (calls > 1) {
        add(calls, tokens, notes);
        tokens = calls * notes;
        calls = (tokens + budget.input_tokens - 1) / budget.input_tokens;
    }
    add(1, tokens, budget.output_tokens);
    return count;
}

}  // namespace millrace::handlers
