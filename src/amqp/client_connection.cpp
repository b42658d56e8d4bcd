#include "amqp/client_connection.hpp"

#include "base/sas.hpp"
#include "telemetry/log.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>

namespace millrace::amqp {

namespace {

constexpr Duration kDialTimeMax = std::chrono::seconds(30);
constexpr Duration kGoodbyeTimeMax = std::chrono::seconds(2);
constexpr Duration kLastingTime = std::chrono::seconds(10);  // after which a connection was a good one
constexpr Duration kTokenTime = std::chrono::hours(1);
constexpr Duration kTokenTimeUsed = std::chrono::minutes(45);  // then a new one is put
constexpr Duration kTokenRetry = std::chrono::seconds(30);
constexpr std::size_t kLinksMax = 1000;  // of each kind

std::string lower(std::string text) {
    for (char& c : text) {
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    }
    return text;
}

/// Counts a call that waits, however it ends.
class Counted {
  public:
    explicit Counted(std::size_t& count) : count_(count) { count_ += 1; }
    ~Counted() { count_ -= 1; }
    Counted(const Counted&) = delete;

  private:
    std::size_t& count_;
};

/// Closes a link that its caller was not given.
class Unclaimed {
  public:
    explicit Unclaimed(std::shared_ptr<ClientLink> link) : link_(std::move(link)) {}
    ~Unclaimed() {
        if (link_) link_->close();
    }
    Unclaimed(const Unclaimed&) = delete;
    void claim() { link_.reset(); }

