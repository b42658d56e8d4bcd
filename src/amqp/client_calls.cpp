#include "amqp/client_calls.hpp"

#include "amqp/conditions.hpp"

#include <boost/asio/experimental/awaitable_operators.hpp>

namespace millrace::amqp {

namespace {

constexpr int kSendAttempts = 3;

Result<void> judge_sent(const DeliveryState& state) {
    if (std::holds_alternative<Accepted>(state)) return {};
    if (const auto* rejected = std::get_if<Rejected>(&state)) {
        if (rejected->error) return error_for(*rejected->error);
        return Error{Errc::invalid_input, "the queue rejected the message"};
    }
    return Error{Errc::unavailable, "the queue gave the message back"};
}

}  // namespace

bool may_pass(const Error& error) { return error.code == Errc::unavailable; }

asio::awaitable<Result<void>> send_delivery(std::shared_ptr<ClientConnection> connection, std::string address,
                                            std::string payload, std::uint32_t format) {
    Error failure{Errc::unavailable, "the queue takes no messages at the moment"};
    for (int attempt = 0; attempt < kSendAttempts; ++attempt) {
        auto opening = connection->sender(address);
        auto link = co_await std::move(opening);
        if (!link) co_return link.error();
        bool sent = false;
        auto sending = (*link)->send(payload, format, connection->options().operation_time, sent);
        const auto answer = co_await std::move(sending);
        if (answer) {
            const auto* rejected = std::get_if<Rejected>(&*answer);
            if (rejected != nullptr && rejected->error) (*link)->wire()->note(*rejected->error);
            co_return judge_sent(*answer);
        }
        failure = answer.error();
        if (sent && may_pass(failure)) {
            failure.detail += "; whether the message was stored is not known: send it again with the same id";
        }
        if (sent || !may_pass(failure)) break;
    }
    co_return failure;
}

asio::awaitable<std::vector<Held>> receive_on(std::shared_ptr<ClientConnection> connection, Clock& clock,
                                              std::shared_ptr<ReceiverLink> link,
                                              broker::ReceiveOptions options, TimePoint deadline) {
    using namespace asio::experimental::awaitable_operators;
    ReceiverLink::Call call(link, options);
    if (!call.is_done() && options.wait > Duration::zero()) {
        auto done = call.until_done();
        auto late = clock.sleep_until(deadline);
        auto first = std::move(done) || std::move(late);
        co_await std::move(first);
        if (!call.is_done()) call.finish();
    }
    if (!call.is_done()) {
        auto done = call.until_done();
        const bool answered = co_await with_deadline(std::move(done), connection->options().operation_time);
        // It does not say what it has sent; the next receive takes another link.
        if (!answered) link->drop(Error{Errc::unavailable, "the queue does not answer"});
    }
    co_return call.take();
}

Result<void> judge(const DeliveryState& told, const DeliveryState& answer) {
    const auto* rejected = std::get_if<Rejected>(&answer);
    if (rejected == nullptr || !rejected->error) {
        const auto gives_back = [](const DeliveryState& state) {
            return std::holds_alternative<Released>(state) || std::holds_alternative<Modified>(state);
        };
        // Success is the outcome that was asked for; with any other one nobody knows what became of the
        // message.
        if (answer.index() == told.index() || (gives_back(told) && gives_back(answer))) return {};
        return Error{Errc::unavailable, "the queue confirms another outcome than was asked for"};
    }
    const bool buried = std::holds_alternative<Rejected>(told);
    if (buried && rejected->error->name == condition::kDeadLetter) return {};
    return error_for(*rejected->error);
}

}  // namespace millrace::amqp
