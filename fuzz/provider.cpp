// Whatever a provider answers: vectors of unit length in the right number, or a failure; waits within bounds.
#include "fuzz/fuzz.hpp"
#include "provider/openai_protocol.hpp"

#include <cmath>

namespace millrace::fuzz {

std::vector<std::string> seeds() {
    return {
        R"({"object":"list","data":[{"index":1,"embedding":[0.6,0.8]},{"index":0,"embedding":[1,0]}],)"
        R"("model":"m","usage":{"prompt_tokens":3,"total_tokens":3}})",
        R"({"data":[{"embedding":"AACAPwAAAAA=","index":0},{"embedding":"AAAAAAAAgD8="}],"usage":null})",
        R"({"embeddings":[[1e-40,1e39],[0,0]]})",
        R"({"error":{"message":"Please retry after 37 seconds.","type":"tokens","code":"rate_limit_exceeded"}})",
        R"({"error":"model \"x\" not found, try pulling it first"})",
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "1h2m3.5s",
    };
}

void check(std::string_view input) {
    const std::vector<std::string> inputs = {"a", "b"};
    for (const std::size_t dimensions : {0, 2}) {
        const auto outcome = provider::parse_embeddings(input, inputs, dimensions);
        if (!outcome) continue;
        require(outcome->vectors.size() == inputs.size(), "there is a vector for each input");
        for (const auto& vector : outcome->vectors) {
            double square = 0;
            for (const float value : vector) square += double(value) * value;
            require(std::abs(square - 1) < 1e-3, "a vector has unit length");
        }
    }
    provider::HttpAnswer answer;
    answer.body = input;
    const std::string text(input);
    answer.headers = {{"retry-after", text}, {"retry-after-ms", text}, {"x-ratelimit-reset-tokens", text}};
    for (const unsigned status : {400, 401, 404, 413, 429, 500, 503}) {
        answer.status = status;
        const auto failure = provider::failure_for(answer, TimePoint{});
        require(failure.detail.find('\n') == std::string::npos, "a failure is one line");
    }
    const auto wait = provider::retry_after(answer, TimePoint{});
    require(!wait || (*wait >= Duration::zero() && *wait <= provider::kRetryAfterMax),
            "a wait is within bounds");
    const auto reset = provider::parse_reset(input);
    require(!reset || (*reset >= Duration::zero() && *reset <= std::chrono::hours(24)),
            "a reset is within bounds");
}

}  // namespace millrace::fuzz
