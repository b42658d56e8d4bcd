// A request that is refused: its status and the one line that says why. Checking functions answer a value or
// this.
#pragma once

#include "http/server.hpp"

#include <boost/system/result.hpp>

#include <string>

namespace millrace::http {

struct [[nodiscard]] Rejection {
    // Not an aggregate: a number must not count as a Rejection where a Checked<number> is made.
    Rejection() = default;
    Rejection(unsigned status_code, std::string why) : status(status_code), detail(std::move(why)) {}
    unsigned status = 500;
    std::string detail;
};

/// What `Checked::value()` throws when it holds a rejection: only for callers that have checked.
[[noreturn]] void throw_exception_from_error(const Rejection& rejection, const boost::source_location& where);

template <class T>
using Checked = boost::system::result<T, Rejection>;

inline Response problem(const Rejection& rejection) { return problem(rejection.status, rejection.detail); }

/// The answer for a failed call of another part; 429 and 503 carry Retry-After.
Response problem(const Error& error);

}  // namespace millrace::http
