#include "provider/provider.hpp"

namespace millrace::provider {

void throw_exception_from_error(const Failure& failure, const boost::source_location&) {
    throw std::logic_error("unchecked provider failure: " + failure.detail);
}

}  // namespace millrace::provider
