// The provider simulator's view of one embeddings call: its body checked as OpenAI does, its vectors. No
// sockets.
#pragma once

#include "http/server.hpp"
#include "http/simulator.hpp"

#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace millrace::provider {
class FeatureHash;
}

namespace millrace::http {

/// One text to embed; token ids are written as words.
struct EmbeddingInput {
    std::string text;
    std::size_t tokens = 0;
};

struct EmbeddingCall {
    std::string model;
    std::uint64_t hash = 0;  ///< of all that decides the vectors beside the texts
    std::vector<EmbeddingInput> inputs;
    std::size_t tokens = 0;
    std::size_t dimensions = 0;
    bool base64 = false;
};

/// The call in `body`, or OpenAI's answer to what is wrong with it. `deployment` names the model where the
/// URL does;
/// "" where the body has to.
std::variant<EmbeddingCall, Response> read_embedding_call(std::string_view body,
                                                          const std::string& deployment,
                                                          const SimulatorOptions& options);

/// The answer to `call`, `usage` and all.
std::string embedding_answer(const EmbeddingCall& call);

/// The unit vector of `text`: its feature hash, with zeros behind it up to `dimensions`.
std::vector<float> simulated_vector(provider::FeatureHash& hash, std::string_view text,
                                    std::size_t dimensions);
/// How many places of a vector of that length are hashed: the power of two below.
std::size_t hashed_dimensions(std::size_t dimensions);

/// An error in OpenAI's envelope; `param` and `code` may be empty for null.
Response openai_error(unsigned status, std::string_view type, std::string_view param, std::string_view code,
                      std::string_view message);

/// OpenAI's answer to a prompt that the content filter stops; Azure adds what it found.
Response content_filter_error(bool azure);

/// The tokens of `text` as `model` counts them; estimated where `options` has no counter.
std::size_t count_tokens(const SimulatorOptions& options, std::string_view model, std::string_view text);

/// Every model the simulator serves under its own name.
std::vector<std::string> simulated_models(const SimulatorOptions& options);

}  // namespace millrace::http
