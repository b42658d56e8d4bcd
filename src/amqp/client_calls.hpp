// Calls that both kinds of remote queue make alike.
#pragma once

#include "amqp/client_connection.hpp"

namespace millrace::amqp {

/// Sends one delivery to `address` and waits until the queue has it; makes a new link as often as one goes
/// before it was sent. unavailable: also when it is not known whether the queue has it.
asio::awaitable<Result<void>> send_delivery(std::shared_ptr<ClientConnection> connection, std::string address,
                                            std::string payload, std::uint32_t format);

/// Messages of one receive on `link`, waiting until `deadline` for the first.
asio::awaitable<std::vector<Held>> receive_on(std::shared_ptr<ClientConnection> connection, Clock& clock,
                                              std::shared_ptr<ReceiverLink> link,
                                              broker::ReceiveOptions options, TimePoint deadline);

/// What the peer's answer to a settlement as `told` means.
Result<void> judge(const DeliveryState& told, const DeliveryState& answer);

/// What kind of broken link is worth another try.
bool may_pass(const Error& error);

}  // namespace millrace::amqp
