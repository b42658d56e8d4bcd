#include "provider/http_client_connection.hpp"

#include "provider/http_client_answer.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/connect.hpp>
#include <boost/asio/ssl/error.hpp>
#include <boost/asio/ssl/host_name_verification.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include <sys/socket.h>

#include <array>

namespace millrace::provider {

using asio::ip::tcp;

namespace {

constexpr auto kToken = asio::as_tuple(asio::use_awaitable);
constexpr std::size_t kReadBytes = 64 * limits::kKiB;
constexpr std::size_t kKeptBytesMax = 64 * limits::kKiB;
constexpr int kInterimAnswersMax = 10;

}  // namespace

asio::awaitable<Result<void>> ClientConnection::connect(const HttpUrl& url, asio::ssl::context& tls,
                                                        Instant deadline) {
    expire_at(deadline);
    Error_code error = co_await connect_socket(url);
    if (!error && url.tls) error = co_await shake_hands(url, tls);
    if (error || timed_out_) co_return lost(error);
    co_return Result<void>();
}

asio::awaitable<ClientConnection::Error_code> ClientConnection::connect_socket(const HttpUrl& url) {
    Error_code error;
    const auto address = asio::ip::make_address(url.host, error);
    if (!error) {
        const tcp::endpoint endpoint(address, url.port);
        auto [failed] = co_await socket_.async_connect(endpoint, kToken);
        error = failed;
    } else if (url.host == "localhost") {
        // RFC 6761, section 6.3: always this machine, whether a name service knows it or not.
        const std::array<tcp::endpoint, 2> loopback{
            tcp::endpoint(asio::ip::address_v4::loopback(), url.port),
            tcp::endpoint(asio::ip::address_v6::loopback(), url.port)};
        auto [failed, endpoint] = co_await asio::async_connect(socket_, loopback, kToken);
        (void)endpoint;
        error = failed;
    } else {
        const std::string service = std::to_string(url.port);
        auto [unknown, found] = co_await resolver_.async_resolve(url.host, service, kToken);
        if (unknown) co_return unknown;
        if (closed_) co_return Error_code(asio::error::operation_aborted);
        auto [failed, endpoint] = co_await asio::async_connect(socket_, found, kToken);
        (void)endpoint;
        error = failed;
    }
    Error_code ignored;
    if (!error) socket_.set_option(tcp::no_delay(true), ignored);
    co_return error;
}

asio::awaitable<ClientConnection::Error_code> ClientConnection::shake_hands(const HttpUrl& url,
                                                                            asio::ssl::context& tls) {
    tls_ = std::make_unique<asio::ssl::stream<tcp::socket&>>(socket_, tls);
    Error_code error;
    asio::ip::make_address(url.host, error);
    // RFC 6066, section 3: a server name is never an address.
    if (error) SSL_set_tlsext_host_name(tls_->native_handle(), url.host.c_str());
    tls_->set_verify_callback(asio::ssl::host_name_verification(url.host), error);
    auto [failed] = co_await tls_->async_handshake(asio::ssl::stream_base::client, kToken);
    co_return failed;
}

asio::awaitable<Exchange> ClientConnection::exchange(const std::string& head, const std::string& body,
                                                     Instant deadline, std::size_t answer_bytes_max,
                                                     const std::function<void()>& on_sent) {
    expire_at(deadline);
    heard_ = false;
    keep_alive_ = false;
    const Error_code unsent = co_await write(head, body);
    if (!unsent && on_sent) on_sent();
    // A server may refuse a large body before it has read it all: its answer counts more than the failed
    // write.
    auto answer = co_await read_answer(answer_bytes_max);
    timer_.cancel();
    deadline_ = Instant::max();
    if (unsent || timed_out_) keep_alive_ = false;
    const bool silent = !answer && !heard_ && !timed_out_;
    if (!answer && !heard_ && unsent) answer = lost(unsent);
    Exchange exchange{std::move(answer), silent};
    co_return exchange;
}

asio::awaitable<ClientConnection::Error_code> ClientConnection::write(const std::string& head,
                                                                      const std::string& body) {
    const std::array<asio::const_buffer, 2> buffers = {asio::buffer(head), asio::buffer(body)};
    if (tls_) {
        auto [error, size] = co_await asio::async_write(*tls_, buffers, kToken);
        (void)size;
        co_return error;
    }
    auto [error, size] = co_await asio::async_write(socket_, buffers, kToken);
    (void)size;
    co_return error;
}

asio::awaitable<ClientConnection::Progress> ClientConnection::read_some() {
    const auto room = buffer_.prepare(kReadBytes);
    Progress progress;
    if (tls_) {
        auto [error, size] = co_await tls_->async_read_some(room, kToken);
        progress.error = error;
        progress.bytes = size;
    } else {
        auto [error, size] = co_await socket_.async_read_some(room, kToken);
        progress.error = error;
        progress.bytes = size;
    }
    buffer_.commit(progress.bytes);
    co_return progress;
}

asio::awaitable<Result<HttpAnswer>> ClientConnection::read_answer(std::size_t answer_bytes_max) {
    int interim = 0;
    auto reader = std::make_unique<AnswerReader>(limits::http_header_bytes_max, answer_bytes_max);
    for (;;) {
        while (buffer_.size() > 0 && !reader->is_done()) {
            const std::string_view bytes(static_cast<const char*>(buffer_.data().data()), buffer_.size());
            const auto used = reader->feed(bytes);
            if (!used) co_return used.error();
            buffer_.consume(*used);
            if (*used == 0) break;
        }
        if (reader->is_done() && reader->is_interim() && ++interim <= kInterimAnswersMax) {
            reader = std::make_unique<AnswerReader>(limits::http_header_bytes_max, answer_bytes_max);
            if (buffer_.size() > 0) continue;
        }
        if (reader->is_done()) break;
        if (buffer_.size() > limits::http_header_bytes_max) {
            co_return Error{Errc::corrupt, "an element of the answer is too large"};
        }
        const Progress progress = co_await read_some();
        heard_ = heard_ || progress.bytes > 0;
        if (progress.bytes > 0) continue;
        const bool closed = progress.error == asio::error::eof && !timed_out_;
        const auto ended = closed ? reader->end() : Result<void>(lost(progress.error));
        if (!ended) co_return ended.error();
    }
    keep_alive_ = reader->keep_alive() && buffer_.size() == 0;
    if (buffer_.capacity() > kKeptBytesMax) buffer_ = {};
    co_return reader->take();
}

bool ClientConnection::is_usable() {
    if (!socket_.is_open()) return false;
    char byte;
    const auto size = ::recv(socket_.native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    if (size < 0) return errno == EAGAIN || errno == EWOULDBLOCK;
    // A TLS 1.3 server may send session tickets at any time; over plain TCP nothing is expected here.
    return size > 0 && tls_ != nullptr;
}

void ClientConnection::close() {
    closed_ = true;
    Error_code ignored;
    resolver_.cancel();
    socket_.close(ignored);
    timer_.cancel();
}

void ClientConnection::expire_at(Instant deadline) {
    deadline_ = deadline;
    timer_.expires_at(deadline);
    timer_.async_wait([weak = weak_from_this()](Error_code error) {
        const auto self = weak.lock();
        if (error || !self || std::chrono::steady_clock::now() < self->deadline_) return;
        self->timed_out_ = true;
        self->close();
    });
}

Error ClientConnection::lost(const Error_code& error) const {
    if (timed_out_) return {Errc::unavailable, "no answer in time"};
    return {Errc::unavailable, error.message()};
}

}  // namespace millrace::provider
