#include "provider/http_client.hpp"

#include "base/async.hpp"
#include "provider/http_client_connection.hpp"

#include <boost/url/parse.hpp>
#include <boost/url/url_view.hpp>

#include <algorithm>
#include <charconv>
#include <map>
#include <optional>
#include <set>

namespace millrace::provider {

using Instant = ClientConnection::Instant;

namespace {

constexpr char lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

bool has_control(std::string_view text) noexcept {
    return std::ranges::any_of(text, [](unsigned char c) { return c < 0x20 || c == 0x7F; });
}

/// "host" or "[v6]", with the port if it isn't the scheme's own.
std::string host_field(const HttpUrl& url) {
    const bool v6 = url.host.find(':') != std::string::npos;
    std::string host = v6 ? "[" + url.host + "]" : url.host;
    if (url.port != (url.tls ? 443 : 80)) host += ":" + std::to_string(url.port);
    return host;
}

Result<std::string> request_head(const HttpRequest& request) {
    std::string head = request.method + " " + request.url.target + " HTTP/1.1\r\n";
    head += "Host: " + host_field(request.url) + "\r\n";
    head += "User-Agent: millrace/" MILLRACE_VERSION "\r\n";
    if (!request.body.empty() || request.method == "POST") {
        head += "Content-Length: " + std::to_string(request.body.size()) + "\r\n";
    }
    for (const auto& [name, value] : request.headers) {
        if (has_control(name) || has_control(value)) {
            return Error{Errc::invalid_input, "the header " + name + " holds control characters"};
        }
        head.append(name).append(": ").append(value).append("\r\n");
    }
    head += "\r\n";
    return head;
}

/// 1 to 65535; 0 for "".
std::optional<unsigned short> parse_port(std::string_view text) {
    unsigned short port = 0;
    if (text.empty()) return port;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
    if (error != std::errc() || end != text.data() + text.size() || port == 0) return std::nullopt;
    return port;
}

Error malformed(std::string why) { return {Errc::invalid_input, "the URL " + std::move(why)}; }

}  // namespace

std::string_view find_field(const HttpFields& fields, std::string_view name) noexcept {
    const auto equal = [](char a, char b) { return lower(a) == lower(b); };
    for (const auto& [key, value] : fields) {
        if (std::equal(key.begin(), key.end(), name.begin(), name.end(), equal)) return value;
    }
    return {};
}

std::string HttpUrl::origin() const {
    const bool v6 = host.find(':') != std::string::npos;
    return std::string(tls ? "https://" : "http://") + (v6 ? "[" + host + "]" : host) + ":" +
           std::to_string(port);
}

Result<HttpUrl> parse_url(std::string_view text) {
    const auto parsed = boost::urls::parse_uri(text);
    if (!parsed) return malformed("isn't absolute and well-formed");
    const boost::urls::url_view& view = *parsed;
    HttpUrl url;
    url.tls = view.scheme_id() == boost::urls::scheme::https;
    if (!url.tls && view.scheme_id() != boost::urls::scheme::http)
        return malformed("is neither http nor https");
    if (view.has_userinfo()) return malformed("holds a name or password; give the key by itself");
    if (view.host().empty()) return malformed("has no host");
    if (view.host_type() == boost::urls::host_type::ipvfuture) return malformed("has a host of unknown form");
    url.host = view.host_address();
    if (has_control(url.host)) return malformed("has control characters in its host");
    const std::string port(view.port());
    const std::string path(view.encoded_path());
    // Boost 1.81 reads the port modulo 65536 and ends it at the first letter.
    const auto number = parse_port(port);
    if (!number || (!path.empty() && path.front() != '/')) return malformed("has a bad port");
    url.port = !port.empty() ? *number : (url.tls ? 443 : 80);
    url.target = path.empty() ? "/" : path;
    if (view.has_query()) url.target += "?" + std::string(view.encoded_query());
    return url;
}

/// The connections of a client: those at work and those kept.
class HttpClient::Pool : public std::enable_shared_from_this<Pool> {
  public:
    Pool(asio::any_io_executor io, HttpClientOptions options)
        : io_(io), options_(std::move(options)), tls_(asio::ssl::context::tls_client), reaper_(io) {}

