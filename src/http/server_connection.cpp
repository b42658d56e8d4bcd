#include "http/server_connection.hpp"

#include "base/async.hpp"
#include "http/body_file.hpp"
#include "telemetry/log.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/ssl/error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include <openssl/err.h>
#include <openssl/sslerr.h>

#include <array>

namespace millrace::http {

namespace {

constexpr auto kToken = asio::as_tuple(asio::use_awaitable);
constexpr std::size_t kReadBytes = 8 * limits::kKiB;
constexpr std::size_t kReadBytesBody = 64 * limits::kKiB;
constexpr std::size_t kIdleBytesMax = 16 * limits::kKiB;   ///< buffer that an idle connection may keep
constexpr std::size_t kOneBufferBytesMax = 4 * limits::kKiB;
constexpr std::size_t kPieceBytes = 1 * limits::kMiB;  ///< of a body in a file
constexpr std::size_t kSlowPieces = 64;
constexpr Duration kDrainTimeMax = std::chrono::seconds(5);
constexpr Duration kGoodbyeTimeMax = std::chrono::seconds(1);

}  // namespace

Connection::Connection(asio::ip::tcp::socket socket, std::shared_ptr<Service> service, std::string remote)
    : socket_(std::move(socket)), service_(std::move(service)), remote_(std::move(remote)) {}

asio::awaitable<void> Connection::run() {
    try {
        bool more = co_await shake_hands();
        while (more) more = co_await serve_one();
        co_await say_goodbye();
    } catch (const std::exception& error) {
        // Once aborted, what is thrown is only the cancellation itself.
        if (!aborted_) report("connection of " + remote_, error.what());
    }
    close();
}

/// False if the peer does not speak TLS, or not in time. True at once on a plain connection.
asio::awaitable<bool> Connection::shake_hands() {
    if (!service_->options.tls) co_return true;
    enter(Phase::idle, service_->options.header_time_max);
    tls_ = std::make_unique<asio::ssl::stream<asio::ip::tcp::socket&>>(socket_, *service_->options.tls);
    auto [error] = co_await tls_->async_handshake(asio::ssl::stream_base::server, kToken);
    if (!error) co_return !timed_out_;
    tls_.reset();
    const bool plain_http = error.category() == asio::error::get_ssl_category() &&
                            ERR_GET_REASON(static_cast<unsigned long>(error.value())) == SSL_R_HTTP_REQUEST;
    if (plain_http) {
        Refusal refusal{400, "this port speaks HTTPS; write https:// in the URL"};
        co_await refuse(std::move(refusal));
    }
    co_return false;
}

/// Tells a TLS peer that nothing was cut off, and gives it a moment to say the same.
asio::awaitable<void> Connection::say_goodbye() {
    if (!tls_ || timed_out_ || aborted_ || !socket_.is_open()) co_return;
    enter(Phase::idle, kGoodbyeTimeMax);
    auto [ignored] = co_await tls_->async_shutdown(kToken);
    (void)ignored;
}

asio::awaitable<bool> Connection::serve_one() {
    enter(Phase::idle, service_->options.header_time_max);
    if (buffer_.size() == 0 && buffer_.capacity() > kIdleBytesMax) buffer_ = {};
    RequestReader reader = make_reader();
    body_file_.reset();
    Read read = Read::gone;
    try {
        read = co_await read_request(reader);
    } catch (const MachineError& error) {  // where bodies are kept
        if (!aborted_) report("connection of " + remote_, error.what());
        reader.refuse_for_disk(error.disk_full());
        read = Read::refused;
    }
    if (read == Read::gone) co_return false;
    if (read == Read::refused) {
        Refusal refusal = *reader.refusal();
        co_await refuse(std::move(refusal));
        co_return false;
    }
    enter(Phase::handling, Duration::max());
    Form form;
    form.head_only = reader.is_head();
    form.head.version_1_0 = reader.version_1_0();
    const bool keep_alive = reader.keep_alive();
    Request request = reader.take();
    request.remote = remote_;
    request.over_tls = tls_ != nullptr;
    request.file = std::move(body_file_);
    Response response = co_await answer(std::move(request));
    form.head.keep_alive = keep_alive && !service_->stopping;
    form.head.date = service_->date();
    const bool sent = co_await send(std::move(response), form);
    co_return sent&& form.head.keep_alive;
}

asio::awaitable<Connection::Read> Connection::read_request(RequestReader& reader) {
    bool in_body = false;
    for (;;) {
        while (phase_ == Phase::idle && buffer_.size() > 0) {
            // RFC 9112, 2.2: an empty line before the request line is skipped.
            const char first = *static_cast<const char*>(buffer_.data().data());
            if (first != '\r' && first != '\n') break;
            buffer_.consume(1);
        }
        if (buffer_.size() > 0) {
            phase_ = Phase::reading;
            const std::string_view bytes(static_cast<const char*>(buffer_.data().data()), buffer_.size());
            buffer_.consume(reader.feed(bytes));
            if (reader.refusal()) co_return Read::refused;
            const bool done = reader.is_done();
            const bool spools = reader.header_done() && reader.in_pieces();
            if (spools && (done || reader.piece_bytes() >= kPieceBytes)) co_await spool(reader);
            if (done) co_return Read::whole;
            if (buffer_.size() > limits::http_header_bytes_max) {
                reader.refuse_oversize();
                co_return Read::refused;
            }
        }
        if (reader.header_done() && !in_body) {
            in_body = true;
            enter(Phase::reading, service_->options.body_time_max);
            if (reader.expects_continue() && buffer_.size() == 0) {
                const bool told = co_await write("HTTP/1.1 100 Continue\r\n\r\n");
                if (!told) co_return Read::gone;
            }
        }
        const bool more = co_await read_some(in_body ? kReadBytesBody : kReadBytes);
        if (more) continue;
        if (!timed_out_ || phase_ == Phase::idle) co_return Read::gone;
        reader.refuse_late();
        co_return Read::refused;
    }
}

RequestReader Connection::make_reader() const {
    const ServerOptions& options = service_->options;
    RequestReader::PiecesMax pieces_max;
    if (options.spool) pieces_max = options.spool->bytes_max;
    return RequestReader(limits::http_header_bytes_max, options.body_bytes_max, std::move(pieces_max));
}

/// What has come of the body goes to its file; each piece has the time of a whole body.
asio::awaitable<void> Connection::spool(RequestReader& reader) {
    enter(Phase::reading, Duration::max());
    const Spool& spool = *service_->options.spool;
    auto work = [file = body_file_, folder = spool.folder, piece = reader.take_piece()]() mutable {
        if (!file) file = BodyFile::make(folder);
        file->append(piece);
        return file;
    };
    body_file_ = co_await spool.pool->run(std::move(work));
    enter(Phase::reading, service_->options.body_time_max);
}

asio::awaitable<bool> Connection::read_some(std::size_t bytes_max) {
    if (timed_out_) co_return false;
    const auto room = buffer_.prepare(bytes_max);
    if (tls_) {
        auto [error, size] = co_await tls_->async_read_some(room, kToken);
        buffer_.commit(size);
        co_return !error;
    }
    auto [error, size] = co_await socket_.async_read_some(room, kToken);
    buffer_.commit(size);
    co_return !error;
}

asio::awaitable<bool> Connection::write(std::string_view bytes) {
    if (timed_out_) co_return false;
    const std::array<asio::const_buffer, 1> buffers = {asio::const_buffer(bytes.data(), bytes.size())};
    co_return co_await write(buffers);
}

asio::awaitable<bool> Connection::write(std::span<const asio::const_buffer> buffers) {
    if (tls_) {
        auto [error, size] = co_await asio::async_write(*tls_, buffers, kToken);
        (void)size;
        co_return !error;
    }
    auto [error, size] = co_await asio::async_write(socket_, buffers, kToken);
    (void)size;
    co_return !error;
}

asio::awaitable<Response> Connection::answer(Request request) {
    std::string fault;
    unsigned status = 500;
    const std::string what = request.method + " " + request.path;
    try {
        auto answering = service_->handler(std::move(request));
        Response response = co_await std::move(answering);
        co_return response;
    } catch (const MachineError& error) {
        status = status_of(error);
        fault = error.what();
    } catch (const std::exception& error) {
        fault = error.what();
    } catch (...) {
        fault = "an exception of unknown type";
    }
    if (!aborted_) report(what, fault);
    if (status == 507)
        co_return problem(status, "the disk is full, nothing was stored; free space and send it again");
    if (status == 503) {
        Response answer = problem(status, "the database is out of reach; send it again later");
        answer.headers.emplace_back("Retry-After", "1");
        co_return answer;
    }
    co_return problem(status, "internal error; the log tells more");
}

asio::awaitable<void> Connection::refuse(Refusal refusal) {
    timed_out_ = false;
    Form form;
    form.head.keep_alive = false;
    form.head.date = service_->date();
    Response response = problem(refusal.status, refusal.detail);
    const bool sent = co_await send(std::move(response), form);
    if (!sent) co_return;
    // Closing with unread bytes would reset the connection and could take the answer with it: read on for a
    // while.
    boost::system::error_code ignored;
    if (!tls_) socket_.shutdown(asio::ip::tcp::socket::shutdown_send, ignored);
    enter(Phase::writing, kDrainTimeMax);
    co_await wait_for_end(2 * service_->options.body_bytes_max);
}

asio::awaitable<void> Connection::pause(Duration time) {
    asio::steady_timer timer(socket_.get_executor(), time);
    auto [error] = co_await timer.async_wait(kToken);
    if (error) throw boost::system::system_error(error);
}

asio::awaitable<bool> Connection::send(Response response, Form form) {
    const bool late = response.delivery == Delivery::whole && response.pause > Duration::zero();
    if (late) co_await pause(response.pause);
    std::string head = response_head(response, form.head);
    enter(Phase::writing, service_->options.body_time_max);
    switch (response.delivery) {
        case Delivery::whole: co_return co_await send_whole(response, std::move(head), form.head_only);
        case Delivery::slow: co_return co_await send_slowly(response, std::move(head));
        case Delivery::cut: co_await send_half(response, std::move(head)); break;
        case Delivery::reset: reset(); break;
        case Delivery::never:
            enter(Phase::handling, Duration::max());
            co_await wait_for_end(service_->options.body_bytes_max);
            break;
    }
    co_return false;
}

/// A piece at a time, each with the time of a whole answer.
asio::awaitable<bool> Connection::send_file(std::shared_ptr<const BodyFile> file, std::string head) {
    bool sent = co_await write(head);
    CpuPool& pool = *service_->options.spool->pool;
    for (std::uint64_t at = 0; sent && at < file->size();) {
        auto read = [file, at] { return file->read(at, kPieceBytes); };
        const std::string piece = co_await pool.run(std::move(read));
        if (piece.empty()) co_return false;  // shorter than it was: the peer sees that something is missing
        at += piece.size();
        enter(Phase::writing, service_->options.body_time_max);
        sent = co_await write(piece);
    }
    co_return sent;
}

asio::awaitable<bool> Connection::send_whole(const Response& response, std::string head, bool head_only) {
    if (response.file && !head_only) co_return co_await send_file(response.file, std::move(head));
    if (head_only || response.body.empty()) co_return co_await write(head);
    if (response.body.size() <= kOneBufferBytesMax) {
        head += response.body;
        co_return co_await write(head);
    }
    const std::array<asio::const_buffer, 2> buffers = {asio::buffer(head), asio::buffer(response.body)};
    co_return co_await write(buffers);
}

asio::awaitable<bool> Connection::send_slowly(const Response& response, std::string head) {
    const std::string all = std::move(head) + response.body;
    const std::size_t piece = std::max<std::size_t>(1, all.size() / kSlowPieces);
    for (std::size_t at = 0; at < all.size(); at += piece) {
        enter(Phase::writing, service_->options.body_time_max);
        const std::string_view bytes = std::string_view(all).substr(at, piece);
        const bool sent = co_await write(bytes);
        if (!sent) co_return false;
        co_await pause(response.pause);
    }
    co_return true;
}

asio::awaitable<void> Connection::send_half(const Response& response, std::string head) {
    head.append(response.body, 0, response.body.size() / 2);
    co_await write(head);
}

asio::awaitable<void> Connection::wait_for_end(std::size_t bytes_max) {
    for (std::size_t seen = 0; seen < bytes_max;) {
        buffer_.clear();
        const bool more = co_await read_some(kReadBytesBody);
        if (!more) co_return;
        seen += buffer_.size();
    }
}

void Connection::sweep(Instant now) {
    if (now < deadline_) return;
    timed_out_ = true;
    boost::system::error_code ignored;
    socket_.cancel(ignored);
}

void Connection::close_if_idle() {
    if (phase_ == Phase::idle) close();
}

void Connection::report(const std::string& where, const std::string& why) const {
    if (service_->options.on_fault)
        service_->options.on_fault(where + ": " + why);
    else
        telemetry::log_error("request failed", where, why);
}

void Connection::abort() {
    aborted_ = true;
    close();
    cancellation_.emit(asio::cancellation_type::terminal);
}

void Connection::reset() {
    boost::system::error_code ignored;
    socket_.set_option(asio::socket_base::linger(true, 0), ignored);
    close();
}

void Connection::close() {
    boost::system::error_code ignored;
    socket_.close(ignored);
}

void Connection::enter(Phase phase, Duration time_max) {
    phase_ = phase;
    deadline_ = time_max == Duration::max() ? Instant::max() : std::chrono::steady_clock::now() + time_max;
}

}  // namespace millrace::http
