#include "http/rejection.hpp"

#include <stdexcept>

namespace millrace::http {

void throw_exception_from_error(const Rejection& rejection, const boost::source_location&) {
    throw std::logic_error("unchecked rejection: " + rejection.detail);
}

Response problem(const Error& error) {
    Response response = problem(status_for(error.code), error.detail);
    if (response.status == 429 || response.status == 503) response.headers.emplace_back("Retry-After", "2");
    return response;
}

}  // namespace millrace::http
