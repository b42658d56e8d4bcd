// multipart/form-data whose body is in a file: the parts, without reading what they hold.
#pragma once

#include "http/body_file.hpp"
#include "http/multipart.hpp"

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::http {

/// One part: a field with its text, or a file with its place in the body.
struct UploadedPart {
    std::string name;
    std::string file_name;  ///< last component of the sender's path
    bool is_file = false;
    std::string text;  ///< of a field
    std::uint64_t offset = 0;
    std::uint64_t size = 0;
};

/// The parts of `body`, in order. Reads it once, a piece at a time. Blocks on the disk: call it on the CPU
/// pool. 400 as parse_multipart; 413: more than `parts_max`, or a field that is longer than 64 KiB.
Checked<std::vector<UploadedPart>> read_parts(const BodyFile& body, std::string_view content_type,
                                              std::size_t parts_max);

}  // namespace millrace::http
