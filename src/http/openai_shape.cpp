#include "http/openai_shape.hpp"

#include "base/ids.hpp"
#include "http/json_text.hpp"

#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>

#include <algorithm>

namespace millrace::http {

namespace json = boost::json;

namespace {

json::value text_or_null(std::string_view text) {
    return text.empty() ? json::value() : json::value(json::string_view(text.data(), text.size()));
}

std::string_view type_of(unsigned status) noexcept {
    return status >= 500 ? "server_error" : status == 429 ? "requests" : "invalid_request_error";
}

bool is_problem(const Response& answer) {
    return find_field(answer.headers, "Content-Type") == "application/problem+json";
}

bool is_route(const std::vector<std::string>& segments, std::size_t at) {
    return segments.size() > at && (segments[at] == "files" || segments[at] == "batches");
}

}  // namespace

Response openai_problem(unsigned status, std::string_view message, std::string_view param,
                        std::string_view code) {
    const json::object body{{"error",
                             {{"message", json::string_view(message.data(), message.size())},
                              {"type", type_of(status)},
                              {"param", text_or_null(param)},
                              {"code", text_or_null(code)}}}};
    return json_answer(status, json_text(body));
}

Response openai_problem(const Error& error, std::string_view param) {
    Response answer = openai_problem(status_for(error.code), error.detail, param);
    if (answer.status == 429 || answer.status == 503) answer.headers.emplace_back("Retry-After", "2");
    return answer;
}

Response openai_answer(Response answer) {
    if (is_problem(answer)) {
        boost::system::error_code bad;
        const json::value document = json::parse(answer.body, bad);
        const json::value* detail = bad ? nullptr : document.as_object().if_contains("detail");
        const std::string message = detail && detail->is_string() ? std::string(detail->get_string()) : "";
        Response shaped =
            openai_problem(answer.status, message, "", answer.status == 401 ? "invalid_api_key" : "");
        for (auto& field : answer.headers)
            if (field.first != "Content-Type") shaped.headers.push_back(std::move(field));
        answer = std::move(shaped);
    }
    answer.headers.emplace_back("x-request-id", "req_" + to_hex(random_uuid()));
    return answer;
}

Response openai_list(json::array data, bool has_more) {
    json::value first, last;
    if (!data.empty()) {
        first = data.front().at("id");
        last = data.back().at("id");
    }
    const json::object body{{"object", "list"},
                            {"data", std::move(data)},
                            {"has_more", has_more},
                            {"first_id", std::move(first)},
                            {"last_id", std::move(last)}};
    return json_answer(200, json_text(body));
}

json::value seconds_or_null(TimePoint when) {
    return when == TimePoint() ? json::value() : json::value(to_millis(when) / 1000);
}

bool is_openai(const Request& request) noexcept {
    const auto& segments = request.segments;
    return is_route(segments, 1) && segments[0] == "v1";
}

void to_openai_form(Request& request) {
    auto& segments = request.segments;
    if (segments.empty() || segments[0] != "openai") return;
    std::size_t prefix = 0;
    if (is_route(segments, 1)) prefix = 1;
    if (is_route(segments, 2) && segments[1] == "v1") prefix = 2;
    if (segments.size() == 4 && segments[1] == "deployments" && segments[3] == "batches") {
        request.query.emplace_back("deployment", segments[2]);
        prefix = 3;
    }
    if (prefix == 0) return;
    segments.erase(segments.begin(), segments.begin() + static_cast<std::ptrdiff_t>(prefix));
    segments.insert(segments.begin(), "v1");
    std::erase_if(request.query, [](const auto& field) { return field.first == "api-version"; });
}

}  // namespace millrace::http
