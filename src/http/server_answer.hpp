// Answers as bytes: status lines, headers, problem documents. No sockets.
#pragma once

#include "http/server.hpp"

#include <string>
#include <string_view>

namespace millrace::http {

/// The reason phrase of `status`, e.g. "Not Found"; "Unknown" for one that no standard names.
std::string_view status_title(unsigned status) noexcept;

/// What the head of an answer says beside the response's own headers.
struct HeadOptions {
    bool keep_alive = true;
    bool version_1_0 = false;    ///< the request was HTTP/1.0, which closes unless told
    std::string_view date;       ///< RFC 9110, 5.6.7
};

/// The status line and headers of `response` with the empty line after them. A control character in a header
/// value becomes a space, so that a value can't start another header.
std::string response_head(const Response& response, const HeadOptions& options);

/// Moments as HTTP dates (RFC 9110, 5.6.7); the text is made anew only when the second changes.
class HttpDate {
  public:
    std::string_view at(TimePoint now);

  private:
    std::int64_t second_ = -1;
    std::string text_;
};

}  // namespace millrace::http
