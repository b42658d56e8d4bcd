// Completions of the OpenAI REST API as pure functions, in both its interfaces: chat completions and
// responses.
#pragma once

#include "base/error.hpp"
#include "provider/openai_protocol.hpp"
#include "provider/provider.hpp"

#include <string>
#include <string_view>

namespace millrace::provider {

/// The body that asks `server` to complete `request` through `api`. A schema goes out as json_schema, strict
/// where it keeps the rules that strictness has (`is_strict_schema`). invalid_input: the schema isn't a JSON
/// object.
Result<std::string> completion_body(const OpenAiServer& server, const CompletionRequest& request,
                                    CompletionApi api);

/// Reads the body of a 200 answer to `request`. Failures, each with what was billed: `refused` by the model,
/// `content_filtered`, `cut_off`, `throttled` or `transient` where a response failed later than its headers;
/// `transient` for a body that breaks its form, or a text that isn't JSON though a schema was asked for.
/// A server that wraps its JSON in a Markdown fence is forgiven.
Outcome<Completion> parse_completion(std::string_view body, const CompletionRequest& request,
                                     CompletionApi api);

/// `body` with `model` for its model. invalid_input: it isn't a JSON object, or asks for a stream.
Result<std::string> with_model(std::string_view body, std::string_view model);

/// What a 200 answer says that it cost, in either interface's words; zero where it says nothing. Nothing at
/// all: the body isn't a JSON object.
std::optional<Usage> reported_usage(std::string_view body);

}  // namespace millrace::provider
