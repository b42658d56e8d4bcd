#include "work/estimate.hpp"

namespace millrace::work {

void Estimate::add(const Estimate& more) {
    if (!more.model.empty()) model = more.model;
    calls += more.calls;
    prompt_tokens += more.prompt_tokens;
    output_tokens_max += more.output_tokens_max;
    micros += more.micros;
    for (const auto& [deployment, load] : more.loads) {
        loads[deployment].calls += load.calls;
        loads[deployment].tokens += load.tokens;
    }
}

}  // namespace millrace::work
