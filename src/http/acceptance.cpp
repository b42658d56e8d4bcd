#include "http/acceptance.hpp"

#include "http/json_text.hpp"
#include "http/views.hpp"

#include <boost/json/array.hpp>

namespace millrace::http {

namespace {

json::object receipt(const work::Accepted& accepted, const std::string& base) {
    return json::object{{"id", accepted.id},
                        {"operation", accepted.operation},
                        {"statusUrl", base + "/v1/operations/" + accepted.operation}};
}

}  // namespace

Checked<std::optional<IdempotencyKey>> key_of_caller(const Request& request) {
    std::string_view caller = request.header("Authorization");
    if (caller.empty()) caller = request.header("api-key");
    return idempotency_key(request, caller);
}

Response accepted_answer(const std::vector<work::Accepted>& accepted, const AcceptedForm& form) {
    if (form.is_list) {
        json::array list;
        for (const auto& one : accepted) list.push_back(receipt(one, form.base));
        Response response = json_answer(202, json_text(list));
        response.headers.emplace_back("Retry-After", kPollSeconds);
        return response;
    }
    const json::object body = receipt(accepted.front(), form.base);
    const std::string url(body.at("statusUrl").as_string());
    Response response = json_answer(202, json_text(body));
    response.headers.emplace_back("Location",
                                  form.base + form.collection + percent_encoded(accepted.front().id));
    response.headers.emplace_back("Operation-Location", url);
    response.headers.emplace_back("Retry-After", kPollSeconds);
    return response;
}

asio::awaitable<std::optional<Response>> replay(Context context, IdempotencyKey key) {
    auto stored = co_await context->parts.documents.stored_answer(key.key);
    if (!stored) co_return std::nullopt;
    if (stored->fingerprint != key.fingerprint)
        co_return problem(422,
                          "this Idempotency-Key was used for another request; use a new key for new content");
    co_return parse_answer(stored->status, stored->answer);
}

std::shared_ptr<const work::Idempotency> remember(const IdempotencyKey& key, const AcceptedForm& form) {
    auto idempotency = std::make_shared<work::Idempotency>();
    idempotency->key = key.key;
    idempotency->fingerprint = key.fingerprint;
    idempotency->answer = [form](const std::vector<work::Accepted>& accepted) {
        return serialize_answer(accepted_answer(accepted, form));
    };
    return idempotency;
}

}  // namespace millrace::http
