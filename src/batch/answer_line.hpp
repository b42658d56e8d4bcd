// One line of a batch's results or errors, written and read back.
#pragma once

#include "base/error.hpp"
#include "provider/provider.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace millrace::batch {

/// Tells the lines of one run from those of any other: letters and digits, at most 32.
using RunId = std::string;

/// Where a result belongs.
struct LineRef {
    RunId run;
    std::int64_t number = 0;  ///< of the line of the input
    std::string custom_id;
};

/// `{"id", "custom_id", "response": {"status_code", "request_id", "body"}, "error": null}` with the body as
/// it was answered, on one line without its end. Linear in the body.
std::string answer_line(const LineRef& line, const provider::RawAnswer& answer);

/// The line for a call that failed. With a status: a response with an error body; else `response` is null and
/// `error` says why.
std::string failure_line(const LineRef& line, const provider::Failure& failure);

/// The line for a request that was not made, e.g. "batch_expired".
std::string unmade_line(const LineRef& line, std::string_view code, std::string_view message);

/// What a line of results tells when it is read back.
struct StoredAnswer {
    std::int64_t number = 0;
    bool made = false;  ///< false: an `unmade_line`
    provider::Usage usage;
};
/// Reads a line that this run wrote. corrupt: it is another's, or broken.
Result<StoredAnswer> read_answer_line(std::string_view line, const RunId& run);

}  // namespace millrace::batch
