// Messages of the queues as AMQP message sections (part 3, 3.2), and back.
#pragma once

#include "amqp/performatives.hpp"
#include "broker/message.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::amqp {

/// message-format of an ordinary message, and of a batch whose data sections are messages.
inline constexpr std::uint32_t kPlainFormat = 0;
inline constexpr std::uint32_t kBatchFormat = 0x80013700;

/// The message that `sections` hold, with what the queue engine has written into it (number, times, lock
/// token, count) as far as it is there. What `Message` has no field for stays in its body, byte for byte.
/// corrupt: not a message; the detail is one line.
Result<broker::Delivery> read_message(std::string_view sections);

/// The messages of one transfer: one, or those of a batch. Takes the bytes of a large body out of `payload`
/// where it can; after an error that is as it was.
Result<std::vector<broker::Message>> read_transfer(std::string&& payload, std::uint32_t format);

/// `delivery` as a receiver gets it: with the annotations of Service Bus. `omit_body`: an empty data section
/// in place of the body.
std::string write_delivery(const broker::Delivery& delivery, bool omit_body = false);

/// `message` as a sender writes it. `neutral`: without annotations that only Service Bus knows.
std::string write_message(const broker::Message& message, bool neutral = false);

/// `messages` as the payload of a batch (kBatchFormat).
std::string write_batch(const std::vector<broker::Message>& messages);

broker::Value to_broker(const Value& value);
Value from_broker(const broker::Value& value);
/// Entries with text keys; others are passed over.
broker::Properties to_properties(const Map& map);
Map from_properties(const broker::Properties& properties);

}  // namespace millrace::amqp
