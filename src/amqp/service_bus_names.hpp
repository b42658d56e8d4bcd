// Names and numbers of Service Bus' links that both sides use.
#pragma once

#include <cstdint>

namespace millrace::amqp {

inline constexpr char kSessionFilter[] = "com.microsoft:session-filter";
inline constexpr char kTimeoutProperty[] = "com.microsoft:timeout";
inline constexpr char kSessionLockedUntil[] = "com.microsoft:locked-until-utc";

// Times of .NET.
inline constexpr std::int64_t kTicksPerMs = 10'000;
inline constexpr std::int64_t kTicksOfUnixEpoch = 621'355'968'000'000'000;

}  // namespace millrace::amqp