    Result<void> trust();
    asio::awaitable<Result<HttpAnswer>> send(HttpRequest request);
    std::size_t idle_connections() const noexcept;
    void stop();

  private:
    struct Origin {
        explicit Origin(const asio::any_io_executor& io) : freed(io) {}
        std::vector<std::shared_ptr<ClientConnection>> idle;   ///< the last one was used last
        std::set<std::shared_ptr<ClientConnection>> busy;
        Signal freed;
    };

    /// A connection at work: returned or closed when this goes.
    struct Lease {
        Pool& pool;
        Origin& origin;
        std::shared_ptr<ClientConnection> connection;
        Lease(Pool& p, Origin& o, std::shared_ptr<ClientConnection> c)
            : pool(p), origin(o), connection(std::move(c)) {
            origin.busy.insert(connection);
        }
        Lease(const Lease&) = delete;
        ~Lease() { pool.give_back(origin, connection); }
    };

    Origin& origin(const HttpUrl& url);
    asio::awaitable<bool> wait_for_room(Origin& origin, Instant deadline);
    asio::awaitable<Exchange> send_once(const HttpRequest& request, const std::string& head, Instant deadline,
                                        std::shared_ptr<ClientConnection> kept);
    std::shared_ptr<ClientConnection> take_idle(Origin& origin);
    void give_back(Origin& origin, const std::shared_ptr<ClientConnection>& connection);
    void reap();

