#include "base/error.hpp"

#include <cerrno>

namespace millrace {

std::string_view to_string(Errc code) noexcept {
    switch (code) {
        case Errc::invalid_input: return "invalid_input";
        case Errc::not_found: return "not_found";
        case Errc::conflict: return "conflict";
        case Errc::over_limit: return "over_limit";
        case Errc::unavailable: return "unavailable";
        case Errc::corrupt: return "corrupt";
    }
    return "unknown";
}

bool is_disk_full(int error_number) noexcept {
    return error_number == ENOSPC || error_number == EDQUOT || error_number == EFBIG;
}

void throw_exception_from_error(const Error& error, const boost::source_location&) {
    throw std::logic_error("unchecked error: " + error.detail);
}

}  // namespace millrace
