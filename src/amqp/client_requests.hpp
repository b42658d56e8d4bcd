// Requests to a node such as "$cbs" or "<entity>/$management", and their answers.
#pragma once

#include "amqp/client_link.hpp"
#include "amqp/request.hpp"

namespace millrace::amqp {

/// How a node knows which link its answers go over.
enum class Pairing {
    by_address,  ///< the one that its requests ask to be answered to: Service Bus
    by_name,     ///< the one with the name of the link the request came over: "management" of RabbitMQ 4
};

class RequestLinks final : public ClientLink {
  public:
    RequestLinks(asio::any_io_executor io, std::string node, Pairing pairing)
        : ClientLink(io), node_(std::move(node)), pairing_(pairing), credit_(io) {}

    /// Sends `request`, whose id and reply-to are filled in, and waits for its answer. invalid_input: it is
    /// larger than the peer takes. unavailable: no answer came within `time_max`, or the links have ended:
    /// whether it was done is not known.
    asio::awaitable<Result<Answer>> ask(Request request, Duration time_max);

    void on_arrived(LinkId link, Incoming delivery) override;
    void on_state(LinkId link, event::StateChanged& changed) override;
    void on_credit(LinkId) override { credit_.notify(); }

  private:
    using Reply = Promised<Result<Answer>>;
    std::size_t attach_links(SessionId channel) override;
    void on_link(LinkId link, const Attach& answer) override;
    void on_open() override;
    void on_end() override;
    asio::awaitable<void> until_credit();

    std::string node_;
    Pairing pairing_;
    std::string reply_to_;
    LinkId sender_ = 0;
    LinkId receiver_ = 0;
    std::uint64_t next_id_ = 1;
    std::uint32_t granted_ = 0;
    std::uint64_t bytes_max_ = 0;  ///< 0: no limit
    Signal credit_;
    std::unordered_map<std::string, std::shared_ptr<Reply>> pending_;  ///< by message id
};

}  // namespace millrace::amqp
