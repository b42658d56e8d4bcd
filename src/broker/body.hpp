// What a message says, whatever its sender wrapped it into.
#pragma once

#include "base/error.hpp"
#include "broker/message.hpp"

#include <string>
#include <string_view>

namespace millrace::broker {

/// The content of `message`: its body as it is, or of encoded AMQP sections (AMQP 1.0, part 3, 3.2) the data
/// sections joined, or the text or bytes of an amqp-value; empty where there is no body or it is null.
/// invalid_input: a body that is not bytes or text, such as a number, a map or a sequence, or broken
/// sections.
Result<std::string> plain_body(const Message& message);

/// The sections of a body of kAmqpSections that are in front of what was sent: parts of header, annotations
/// and properties. Of broken ones those that are whole.
std::string_view sections_before_body(std::string_view sections);

}  // namespace millrace::broker
