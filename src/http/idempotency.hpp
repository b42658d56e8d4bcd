// Idempotency-Key (draft-ietf-httpapi-idempotency-key-header): same key, same answer, for 24 hours.
#pragma once

#include "http/rejection.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace millrace::http {

/// A request's key and what it stands for, hashed.
struct IdempotencyKey {
    std::string key;           ///< of caller, route and key
    std::string fingerprint;   ///< of the payload
};

/// The key of `request`, quoted (a Structured Fields string) or bare; none if it carries none. `caller` tells
/// callers apart. 400: empty or longer than 255 characters. Hashes the body: milliseconds for a large one.
/// Any thread.
Checked<std::optional<IdempotencyKey>> idempotency_key(const Request& request, std::string_view caller);

/// An answer as it is stored, and back.
std::string serialize_answer(const Response& response);
Response parse_answer(unsigned status, std::string_view stored);

}  // namespace millrace::http
