// What work would take before any of it is done.
#pragma once

#include <cstdint>
#include <map>
#include <string>

namespace millrace::work {

/// What some work takes of the quota of one deployment.
struct Load {
    std::int64_t calls = 0;   ///< at most: calls that wait at one moment may share a request
    std::int64_t tokens = 0;  ///< of prompts and of answers at their longest
};

/// By the name of the deployment.
using Loads = std::map<std::string, Load>;

/// What waits before the quota sees it, by deployment.
struct Backlog {
    Loads passages = {};                           ///< of documents, without a vector
    std::map<std::string, std::int64_t> tasks = {};  ///< in their queue; nobody has counted their tokens yet
};

/// What work will take if nothing is asked for twice.
struct Estimate {
    std::string model;  ///< who is asked last; "" where nobody is
    std::int64_t calls = 0;
    std::int64_t prompt_tokens = 0;
    std::int64_t output_tokens_max = 0;
    std::int64_t micros = 0;  ///< cost, at most
    Loads loads = {};

    void add(const Estimate& more);
};

struct TaskEstimate : Estimate {
    std::string type;
};

/// A document: no answer, so its cost is what will be billed.
struct DocumentEstimate : Estimate {
    std::int64_t chunks = 0;
    std::int64_t cached_chunks = 0;  ///< of them, those that have a vector already
    std::string error;  ///< "Reason: description" of the dead letter that it would become; else ""
};

/// A dead letter that goes back to work.
struct LetterEstimate : Estimate {
    /// Why it would become one again, as far as that can be told. "" also where it would have to wait for
    /// what is not ready or out of reach: what it takes then cannot be told, and nothing is.
    std::string error;
};

}  // namespace millrace::work
