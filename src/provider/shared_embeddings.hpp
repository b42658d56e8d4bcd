// Embeddings requests, as their senders wrote them, that travel as one.
#pragma once

#include <boost/json/object.hpp>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::provider {

/// An embeddings request whose inputs may travel with those of others.
struct EmbeddingsRequest {
    std::string rest;  ///< all but its inputs and the model's name: requests with an equal one may share
    std::vector<std::string> inputs;  ///< JSON values, texts or lists of token ids, one for each vector
};

/// Takes `request` apart; nothing where its inputs are neither. Any thread.
std::optional<EmbeddingsRequest> read_embeddings_request(const boost::json::object& request);

/// One request for the inputs of all `requests`, in their order; all of one `rest`, at least one.
std::string join_requests(std::span<const EmbeddingsRequest* const> requests);

/// What one of those that share a request has in its answer.
struct EmbeddingsShare {
    std::size_t inputs = 0;
    std::int64_t prompt_tokens = 0;
};

/// The answer for each of `shares`, from `answer`, the JSON answer to a request for all of them: vectors as
/// they stand there, numbered anew; the model's name; `usage` as the share says. Linear in `answer`. Nothing
/// where it has not one vector for each input. Any thread.
std::optional<std::vector<std::string>> split_answer(std::string_view answer,
                                                     std::span<const EmbeddingsShare> shares);

/// `tokens` divided among parts in proportion to `weights`; the sum is `tokens`.
std::vector<std::int64_t> divide(std::int64_t tokens, std::span<const std::int64_t> weights);

}  // namespace millrace::provider
