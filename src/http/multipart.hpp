// multipart/form-data (RFC 7578): a body taken apart, without copying what it holds.
#pragma once

#include "http/rejection.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace millrace::http {

/// One part. `content` points into the body.
struct Part {
    std::string name;
    std::string file_name;      ///< last component of the sender's path; empty for a plain field
    std::string content_type;   ///< empty if none was given
    bool is_file = false;
    std::string_view content;
};

/// The parameter `name` of a header such as `form-data; name="a b"; filename=x`, unquoted; "" if absent.
std::string header_parameter(std::string_view header, std::string_view name);

/// The boundary that `content_type` names; 400: none, or one of more than 70 characters.
Checked<std::string> multipart_boundary(std::string_view content_type);

/// One part from the lines of its head; `number` is for messages. 400: no Content-Disposition with a name.
Checked<Part> parse_part(std::string_view headers, std::string_view content, std::size_t number);

/// The parts of `body`, in order, at most `parts_max`. 400: no boundary, a part without name, or no closing
/// delimiter; 413: more parts.
Checked<std::vector<Part>> parse_multipart(std::string_view content_type, std::string_view body,
                                           std::size_t parts_max);

}  // namespace millrace::http
