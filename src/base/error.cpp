#include "base/error.hpp"

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

void throw_exception_from_error(const Error& error, const boost::source_location&) {
    throw std::logic_error("unchecked error: " + error.detail);
}

}  // namespace millrace
