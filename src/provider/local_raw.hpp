// OpenAI requests as the local models understand them, and their answers in OpenAI's form.
#pragma once

#include "provider/provider.hpp"

#include <string>
#include <variant>
#include <vector>

namespace millrace::provider {

/// What an OpenAI request asks of a local model.
struct LocalRequest {
    std::string endpoint;
    std::vector<std::string> inputs;  ///< texts to embed
    bool base64 = false;  ///< vectors are wanted so
    CompletionRequest completion;  ///< of the other endpoints
};

/// Reads `request`; for what a local model can't do, the 400 that says so. Any thread.
std::variant<LocalRequest, RawAnswer> read_local_request(const RawRequest& request);

/// The answers to it; `model` is the name that they show. Any thread.
RawAnswer local_answer(const LocalRequest& request, const std::string& model, const Embeddings& embeddings);
RawAnswer local_answer(const LocalRequest& request, const Completion& completion);
/// The 400 for a request that was refused.
RawAnswer local_refusal(const std::string& why);

}  // namespace millrace::provider
