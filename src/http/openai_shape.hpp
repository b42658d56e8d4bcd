// What OpenAI's clients expect of every answer: their envelope of errors, their lists.
#pragma once

#include "base/error.hpp"
#include "http/server.hpp"

#include <boost/json/array.hpp>
#include <boost/json/value.hpp>

#include <string_view>

namespace millrace::http {

/// An error in OpenAI's envelope; `param` and `code` may be empty for null.
Response openai_problem(unsigned status, std::string_view message, std::string_view param = {},
                        std::string_view code = {});
/// Likewise for the error of another part. `param`: the member that it is about.
Response openai_problem(const Error& error, std::string_view param = {});

/// `answer` as OpenAI's clients read it: problem documents become OpenAI's envelope, and it gets an
/// x-request-id.
Response openai_answer(Response answer);

/// {"object": "list", "data", "has_more", "first_id", "last_id"} of objects with an "id".
Response openai_list(boost::json::array data, bool has_more);

/// Seconds since 1970, or null for the epoch.
boost::json::value seconds_or_null(TimePoint when);

/// True for the routes that OpenAI's clients call.
bool is_openai(const Request& request) noexcept;

/// Azure's forms of these routes become OpenAI's: /openai/v1/files, /openai/files and
/// /openai/deployments/NAME/batches, whose deployment becomes the parameter "deployment". `api-version` is
/// accepted and has no meaning. Other requests are left alone.
void to_openai_form(Request& request);

}  // namespace millrace::http