    asio::any_io_executor io_;
    HttpClientOptions options_;
    asio::ssl::context tls_;
    std::map<std::string, Origin> origins_;
    asio::steady_timer reaper_;
    bool trusts_ = false;
    bool reaping_ = false;
    bool stopped_ = false;
};

Result<void> HttpClient::Pool::trust() {
    if (trusts_) return {};
    boost::system::error_code error;
    tls_.set_options(asio::ssl::context::default_workarounds | asio::ssl::context::no_tlsv1 |
                     asio::ssl::context::no_tlsv1_1);
    tls_.set_verify_mode(asio::ssl::verify_peer);
    if (options_.ca_file.empty())
        tls_.set_default_verify_paths(error);
    else
        tls_.load_verify_file(options_.ca_file, error);
    if (error)
        return Error{Errc::invalid_input, "can't read the certificate authorities " + options_.ca_file};
    trusts_ = true;
    return {};
}

HttpClient::Pool::Origin& HttpClient::Pool::origin(const HttpUrl& url) {
    return origins_.try_emplace(url.origin(), io_).first->second;
}

asio::awaitable<Result<HttpAnswer>> HttpClient::Pool::send(HttpRequest request) {
    const auto deadline = std::chrono::steady_clock::now() + request.time_max;
    const auto head = request_head(request);
    if (!head) co_return head.error();
    Origin& place = origin(request.url);
    const bool room = co_await wait_for_room(place, deadline);
    const std::string where = request.url.origin() + ": ";
    if (stopped_) co_return Error{Errc::unavailable, where + "the client has stopped"};
    if (!room) co_return Error{Errc::unavailable, where + "all connections are busy"};

    auto kept = take_idle(place);
    const bool reused = kept != nullptr;
    Exchange exchange = co_await send_once(request, *head, deadline, std::move(kept));
    const bool again = exchange.silent && reused && request.repeatable && !stopped_;
    if (again) {
        std::shared_ptr<ClientConnection> none;
        exchange = co_await send_once(request, *head, deadline, std::move(none));
    }
    if (exchange.answer) co_return std::move(*exchange.answer);
    Error error = exchange.answer.error();
    error.detail = where + error.detail;
    co_return error;
}

asio::awaitable<Exchange> HttpClient::Pool::send_once(const HttpRequest& request, const std::string& head,
                                                      Instant deadline,
                                                      std::shared_ptr<ClientConnection> kept) {
    const bool fresh = kept == nullptr;
    auto connection = fresh ? std::make_shared<ClientConnection>(io_) : std::move(kept);
    const Lease lease(*this, origin(request.url), connection);
    if (fresh && request.url.tls) {
        const auto trusted = trust();
        if (!trusted) {
            Exchange failed{trusted.error(), false};
            co_return failed;
        }
    }
    if (fresh) {
        const auto connect_deadline =
            std::min(deadline, std::chrono::steady_clock::now() + options_.connect_time_max);
        auto connected = co_await connection->connect(request.url, tls_, connect_deadline);
        if (!connected) {
            Error error = connected.error();
            error.detail = "can't connect: " + error.detail;
            Exchange failed{std::move(error), false};
            co_return failed;
        }
    }
    co_return co_await connection->exchange(head, request.body, deadline, options_.answer_bytes_max,
                                            request.on_sent);
}

asio::awaitable<bool> HttpClient::Pool::wait_for_room(Origin& origin, Instant deadline) {
    while (!stopped_ && origin.busy.size() >= options_.connections_per_origin_max) {
        const auto left = deadline - std::chrono::steady_clock::now();
        if (left <= Instant::duration::zero()) co_return false;
        auto wait = origin.freed.wait();
        co_await with_deadline(std::move(wait), left);
    }
    co_return true;
}

std::shared_ptr<ClientConnection> HttpClient::Pool::take_idle(Origin& origin) {
    while (!origin.idle.empty()) {
        auto connection = std::move(origin.idle.back());
        origin.idle.pop_back();
        const bool fresh = connection->idle_since + options_.idle_time_max > std::chrono::steady_clock::now();
        if (fresh && connection->is_usable()) return connection;
        connection->close();
    }
    return nullptr;
}

void HttpClient::Pool::give_back(Origin& origin, const std::shared_ptr<ClientConnection>& connection) {
    origin.busy.erase(connection);
    const bool keep =
        connection->keep_alive() && !stopped_ && origin.idle.size() < options_.idle_per_origin_max;
    if (keep) {
        connection->idle_since = std::chrono::steady_clock::now();
        origin.idle.push_back(connection);
        if (!reaping_) reap();
    } else {
        connection->close();
    }
    origin.freed.notify();
}

void HttpClient::Pool::reap() {
    const auto oldest = std::chrono::steady_clock::now() - options_.idle_time_max;
    for (auto& [key, origin] : origins_) {
        std::erase_if(origin.idle, [&](auto& connection) { return connection->idle_since <= oldest; });
    }
    reaping_ = idle_connections() > 0 && !stopped_;
    if (!reaping_) return;
    reaper_.expires_after(options_.idle_time_max);
    reaper_.async_wait([weak = weak_from_this()](boost::system::error_code error) {
        const auto self = weak.lock();
        if (!error && self) self->reap();
    });
}

std::size_t HttpClient::Pool::idle_connections() const noexcept {
    std::size_t count = 0;
    for (const auto& [key, origin] : origins_) count += origin.idle.size();
    return count;
}

void HttpClient::Pool::stop() {
    stopped_ = true;
    reaper_.cancel();
    for (auto& [key, origin] : origins_) {
        origin.idle.clear();
        for (const auto& connection : origin.busy) connection->close();
        origin.freed.notify();
    }
}

HttpClient::HttpClient(std::shared_ptr<Pool> pool) : pool_(std::move(pool)) {}

HttpClient::~HttpClient() { pool_->stop(); }

Result<std::unique_ptr<HttpClient>> HttpClient::make(asio::any_io_executor io, HttpClientOptions options) {
    const bool own_authorities = !options.ca_file.empty();
    auto pool = std::make_shared<Pool>(io, std::move(options));
    if (own_authorities) {
        const auto trusted = pool->trust();
        if (!trusted) return trusted.error();
    }
    return std::unique_ptr<HttpClient>(new HttpClient(std::move(pool)));
}

Result<void> HttpClient::prepare(const HttpUrl& url) { return url.tls ? pool_->trust() : Result<void>(); }

asio::awaitable<Result<HttpAnswer>> HttpClient::send(HttpRequest request) {
    return pool_->send(std::move(request));
}

std::size_t HttpClient::idle_connections() const noexcept { return pool_->idle_connections(); }

void HttpClient::stop() { pool_->stop(); }

}  // namespace millrace::provider
