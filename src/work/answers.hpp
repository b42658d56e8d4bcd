// Answers that are replayed under an Idempotency-Key, stored with what they tell of.
#pragma once

#include "base/error.hpp"
#include "store/connection.hpp"
#include "work/documents.hpp"

#include <chrono>
#include <vector>

namespace millrace::work {

/// How long an answer is replayed.
inline constexpr std::chrono::hours kAnswersKept{24};

/// Stores the answer to what was `accepted`, in the transaction that accepts it; `now` in ms since 1970.
/// conflict: another request with the same key is under way.
Result<void> insert_answer(store::Connection& connection, const Idempotency& idempotency,
                           const std::vector<Accepted>& accepted, std::int64_t now);

}  // namespace millrace::work
