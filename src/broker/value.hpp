// Values of application properties: those of AMQP types that have no native form here.
#pragma once

#include "broker/message.hpp"

namespace millrace::broker {

/// `value` itself, or an encoded AMQP 1.0 ubyte, ushort, uint, byte, short, int, float, char or symbol as the
/// number or text that it stands for; any other encoded value stays as it is.
Value numeric(const Value& value);

/// The text of the application property `name` of `message`, also where it is an AMQP symbol; "" if there is
/// none.
std::string text_property(const Message& message, const std::string& name);

/// True if both say the same: numbers of any width by their exact value, everything else by type and value.
bool equal_values(const Value& a, const Value& b);

/// How two numbers, or two values of the same ordered type, compare; unordered: they cannot be compared.
std::partial_ordering compare_values(const Value& a, const Value& b);

}  // namespace millrace::broker
