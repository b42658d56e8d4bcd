// What the readers of OpenAI's answers share.
#pragma once

#include "provider/provider.hpp"

#include <boost/json/object.hpp>

#include <string>
#include <string_view>

namespace millrace::provider {

/// The failure for a 200 answer that breaks its own form: the next may be whole.
Failure garbage(std::string why);

/// `usage` of an answer in whichever words: prompt_tokens or input_tokens, completion_tokens or
/// output_tokens, cached tokens in their details. Zero for what is missing or no sensible number.
Usage read_usage(const boost::json::object& root);

/// The text of member `name`, or a whole number as text; "" for anything else.
std::string text_of(const boost::json::object& object, std::string_view name);

/// The member `name` if it is an object, else null.
const boost::json::object* object_of(const boost::json::object& object, std::string_view name) noexcept;

/// One printable line of at most 400 bytes, cut at a character's border.
std::string one_line(std::string_view text);

}  // namespace millrace::provider
