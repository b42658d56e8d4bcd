// Errors: what depends on input or on another system is a `Result`; a broken machine is an exception.
#pragma once

#include <boost/system/result.hpp>

#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace millrace {

/// One value per reaction of the caller, not per cause; the cause goes into `Error::detail`.
enum class Errc {
    invalid_input = 1,  ///< can never succeed as written: reject, HTTP 400
    not_found,          ///< HTTP 404
    conflict,           ///< the stored state moved on, e.g. a lock was lost: drop the result, HTTP 409
    over_limit,         ///< a quota or a queue is full: retry later, HTTP 429
    unavailable,        ///< the other side is down or too slow: retry later, HTTP 503
    corrupt,            ///< bytes break their own format: dead-letter
};

/// The name of the enumerator, e.g. "not_found".
std::string_view to_string(Errc code) noexcept;

/// A failure and its story. `detail` is one line of UTF-8 for a log or a dead letter; it holds no secrets.
struct [[nodiscard]] Error {
    Errc code;
    std::string detail;
};

/// A value, or why there is none.
template <class T>
using Result = boost::system::result<T, Error>;

/// What `Result::value()` throws when it holds an error: only for callers that have checked.
[[noreturn]] void throw_exception_from_error(const Error& error, const boost::source_location& where);

/// True for the `errno` values that mean that no more can be stored: the disk (ENOSPC), the user's share of
/// it (EDQUOT) or the size allowed for a file (EFBIG) is used up.
bool is_disk_full(int error_number) noexcept;

/// This machine is broken (disk full, database damaged, out of memory). Thrown, never returned: the session
/// loop answers 500 (507 when `disk_full`) and logs.
class MachineError : public std::runtime_error {
  public:
    explicit MachineError(const std::string& what, bool disk_full = false)
        : std::runtime_error(what), disk_full_(disk_full) {}
    bool disk_full() const noexcept { return disk_full_; }

  private:
    bool disk_full_;
};

/// Something that this machine needs and that is elsewhere, e.g. the shared database, is out of reach for
/// now. The session loop answers 503.
class Unreachable : public MachineError {
  public:
    using MachineError::MachineError;
};

}  // namespace millrace
