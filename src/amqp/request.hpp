// Requests to "$cbs" and "$management", and their answers, as messages.
#pragma once

#include "amqp/value.hpp"
#include "base/error.hpp"

#include <string>
#include <string_view>

namespace millrace::amqp {

struct Request {
    Value message_id;      ///< goes back byte for byte, with its type
    std::string reply_to;  ///< "" if the request names none
    std::string to;        ///< "" and `subject` too: not written. Neither is read.
    std::string subject;
    Map properties;        ///< application properties
    Value body;            ///< of an amqp-value section; Binary for a data section
};

/// corrupt: not a message, or one without a body.
Result<Request> read_request(std::string_view sections);
/// The request as a message: for the side that asks.
std::string write_request(const Request& request);

/// An answer: `properties` are its application properties.
std::string write_answer(const Value& correlation_id, const Map& properties, const Value& body);
struct Answer {
    Value correlation_id;
    std::string subject;
    Map properties;
    Value body;
};
Result<Answer> read_answer(std::string_view sections);

}  // namespace millrace::amqp
