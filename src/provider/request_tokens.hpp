// How many tokens an OpenAI request takes, as its sender wrote it.
#pragma once

#include <boost/json/object.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string_view>

namespace millrace::provider {

struct RequestTokens {
    std::int64_t prompt = 0;
    /// More than any request is taken for: sums over millions of requests stay in range.
    static constexpr std::int64_t kMax = 1'000'000'000;

    std::int64_t output_asked = 0;  ///< the longest answer it may get; 0: it names none
    std::int64_t choices = 1;       ///< so many answers

    /// All answers together; `otherwise` is the longest answer where it names none.
    std::int64_t output(std::int64_t otherwise) const noexcept;
};

/// Tokens of `request`, which asks for `endpoint` ("/v1/embeddings", …): its texts, lists of token ids, tools
/// and schemas, and what separates messages. `count` counts those of a text. Any thread.
RequestTokens tokens_of_request(const boost::json::object& request, std::string_view endpoint,
                                const std::function<std::size_t(std::string_view)>& count);

}  // namespace millrace::provider
