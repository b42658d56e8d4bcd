// What POST routes that accept work have in common: the 202 and its replay under an Idempotency-Key. Only for
// http/api*.cpp.
#pragma once

#include "http/api_routes.hpp"
#include "http/idempotency.hpp"
#include "work/documents.hpp"

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::http {

/// Bodies from here on are read on the CPU pool: parsing and hashing one would hold up everybody else.
inline constexpr std::size_t kPoolBytesMin = 64 * limits::kKiB;
/// `Retry-After` while work is under way.
inline constexpr char kPollSeconds[] = "1";

/// What answers of one request are made from.
struct AcceptedForm {
    bool is_list = false;  ///< answered by a list
    std::string base;  ///< "https://host"
    std::string collection;  ///< "/v1/documents/"
};

/// The Idempotency-Key of `request`; callers with different API keys have different ones.
Checked<std::optional<IdempotencyKey>> key_of_caller(const Request& request);

/// A request read and checked.
template <class Body>
struct Submission {
    Body body;
    std::optional<IdempotencyKey> key;
};

/// Reads the body of a request of one kind; the same request always gives the same.
template <class Body>
using BodyReader = Checked<Body> (*)(const Request& request);

template <class Body>
Checked<Submission<Body>> read_submission(const Request& request, BodyReader<Body> read) {
    Submission<Body> submission;
    auto key = key_of_caller(request);
    if (!key) return key.error();
    submission.key = std::move(*key);
    auto body = read(request);
    if (!body) return body.error();
    submission.body = std::move(*body);
    return submission;
}

/// As `read_submission`, on the CPU pool where the body is large.
template <class Body>
asio::awaitable<Checked<Submission<Body>>> read_where_it_fits(Context context,
                                                              std::shared_ptr<const Request> request,
                                                              BodyReader<Body> read) {
    if (request->body.size() < kPoolBytesMin) co_return read_submission(*request, read);
    // Result types of the pool are default-constructible.
    auto work = [request, read] {
        return std::optional<Checked<Submission<Body>>>(read_submission(*request, read));
    };
    auto done = co_await context->parts.pool.run(std::move(work));
    co_return std::move(*done);
}

/// 202 for what was accepted. The single form names its resources in headers, as long-running operations do.
Response accepted_answer(const std::vector<work::Accepted>& accepted, const AcceptedForm& form);

/// What was answered to `key` before: that, or 422 if it was for another request.
asio::awaitable<std::optional<Response>> replay(Context context, IdempotencyKey key);

/// What is to be stored for `key`.
std::shared_ptr<const work::Idempotency> remember(const IdempotencyKey& key, const AcceptedForm& form);

}  // namespace millrace::http
