// JSON as people and programs like to read it.
#pragma once

#include <boost/json/value.hpp>

#include <string>

namespace millrace::http {

/// `value` as JSON without spaces; numbers as short as they can be read back: 20.81, where Boost.JSON
/// writes 2.081E1.
std::string json_text(const boost::json::value& value);

}  // namespace millrace::http
