#include "amqp/connection_string.hpp"

#include <boost/url/parse.hpp>
#include <boost/url/url_view.hpp>

#include <algorithm>
#include <charconv>

namespace millrace::amqp {

namespace {

constexpr unsigned short kPlainPort = 5672;
constexpr unsigned short kTlsPort = 5671;
constexpr unsigned short kHttpPort = 80;
constexpr unsigned short kHttpsPort = 443;

Error wrong(const std::string& why) { return Error{Errc::invalid_input, "the connection string " + why}; }

std::string lower(std::string_view text) {
    std::string out(text);
    for (char& c : out) {
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    }
    return out;
}

std::string_view trimmed(std::string_view text) {
    constexpr std::string_view kBlank = " \t\r\n";
    const auto first = text.find_first_not_of(kBlank);
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

/// Host and port; the port stays 0 where none is named.
Result<void> read_host(const boost::urls::url_view& url, Endpoint& endpoint) {
    const auto host = url.host_address();
    endpoint.host.assign(host.begin(), host.end());
    if (endpoint.host.empty()) return wrong("names no host");
    const bool literal = url.host_type() == boost::urls::host_type::ipv6;
    if (!literal && endpoint.host.find(':') != std::string::npos) return wrong("names no host");
    endpoint.port = 0;
    if (!url.has_port() || url.port().empty()) return {};
    const auto digits = url.port();
    std::uint16_t port = 0;
    const auto [end, failed] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
    if (failed != std::errc() || end != digits.data() + digits.size() || port == 0)
        return wrong("has a port that is not between 1 and 65535");
    endpoint.port = port;
    return {};
}

Result<void> read_endpoint(std::string_view value, Endpoint& endpoint) {
    const auto url = boost::urls::parse_uri(boost::urls::string_view(value.data(), value.size()));
    if (!url || lower(std::string_view(url->scheme().data(), url->scheme().size())) != "sb")
        return wrong("has an Endpoint that is not of the form sb://HOST/");
    return read_host(*url, endpoint);
}

Result<bool> read_flag(std::string_view value, const char* key) {
    const std::string word = lower(value);
    if (word == "true" || word == "false") return word == "true";
    return wrong(std::string("has a ") + key + " that is neither true nor false");
}

void choose_port(ConnectionString& parsed) {
    Endpoint& to = parsed.endpoint;
    if (to.port != 0) return;
    if (to.websocket)
        to.port = to.tls ? kHttpsPort : kHttpPort;
    else
        to.port = to.tls ? kTlsPort : kPlainPort;
}

/// One "Key=value"; a value may hold '='.
Result<void> read_part(std::string_view part, ConnectionString& parsed) {
    const auto equals = part.find('=');
    if (equals == std::string_view::npos) return wrong("has a part without '='");
    const std::string key = lower(trimmed(part.substr(0, equals)));
    const std::string value(trimmed(part.substr(equals + 1)));
    if (key == "endpoint") return read_endpoint(value, parsed.endpoint);
    if (key == "sharedaccesskeyname") {
        parsed.user = value;
    } else if (key == "sharedaccesskey") {
        parsed.secret = value;
    } else if (key == "sharedaccesssignature") {
        parsed.signature = value;
    } else if (key == "entitypath") {
        parsed.entity_path = value;
    } else if (key == "usedevelopmentemulator") {
        const auto flag = read_flag(value, "UseDevelopmentEmulator");
        if (!flag) return flag.error();
        parsed.emulator = *flag;
    } else if (key == "transporttype") {
        const std::string type = lower(value);
        if (type != "amqp" && type != "amqptcp" && type != "amqpwebsockets")
            return wrong("has a TransportType other than Amqp and AmqpWebSockets");
        parsed.endpoint.websocket = type == "amqpwebsockets";
    } else if (key.size() > 40) {
        return wrong("has a part that is not known");  // perhaps a secret in the wrong place
    } else {
        return wrong("has a part \"" + key + "\" that is not known");
    }
    return {};
}

Result<ConnectionString> parse_parts(std::string_view text) {
    ConnectionString parsed;
    while (!text.empty()) {
        const auto end = std::min(text.find(';'), text.size());
        const std::string_view part = trimmed(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
        if (part.empty()) continue;
        const auto read = read_part(part, parsed);
        if (!read) return read.error();
    }
    if (parsed.endpoint.host.empty()) return wrong("has no Endpoint=sb://HOST/");
    if (parsed.user.empty() != parsed.secret.empty())
        return wrong("needs SharedAccessKeyName and SharedAccessKey together");
    if (parsed.secret.empty() && parsed.signature.empty())
        return wrong("needs SharedAccessKeyName and SharedAccessKey, or SharedAccessSignature");
    parsed.endpoint.tls = !parsed.emulator;
    choose_port(parsed);
    return parsed;
}

Result<ConnectionString> parse_url(std::string_view text) {
    const auto url = boost::urls::parse_uri(boost::urls::string_view(text.data(), text.size()));
    if (!url) return wrong("is no URL of the form amqp[s]://USER:PASSWORD@HOST[:PORT][/VHOST]");
    ConnectionString parsed;
    parsed.endpoint.tls = lower(std::string_view(url->scheme().data(), url->scheme().size())) == "amqps";
    const auto read = read_host(*url, parsed.endpoint);
    if (!read) return read.error();
    const auto user = url->user();
    parsed.user.assign(user.begin(), user.end());
    const auto password = url->password();
    parsed.secret.assign(password.begin(), password.end());
    const auto path = url->path();
    if (path.size() > 1) parsed.virtual_host.assign(path.begin() + 1, path.end());
    choose_port(parsed);
    return parsed;
}

}  // namespace

Result<ConnectionString> parse_connection_string(std::string_view text) {
    text = trimmed(text);
    if (text.empty()) return wrong("is empty");
    const std::string scheme = lower(text.substr(0, text.find("://")));
    if (scheme == "amqp" || scheme == "amqps") return parse_url(text);
    return parse_parts(text);
}

}  // namespace millrace::amqp
