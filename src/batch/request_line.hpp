// One line of a batch's input: what is asked, or what is wrong with it.
#pragma once

#include "batch/line_reader.hpp"

#include <boost/system/result.hpp>

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace millrace::batch {

/// What is wrong with an input, in the words of the Batch API.
struct [[nodiscard]] LineProblem {
    std::string code;     ///< "invalid_json_line", "url_mismatch", …
    std::string message;  ///< one line
    std::string param;    ///< the member meant, or ""
    std::int64_t line = 0;  ///< 0: the whole file
};

/// What `CheckedLine::value()` throws when it holds a problem: only for callers that have checked.
[[noreturn]] void throw_exception_from_error(const LineProblem& problem, const boost::source_location& where);

struct RequestLine {
    std::int64_t number = 0;
    std::string custom_id;
    std::string model;  ///< "" where it names none
    std::string body;   ///< a JSON object
};
using CheckedLine = boost::system::result<RequestLine, LineProblem>;

/// "/v1/embeddings" for "/embeddings", "/v1/embeddings" and "/openai/v1/embeddings"; "" for an endpoint that
/// no deployment has.
std::string normal_endpoint(std::string_view endpoint);

/// Reads `line`, which asks for `endpoint` (a normal one). Any thread.
CheckedLine parse_request_line(const Line& line, std::string_view endpoint);

/// As `parse_request_line` for a line that was found good before.
RequestLine read_request_line(const Line& line, std::string_view endpoint);

/// What a request needs at most.
struct TokenEstimate {
    std::int64_t prompt = 0;
    std::int64_t output = 0;  ///< the longest answer it may get
};
/// Tokens of `body`, an object that asks for `endpoint`. `count` counts those of a text; `output_default`
/// where it names no maximum.
TokenEstimate estimate(std::string_view body, std::string_view endpoint,
                       const std::function<std::size_t(std::string_view)>& count,
                       std::int64_t output_default);

}  // namespace millrace::batch