  private:
    std::shared_ptr<ClientLink> link_;
};

/// The link under `key` unless it is gone; `links` is rid of gone ones when it has grown.
template <class Links>
auto& slot(Links& links, const std::string& key) {
    if (links.size() >= kLinksMax)
        std::erase_if(links, [](const auto& one) { return one.second->is_gone(); });
    auto& found = links[key];
    if (found && found->is_gone()) found.reset();
    return found;
}

}  // namespace

ClientConnection::ClientConnection(asio::any_io_executor io, Clock& clock, RemoteOptions options,
                                   ConnectionOptions protocol, bool tokens)
    : io_(io),
      clock_(clock),
      options_(std::move(options)),
      protocol_(std::move(protocol)),
      tokens_needed_(tokens),
      backoff_(options_.backoff_first),
      changed_(io) {}

asio::awaitable<Result<std::shared_ptr<Wire>>> ClientConnection::wire() {
    const auto self = shared_from_this();
    const Counted counted(waiting_);
    if (!is_connected() && !stopped_) {
        refusal_.reset();
        if (!std::exchange(connecting_, true)) spawn(io_, connect(self));
        auto waiting = until_connected();
        co_await with_deadline(std::move(waiting), options_.connect_wait);
    }
    if (stopped_) co_return Error{Errc::unavailable, "the queue's client was stopped"};
    if (!is_connected()) co_return refusal_ ? *refusal_ : last_error_;
    const auto busy = wire_->busy_until();
    if (busy > std::chrono::steady_clock::now()) co_await until_quiet(busy);
    co_return wire_;
}

asio::awaitable<void> ClientConnection::until_connected() {
    while (!is_connected() && !stopped_ && !refusal_) co_await changed_.wait();
}

asio::awaitable<void> ClientConnection::until_quiet(std::chrono::steady_clock::time_point when) {
    asio::steady_timer timer(io_, when);
    constexpr auto token = asio::as_tuple(asio::use_awaitable);
    auto [error] = co_await timer.async_wait(token);
    (void)error;
}

/// Tries until it has a connection or nobody wants one.
asio::awaitable<void> ClientConnection::connect(std::shared_ptr<ClientConnection> self) {
    const std::string& host = self->options_.target.endpoint.host;
    if (self->has_lasted()) self->backoff_ = self->options_.backoff_first;
    if (!self->has_lasted()) co_await self->pause_longer();
    while (!self->stopped_) {
        auto dialled = co_await self->dial();
        if (dialled && self->stopped_) {
            (*dialled)->abort(Error{Errc::unavailable, "the queue's client was stopped"});
            break;
        }
        if (dialled) {
            self->wire_ = std::move(*dialled);
            self->connected_at_ = std::chrono::steady_clock::now();
            self->tokens_.clear();
            self->token_links_.reset();
            const Map& peer = self->wire_->peer().properties;
            const auto product = text_of(peer.find("product")).value_or("AMQP 1.0");
            telemetry::log_info("connected", host, product);
            break;
        }
        self->last_error_ = dialled.error();
        telemetry::log_warning("connect", host, dialled.error().detail);
        if (dialled.error().code != Errc::unavailable) {
            self->refusal_ = dialled.error();
            break;
        }
        if (self->waiting_ == 0) break;
        co_await self->pause_longer();
    }
    self->connecting_ = false;
    self->changed_.notify();
}

asio::awaitable<Result<std::shared_ptr<Wire>>> ClientConnection::dial() {
    Result<std::unique_ptr<Transport>> opened = Error{Errc::unavailable, "no connection in time"};
    auto opening = open_transport(opened);
    co_await with_deadline(std::move(opening), kDialTimeMax);
    if (!opened) co_return opened.error();
    auto over = [weak = weak_from_this()](const Error& why) {
        if (const auto self = weak.lock()) self->on_over(why);
    };
    const auto wire =
        std::make_shared<Wire>(io_, std::move(*opened), protocol_, std::move(over), options_.operation_time);
    auto greeting = wire->open(kDialTimeMax);
    const auto greeted = co_await std::move(greeting);
    if (!greeted) co_return greeted.error();
    co_return wire;
}

asio::awaitable<void> ClientConnection::open_transport(Result<std::unique_ptr<Transport>>& opened) {
    auto opening = options_.connect ? options_.connect()
                                    : connect_transport(io_, options_.target.endpoint, options_.tls.get());
    auto answered = co_await std::move(opening);
    opened = std::move(answered);
}

/// False after a connection that broke as soon as it was there: a peer that takes and drops connections is
/// left alone for longer and longer, too.
bool ClientConnection::has_lasted() const noexcept {
    const auto now = std::chrono::steady_clock::now();
    return !connected_at_ || now - *connected_at_ >= std::min(options_.backoff_max, kLastingTime);
}

/// Each pause is up to twice as long as the one before. Ends early when it is stopped.
asio::awaitable<void> ClientConnection::pause_longer() {
    const double share = std::uniform_real_distribution<double>(0.5, 1)(random_);
    const auto time = std::chrono::duration_cast<Duration>(backoff_ * share);
    backoff_ = std::min(backoff_ * 2, options_.backoff_max);
    co_await pause(time);
}

asio::awaitable<void> ClientConnection::pause(Duration time) {
    using namespace asio::experimental::awaitable_operators;
    asio::steady_timer timer(io_, time);
    auto late = timer.async_wait(asio::use_awaitable);
    auto stopping = changed_.wait();
    auto first = std::move(late) || std::move(stopping);
    co_await std::move(first);
}

void ClientConnection::on_over(const Error& why) {
    last_error_ = why;
    if (!stopped_) telemetry::log_warning("disconnected", options_.target.endpoint.host, why.detail);
    changed_.notify();
}

asio::awaitable<void> ClientConnection::stop() {
    const auto self = shared_from_this();
    stopped_ = true;
    changed_.notify();
    if (!is_connected()) co_return;
    const auto wire = wire_;
    co_await wire->close(kGoodbyeTimeMax);
}

void ClientConnection::cut() {
    stopped_ = true;
    changed_.notify();
    if (is_connected()) wire_->abort(Error{Errc::unavailable, "the queue's client was stopped"});
}

// --- links ---------------------------------------------------------------------------------------------

asio::awaitable<void> ClientConnection::begin(std::shared_ptr<ClientConnection> self,
                                              std::shared_ptr<Wire> wire, std::shared_ptr<ClientLink> link,
                                              std::string address) {
    if (self->tokens_needed_) {
        auto putting = self->put_token(wire, std::move(address));
        const auto put = co_await std::move(putting);
        if (!put) {
            link->give_up(put.error());
            co_return;
        }
    }
    link->attach(std::move(wire));
}

asio::awaitable<Result<void>> ClientConnection::await_open(std::shared_ptr<ClientLink> link,
                                                           std::string address, Duration time_max) {
    auto opening = link->opened(time_max);
    auto opened = co_await std::move(opening);
    if (!opened && opened.error().code == Errc::invalid_input) tokens_.erase(address);
    co_return opened;
}

/// The link that all who ask for `name` share: made by `make` if there is none that lives.
template <class L>
asio::awaitable<Result<std::shared_ptr<L>>> ClientConnection::shared_link(
    Links<L>& links, std::string name, std::string address, std::function<std::shared_ptr<L>()> make) {
    auto wire = co_await this->wire();
    if (!wire) co_return wire.error();
    auto& shared = slot(links, name);
    if (!shared) {
        shared = make();
        spawn(io_, begin(shared_from_this(), *wire, shared, address));
    }
    const auto link = shared;
    auto opening = await_open(link, address, options_.operation_time);
    const auto opened = co_await std::move(opening);
    if (!opened) co_return opened.error();
    co_return link;
}

asio::awaitable<Result<std::shared_ptr<SenderLink>>> ClientConnection::sender(std::string address) {
    auto make = [this, address] { return std::make_shared<SenderLink>(io_, address); };
    return shared_link<SenderLink>(senders_, lower(address), address, std::move(make));
}

asio::awaitable<Result<std::shared_ptr<ReceiverLink>>> ClientConnection::receiver(ReceiverOptions options) {
    std::string name = (options.delete_on_receive ? "-" : "+") + lower(options.address);
    std::string address = options.address;
    auto make = [this, options] { return std::make_shared<ReceiverLink>(io_, options); };
    return shared_link<ReceiverLink>(receivers_, std::move(name), std::move(address), std::move(make));
}

asio::awaitable<Result<std::shared_ptr<RequestLinks>>> ClientConnection::requests(std::string node,
                                                                                  Pairing pairing) {
    auto make = [this, node, pairing] { return std::make_shared<RequestLinks>(io_, node, pairing); };
    return shared_link<RequestLinks>(requests_, lower(node), node, std::move(make));
}

asio::awaitable<Result<std::shared_ptr<ReceiverLink>>> ClientConnection::session(ReceiverOptions options) {
    auto wire = co_await this->wire();
    if (!wire) co_return wire.error();
    const std::string address = options.address;
    const Duration time_max = options.session_wait + options_.operation_time;
    const auto link = std::make_shared<ReceiverLink>(io_, std::move(options));
    Unclaimed unclaimed(link);
    spawn(io_, begin(shared_from_this(), *wire, link, address));
    auto opening = await_open(link, address, time_max);
    const auto opened = co_await std::move(opening);
    if (!opened) co_return opened.error();
    unclaimed.claim();
    co_return link;
}

// --- tokens --------------------------------------------------------------------------------------------

std::string ClientConnection::audience_of(std::string_view address) const {
    const Endpoint& to = options_.target.endpoint;
    const bool usual = to.port == 5671 || to.port == 5672 || to.port == 443;
    return "sb://" + to.host + (usual ? "" : ":" + std::to_string(to.port)) + "/" + std::string(address);
}

asio::awaitable<Result<void>> ClientConnection::put_token(std::shared_ptr<Wire> wire, std::string address) {
    if (wire != wire_) co_return Error{Errc::unavailable, "the connection is over"};
    if (tokens_.contains(address)) co_return Result<void>();
    if (!token_links_ || token_links_->is_gone()) {
        token_links_ = std::make_shared<RequestLinks>(io_, "$cbs", Pairing::by_address);
        token_links_->attach(wire);
    }
    const auto links = token_links_;
    auto opening = links->opened(options_.operation_time);
    const auto opened = co_await std::move(opening);
    if (!opened) co_return opened.error();

    const ConnectionString& target = options_.target;
    const std::string audience = audience_of(address);
    Request request;
    request.properties.set("operation", std::string("put-token"));
    request.properties.set("type", std::string("servicebus.windows.net:sastoken"));
    request.properties.set("name", audience);
    request.body = target.signature.empty()
                       ? make_sas_token(audience, target.user, target.secret, clock_.now() + kTokenTime)
                       : target.signature;
    auto asking = links->ask(std::move(request), options_.operation_time);
    const auto answer = co_await std::move(asking);
    if (!answer) co_return answer.error();
    const auto status = integer_of(answer->properties.find("status-code")).value_or(500);
    if (status < 200 || status > 299) {
        const auto why = text_of(answer->properties.find("status-description")).value_or("");
        const Errc code = status >= 500 || status == 408 ? Errc::unavailable : Errc::invalid_input;
        co_return Error{
            code, "the queue refused the key or signature for \"" + address + "\": " + std::string(why)};
    }
    // A signature in the connection string can't be renewed: it is put for each address once.
    const bool renewable = target.signature.empty();
    tokens_[address] = renewable ? clock_.now() + kTokenTimeUsed : kNever;
    if (renewable && !std::exchange(refreshing_, true)) spawn(io_, refresh_tokens(shared_from_this(), wire));
    co_return Result<void>();
}

/// Puts new tokens well before the old ones end, as long as `wire` lives.
asio::awaitable<void> ClientConnection::refresh_tokens(std::shared_ptr<ClientConnection> self,
                                                       std::shared_ptr<Wire> wire) {
    using namespace asio::experimental::awaitable_operators;
    while (!wire->is_over() && !self->stopped_) {
        TimePoint next = kNever;
        for (const auto& [address, when] : self->tokens_) next = std::min(next, when);
        auto sleeping = self->clock_.sleep_until(next);
        auto changing = self->changed_.wait();
        auto first = std::move(sleeping) || std::move(changing);
        co_await std::move(first);
        if (!wire->is_over() && !self->stopped_) co_await self->refresh_due(wire);
    }
    self->refreshing_ = false;
}

asio::awaitable<void> ClientConnection::refresh_due(std::shared_ptr<Wire> wire) {
    std::vector<std::string> due;
    for (const auto& [address, when] : tokens_) {
        if (when <= clock_.now()) due.push_back(address);
    }
    for (const std::string& address : due) {
        tokens_.erase(address);
        auto putting = put_token(wire, address);
        const auto put = co_await std::move(putting);
        if (put || wire->is_over()) continue;
        telemetry::log_warning("token", address, put.error().detail);
        tokens_[address] = clock_.now() + kTokenRetry;
    }
}

}  // namespace millrace::amqp
