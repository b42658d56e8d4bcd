// The frame bodies of AMQP 1.0 (parts 2 and 5) and the types within them (part 3).
#pragma once

#include "amqp/codec.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace millrace::amqp {

inline constexpr std::uint64_t kCodeOpen = 0x10, kCodeBegin = 0x11, kCodeAttach = 0x12, kCodeFlow = 0x13,
                               kCodeTransfer = 0x14, kCodeDisposition = 0x15, kCodeDetach = 0x16,
                               kCodeEnd = 0x17, kCodeClose = 0x18;
inline constexpr std::uint64_t kCodeMechanisms = 0x40, kCodeInit = 0x41, kCodeChallenge = 0x42,
                               kCodeResponse = 0x43, kCodeOutcome = 0x44;

/// AMQP's own error type (part 2, 2.8.14).
struct Condition {
    std::string name;  ///< a symbol, e.g. "amqp:not-found"
    std::string description;
    Map info;
    bool operator==(const Condition&) const = default;
};

/// What became, or is to become, of a delivery (part 3, 3.4).
struct Received {
    std::uint32_t section = 0;
    std::uint64_t offset = 0;
    bool operator==(const Received&) const = default;
};
struct Accepted {
    bool operator==(const Accepted&) const = default;
};
struct Rejected {
    std::optional<Condition> error;
    bool operator==(const Rejected&) const = default;
};
struct Released {
    bool operator==(const Released&) const = default;
};
struct Modified {
    bool delivery_failed = false;
    bool undeliverable_here = false;
    Map annotations;
    bool operator==(const Modified&) const = default;
};
/// A state that this product does not act on, such as those of transactions.
struct OtherState {
    std::uint64_t code = 0;
    bool operator==(const OtherState&) const = default;
};
/// monostate: none.
using DeliveryState =
    std::variant<std::monostate, Received, Accepted, Rejected, Released, Modified, OtherState>;

enum class SettleMode : std::uint8_t { unsettled = 0, settled = 1, mixed = 2 };   ///< of a sender
enum class ConfirmMode : std::uint8_t { first = 0, second = 1 };                  ///< of a receiver

/// Where messages come from (part 3, 3.5.3).
struct Source {
    std::optional<std::string> address;
    std::uint32_t durable = 0;
    std::optional<std::string> expiry_policy;
    std::uint32_t timeout = 0;
    bool dynamic = false;
    Map filter;
    std::vector<std::string> capabilities;
    bool operator==(const Source&) const = default;
};
/// Where messages go (part 3, 3.5.4).
struct Target {
    std::optional<std::string> address;
    std::uint32_t durable = 0;
    std::optional<std::string> expiry_policy;
    std::uint32_t timeout = 0;
    bool dynamic = false;
    bool coordinator = false;  ///< of transactions (part 4, 4.5.1): nothing else counts
    std::vector<std::string> capabilities;
    bool operator==(const Target&) const = default;
};

struct Open {
    std::string container_id;
    std::string hostname;
    std::uint32_t max_frame_size = UINT32_MAX;
    std::uint16_t channel_max = UINT16_MAX;
    std::optional<std::uint32_t> idle_timeout_ms;
    Map properties;
    bool operator==(const Open&) const = default;
};
struct Begin {
    std::optional<std::uint16_t> remote_channel;
    std::uint32_t next_outgoing_id = 0;
    std::uint32_t incoming_window = 0;
    std::uint32_t outgoing_window = 0;
    std::uint32_t handle_max = UINT32_MAX;
    Map properties;
    bool operator==(const Begin&) const = default;
};
struct Attach {
    std::string name;
    std::uint32_t handle = 0;
    bool receiver = false;  ///< role of who writes this
    SettleMode settle_mode = SettleMode::mixed;
    ConfirmMode confirm_mode = ConfirmMode::first;
    std::optional<Source> source;
    std::optional<Target> target;
    std::optional<std::uint32_t> initial_delivery_count;
    std::uint64_t max_message_size = 0;  ///< bytes; 0: no limit
    Map properties;
    bool operator==(const Attach&) const = default;
};
struct Flow {
    std::optional<std::uint32_t> next_incoming_id;
    std::uint32_t incoming_window = 0;
    std::uint32_t next_outgoing_id = 0;
    std::uint32_t outgoing_window = 0;
    std::optional<std::uint32_t> handle;
    std::optional<std::uint32_t> delivery_count;
    std::optional<std::uint32_t> link_credit;
    std::optional<std::uint32_t> available;
    bool drain = false;
    bool echo = false;
    bool operator==(const Flow&) const = default;
};
struct Transfer {
    std::uint32_t handle = 0;
    std::optional<std::uint32_t> delivery_id;
    std::optional<std::string> delivery_tag;
    std::optional<std::uint32_t> message_format;
    std::optional<bool> settled;
    bool more = false;
    DeliveryState state;
    bool aborted = false;
    bool operator==(const Transfer&) const = default;
};
struct Disposition {
    bool receiver = false;
    std::uint32_t first = 0;
    std::uint32_t last = 0;
    bool settled = false;
    DeliveryState state;
    bool operator==(const Disposition&) const = default;
};
struct Detach {
    std::uint32_t handle = 0;
    bool closed = false;
    std::optional<Condition> error;
    bool operator==(const Detach&) const = default;
};
struct End {
    std::optional<Condition> error;
    bool operator==(const End&) const = default;
};
struct Close {
    std::optional<Condition> error;
    bool operator==(const Close&) const = default;
};
struct SaslMechanisms {
    std::vector<std::string> names;
    bool operator==(const SaslMechanisms&) const = default;
};
struct SaslInit {
    std::string mechanism;
    std::string response;
    std::string hostname;
    bool operator==(const SaslInit&) const = default;
};
struct SaslChallenge {
    std::string bytes;
    bool operator==(const SaslChallenge&) const = default;
};
struct SaslResponse {
    std::string bytes;
    bool operator==(const SaslResponse&) const = default;
};
struct SaslOutcome {
    std::uint8_t code = 0;  ///< 0: let in
    bool operator==(const SaslOutcome&) const = default;
};

using Performative = std::variant<Open, Begin, Attach, Flow, Transfer, Disposition, Detach, End, Close,
                                  SaslMechanisms, SaslInit, SaslChallenge, SaslResponse, SaslOutcome>;

/// Appends `performative` with its full list of fields, trailing nulls included: pyamqp up to 7.14 reads
/// fields by index and dies where a list is shorter.
void append(std::string& out, const Performative& performative);
void append(std::string& out, const Flow& flow);
void append(std::string& out, const Disposition& disposition);
/// Answers where in `out` the boolean `more` stands; see `set_more`.
std::size_t append(std::string& out, const Transfer& transfer);
inline void set_more(std::string& out, std::size_t where) { out[where] = 0x41; }

/// The performative at the front of a frame's body; `reader` then stands at the payload. Unknown states and
/// fields beyond the standard's are passed over. The reader fails for anything else.
Performative read_performative(Reader& reader);

void append_state(Writer& writer, const DeliveryState& state);
DeliveryState read_state(Reader& reader);

}  // namespace millrace::amqp
