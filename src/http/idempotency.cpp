#include "http/idempotency.hpp"

#include "base/ids.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

namespace millrace::http {

namespace json = boost::json;

namespace {

constexpr std::size_t kKeyCharsMax = 255;

/// Parts with their lengths, so that no two lists of parts read alike.
std::string framed(std::initializer_list<std::string_view> parts) {
    std::string text;
    for (const std::string_view part : parts) {
        text += std::to_string(part.size()) + ":";
        text += part;
    }
    return text;
}

/// `"a\"b"` → `a"b`; a bare value stays.
std::string unquoted(std::string_view value) {
    if (value.size() < 2 || value.front() != '"' || value.back() != '"') return std::string(value);
    std::string text;
    value = value.substr(1, value.size() - 2);
    for (std::size_t i = 0; i < value.size(); ++i) {
        if (value[i] == '\\' && i + 1 < value.size()) ++i;
        text += value[i];
    }
    return text;
}

}  // namespace

Checked<std::optional<IdempotencyKey>> idempotency_key(const Request& request, std::string_view caller) {
    const std::string_view value = request.header("Idempotency-Key");
    // An absent field has no data at all; one sent empty is a mistake worth telling.
    if (value.data() == nullptr) return std::optional<IdempotencyKey>();
    const std::string key = unquoted(value);
    if (key.empty() || key.size() > kKeyCharsMax)
        return Rejection{400,
                         "Idempotency-Key must have 1 to " + std::to_string(kKeyCharsMax) + " characters"};
    IdempotencyKey made;
    made.key = sha256_hex(framed({caller, request.method, request.path, key}));
    made.fingerprint =
        sha256_hex(framed({request.target, request.header("Content-Type"), sha256(request.body)}));
    return std::optional<IdempotencyKey>(std::move(made));
}

std::string serialize_answer(const Response& response) {
    json::array headers;
    for (const auto& [name, value] : response.headers) headers.push_back(json::array{name, value});
    return json::serialize(json::object{{"headers", std::move(headers)}, {"body", response.body}});
}

Response parse_answer(unsigned status, std::string_view stored) {
    const json::value value = json::parse(stored);
    Response response;
    response.status = status;
    for (const json::value& header : value.at("headers").as_array()) {
        const auto& pair = header.as_array();
        response.headers.emplace_back(std::string(pair.at(0).as_string()),
                                      std::string(pair.at(1).as_string()));
    }
    response.body = value.at("body").as_string();
    return response;
}

}  // namespace millrace::http
