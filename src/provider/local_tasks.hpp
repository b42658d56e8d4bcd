// Answers to tasks without a model that writes: extracted, looked up and counted.
#pragma once

#include "provider/provider.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::provider {

/// The model that every local answer names.
inline constexpr std::string_view kLocalCompletionModel = "local-extractive";

/// Why there is no answer to `request` here: no text or a longer one than limits::text_bytes_max, no labels
/// for "classify", a schema that isn't a JSON object.
std::optional<Failure> reason_not_to_answer(const CompletionRequest& request);

/// The texts whose vectors `answer_task` needs: none but for "classify".
std::vector<std::string> texts_to_embed(const CompletionRequest& request);

/// Answers `request`, for which there is no reason not to. Known tasks, as JSON:
///   summarize  {summary, keyPoints[]}
///   classify   {label, confidence, scores[{label, score}]}
///   entities   {entities[{text, type, count}]}
///   sentiment  {sentiment, score, sentences[{text, sentiment, score}]}
/// Others follow their schema, or are a summary where they have none: properties that are called as one of
/// the above hold that, the rest is empty. A known task with a schema of its own gets what of its answer fits
/// that. `vectors`: of `texts_to_embed`. Takes some 10 ms per 100 KB; any bytes are taken for text. The same
/// request has the same answer.
Completion answer_task(const CompletionRequest& request, const std::vector<std::vector<float>>& vectors);

}  // namespace millrace::provider
