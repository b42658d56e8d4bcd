// Names shared by the reader and the writer of message sections.
#pragma once

#include <cstdint>

namespace millrace::amqp {

inline constexpr std::uint64_t kHeader = 0x70, kDeliveryAnnotations = 0x71, kMessageAnnotations = 0x72,
                               kProperties = 0x73, kApplicationProperties = 0x74, kData = 0x75,
                               kSequence = 0x76, kAmqpValue = 0x77, kFooter = 0x78;

namespace annotation {
inline constexpr char kSequenceNumber[] = "x-opt-sequence-number";
inline constexpr char kEnqueuedSequence[] = "x-opt-enqueue-sequence-number";
inline constexpr char kEnqueuedTime[] = "x-opt-enqueued-time";
inline constexpr char kLockedUntil[] = "x-opt-locked-until";
inline constexpr char kLockToken[] = "x-opt-lock-token";
inline constexpr char kState[] = "x-opt-message-state";
inline constexpr char kScheduledTime[] = "x-opt-scheduled-enqueue-time";
inline constexpr char kPartitionKey[] = "x-opt-partition-key";
inline constexpr char kPartitionId[] = "x-opt-partition-id";
inline constexpr char kDeadLetterSource[] = "x-opt-deadletter-source";
}  // namespace annotation

/// What a sender's message says that `broker::Message` has no field for; it goes in front of the body.
inline constexpr std::uint8_t kPriorityDefault = 4;

}  // namespace millrace::amqp
