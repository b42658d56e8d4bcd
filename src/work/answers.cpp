#include "work/answers.hpp"

namespace millrace::work {

Result<void> insert_answer(store::Connection& connection, const Idempotency& idempotency,
                           const std::vector<Accepted>& accepted, std::int64_t now) {
    connection.prepare("DELETE FROM idempotency WHERE key=? AND stored<=?")
        .bind(idempotency.key, now - std::chrono::milliseconds(kAnswersKept).count())
        .run();
    connection
        .prepare(
            "INSERT INTO idempotency (key, fingerprint, status, answer, stored) VALUES (?, ?, ?, ?, ?) "
            "ON CONFLICT DO NOTHING")
        .bind(idempotency.key, idempotency.fingerprint, idempotency.status, idempotency.answer(accepted), now)
        .run();
    if (connection.changes() == 1) return {};
    return Error{Errc::conflict, "another request with the same Idempotency-Key is under way; ask again"};
}

}  // namespace millrace::work
