// What the parts of Paced have in common.
#pragma once

#include "provider/paced.hpp"
#include "provider/shared_embeddings.hpp"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace millrace::provider {

Failure failure_for_refusal(const quota::Refusal& refusal, TimePoint now);
quota::Report report_of(const RateHeaders& headers);
quota::Urgency urgency_of(Priority priority);

template <class T>
Usage usage_of(const Outcome<T>& outcome) {
    if (outcome) return outcome->usage;
    return outcome.error().usage;
}

/// A caller's work, in the line until the gate calls it.
struct Paced::Work : quota::Applicant {
    explicit Work(const asio::any_io_executor& io) : ended(io) {}

    Signal ended;
    bool is_done = false;
    bool abandoned = false;  ///< nobody waits for it any more
    std::optional<Failure> failure;

    void done() {
        is_done = true;
        ended.notify();
    }
};

struct Paced::EmbedWork final : Work {
    using Work::Work;
    using Answer = Embeddings;
    std::vector<std::string> inputs;
    CallContext context;
    Embeddings answer;
};

/// An embeddings request as its sender wrote it.
struct Paced::RawWork final : Work {
    using Work::Work;
    using Answer = RawAnswer;
    RawRequest request;
    EmbeddingsRequest embeddings;
    CallContext context;
    RawAnswer answer;
};

/// The answer to the request of several RawWorks, and each one's part of it.
struct Paced::SharedAnswer {
    RawAnswer whole;
    Usage usage;
    std::vector<std::int64_t> prompt_tokens;
    std::optional<std::vector<std::string>> bodies;  ///< of an answer with 200 to more than one
};

/// How a call ended, for the ledger.
struct Paced::Called {
    std::optional<Failure> failure;
    Usage usage;
    quota::Report report;
    std::optional<TimePoint> sent_at{};
    bool told = false;
    bool abandoned = false;  ///< nobody has waited for how it ended
};

/// What is heard of a call while it is made.
struct Paced::Heard {
    RateHeaders rate;
    std::optional<TimePoint> sent_at;
    bool told = false;  ///< to the ledger
};

}  // namespace millrace::provider
