// The text that a task is about: of documents put together again, and cut to what one call takes.
#pragma once

#include "handlers/services.hpp"
#include "handlers/task_types.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace millrace::handlers {

/// One text out of passages that repeat the end of the one before at their beginning. Linear.
std::string join_passages(const std::vector<std::string>& passages);

/// The text of a document as search sees it. not_found: there is no such document, or it failed before it was
/// searchable; unavailable: it is not ready yet.
asio::awaitable<Result<std::string>> document_text(Services& services, std::string id);

/// Counts the tokens of a text. Any thread.
using CountTokens = std::function<std::size_t(std::string_view)>;

/// Cuts `text` into pieces of at most `tokens_max` tokens at good places; one piece where it fits. CPU pool.
std::vector<std::string> cut_text(const std::string& text, std::size_t tokens_max, const CountTokens& count);

/// What one call to a model may hold.
struct CallBudget {
    std::int64_t input_tokens = 0;  ///< of the text
    std::int64_t output_tokens = 0;  ///< of the answer
    std::int64_t overhead_tokens = 0;  ///< of instructions, schema and message framing
};
/// The share of the model's context that the text of one call may take, by numbers alone. `overhead`: tokens
/// of instructions and schema. At least kInputTokensMin, whatever the model says.
CallBudget budget_for(const TaskType& type, const provider::ModelInfo& model, std::int64_t overhead);
inline constexpr std::int64_t kInputTokensMin = 256;
inline constexpr std::int64_t kContextTokensUnknown = 8'192;  ///< what a model of unknown size is taken for
inline constexpr std::int64_t kNotesTokensMax = 512;  ///< of the notes on one piece of a long text
inline constexpr std::int64_t kOutputTokensDefault = 1'024;

/// How many calls a text takes: for each level of notes the pieces, then one answer.
struct CallCount {
    std::int64_t calls = 0;
    std::int64_t prompt_tokens = 0;
    std::int64_t output_tokens_max = 0;
};
/// `pieces`: tokens of each piece of the text as `cut_text` cuts it. Levels above the first are counted with
/// notes of full length, so this is an upper bound.
CallCount count_calls(TaskShape shape, const std::vector<std::int64_t>& pieces, const CallBudget& budget);

}  // namespace millrace::handlers
