#include "handlers/embed_requests.hpp"

#include "text/tokens.hpp"

#include <algorithm>

namespace millrace::handlers {

std::size_t request_size(const provider::ModelInfo& model, std::size_t first, std::size_t count,
                         const TextAt& text_at) {
    std::size_t tokens = 0;
    std::size_t size = 0;
    while (size < count && size < std::max<std::size_t>(model.inputs_per_request_max, 1)) {
        tokens += text::estimate_tokens(text_at(first + size));
        if (size > 0 && model.tokens_per_request_max > 0 && tokens > model.tokens_per_request_max) break;
        size += 1;
    }
    return size;
}

std::size_t count_requests(const provider::ModelInfo& model, std::size_t count, std::size_t batch_max,
                           const TextAt& text_at, const std::vector<bool>& known) {
    std::size_t requests = 0;
    for (std::size_t first = 0; first < count;) {
        const std::size_t batch_end = std::min(count, (first / batch_max + 1) * batch_max);
        const std::size_t end = first + request_size(model, first, batch_end - first, text_at);
        bool asked = known.empty();
        for (; first < end; ++first) asked = asked || !known[first];
        requests += asked ? 1 : 0;
    }
    return requests;
}

}  // namespace millrace::handlers
