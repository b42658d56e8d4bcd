// Embeddings and completions from a server that speaks the OpenAI REST API: OpenAI, Azure OpenAI, Ollama,
// TEI, vLLM, llama.cpp.
#pragma once

#include "base/async.hpp"
#include "base/clock.hpp"
#include "base/limits.hpp"
#include "provider/http_client.hpp"
#include "provider/openai_protocol.hpp"
#include "provider/provider.hpp"

#include <cstdint>
#include <memory>
#include <string>

namespace millrace::provider {

struct OpenAiOptions {
    OpenAiServer server;
    std::size_t dimensions = 0;  ///< length of the vectors; 0: the model's own, or that of the first answer
    std::size_t inputs_per_request_max = limits::embed_inputs_max;  ///< TEI allows 32 unless told otherwise
    std::size_t tokens_per_request_max = limits::embed_request_tokens_max;
    std::size_t tokens_per_input_max = limits::embed_input_tokens_max;
    CompletionApi api = CompletionApi::chat;  ///< what completes
    std::size_t context_tokens_max = 0;  ///< of the model; 0: what is known by its name
    std::size_t output_tokens_max = 0;  ///< of the model; 0: what is known by its name
    int tries_max = 3;  ///< of one call; the caller's own retries come on top
    Duration try_time_max = std::chrono::seconds(60);  ///< of an embeddings request
    Duration completion_time_max = std::chrono::seconds(600);  ///< of a completion, which may take minutes
    std::uint64_t seed = 0;  ///< of the back-off's jitter; 0: random
};

/// A provider that calls the server of `options`. `http` and `clock`, and `pool` if given, outlive it; `pool`
/// parses large answers off the I/O thread. invalid_input: a malformed endpoint or key, a missing model, a
/// limit of 0. It tries again by itself, up to `tries_max`, after a lost connection, a timeout, 408,
/// 409 and 5xx; the rest is the caller's to decide. What leads to which failure stands in docs/provider.md.
Result<std::unique_ptr<Provider>> make_openai(HttpClient& http, Clock& clock, OpenAiOptions options,
                                              CpuPool* pool = nullptr);

}  // namespace millrace::provider
