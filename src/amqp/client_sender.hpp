// A link that sends the messages of many calls to one entity.
#pragma once

#include "amqp/client_link.hpp"

namespace millrace::amqp {

class SenderLink final : public ClientLink {
  public:
    SenderLink(asio::any_io_executor io, std::string address)
        : ClientLink(io), address_(std::move(address)), credit_(io) {}

    /// Sends one delivery and answers what the peer made of it. invalid_input: larger than the peer takes,
    /// nothing was sent. unavailable: the link has ended or `time_max` has passed; then `sent` tells whether
    /// the peer may have it.
    asio::awaitable<Result<DeliveryState>> send(std::string payload, std::uint32_t format, Duration time_max,
                                                bool& sent);

    void on_state(LinkId link, event::StateChanged& changed) override;
    void on_credit(LinkId) override { credit_.notify(); }

  private:
    using Outcome = Promised<Result<DeliveryState>>;
    std::size_t attach_links(SessionId channel) override;
    void on_link(LinkId, const Attach& answer) override { bytes_max_ = answer.max_message_size; }
    void on_end() override;
    asio::awaitable<void> until_credit();

    std::string address_;
    LinkId link_ = 0;
    std::uint64_t bytes_max_ = 0;  ///< 0: no limit
    std::uint64_t next_tag_ = 0;
    Signal credit_;
    std::unordered_map<std::uint32_t, std::shared_ptr<Outcome>> pending_;
};

}  // namespace millrace::amqp
