#include "app/amqp_listeners.hpp"

namespace millrace::app {

Result<AmqpListeners> AmqpListeners::open(asio::any_io_executor io, broker::Broker& broker, Clock& clock,
                                          const AccessKeys& keys, std::shared_ptr<asio::ssl::context> tls,
                                          const ServerSettings& settings, std::vector<std::string>& notices) {
    struct Place {
        const char* key;
        const char* scheme;
        const std::string& where;
        std::string standard;
        std::shared_ptr<asio::ssl::context> tls;
        bool wanted;
    };
    const ServerSettings standard;
    const Place places[] = {
        {"amqp_listen", "amqp://", settings.amqp_listen, standard.amqp_listen, nullptr, true},
        {"amqps_listen", "amqps://", settings.amqps_listen, standard.amqps_listen, tls, tls != nullptr},
    };
    AmqpListeners listeners;
    const auto shared_keys = std::make_shared<const AccessKeys>(keys);
    for (const Place& place : places) {
        if (!place.wanted || place.where.empty()) continue;
        if (keys.empty() && !settings.api_keys_file.empty() && place.where == place.standard) {
            notices.push_back(
                "server." + std::string(place.key) +
                ": not served, since callers of HTTP need keys and server.access_keys_file names "
                "none for AMQP");
            continue;
        }
        if (keys.empty() && !settings.api_keys_file.empty())
            notices.push_back("server." + std::string(place.key) + ": " + place.where +
                              " serves AMQP to callers without keys, though those of HTTP need them; set "
                              "server.access_keys_file");
        const auto address = parse_address(place.where);
        if (!address) return address.error();
        amqp::ServerOptions options;
        options.address = address->host;
        options.port = address->port;
        options.tls = place.tls;
        auto server = amqp::Server::start(io, broker, clock, shared_keys, std::move(options));
        if (!server) {
            const std::string what = "server." + std::string(place.key) + ": " + server.error().detail;
            if (place.where != place.standard)
                return Error{server.error().code, what + "; choose another address, or \"\" for none"};
            notices.push_back(what + "; there is no AMQP here until another address is set");
            continue;
        }
        const std::string host =
            address->host.find(':') == std::string::npos ? address->host : "[" + address->host + "]";
        listeners.urls_.push_back(place.scheme + host + ":" + std::to_string((*server)->port()));
        listeners.servers_.push_back(std::move(*server));
    }
    return listeners;
}

void AmqpListeners::collect(telemetry::Metrics& metrics) const {
    namespace metric = telemetry::metric;
    amqp::ServerStats all;
    for (const auto& server : servers_) {
        const amqp::ServerStats stats = server->stats();
        all.connections += stats.connections;
        all.links += stats.links;
        all.received_total += stats.received_total;
        all.delivered_total += stats.delivered_total;
    }
    metrics.set(metric::amqp_connections, {}, static_cast<double>(all.connections));
    metrics.set(metric::amqp_links, {}, static_cast<double>(all.links));
    metrics.raise_to(metric::amqp_messages, {"received"}, static_cast<double>(all.received_total));
    metrics.raise_to(metric::amqp_messages, {"delivered"}, static_cast<double>(all.delivered_total));
}

asio::awaitable<void> AmqpListeners::stop(Duration drain) {
    for (const auto& server : servers_) co_await server->stop(drain);
}

}  // namespace millrace::app
