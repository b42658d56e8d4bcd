#include "http/views.hpp"

#include "base/deep_json.hpp"
#include "base/utf8.hpp"
#include "broker/body.hpp"
#include "broker/value.hpp"

#include "http/server_target.hpp"

#include <boost/beast/core/detail/base64.hpp>
#include <boost/json/array.hpp>
#include <boost/json/parse.hpp>

#include <cmath>

namespace millrace::http {

namespace {

double rounded(double value, double scale) { return std::round(value * scale) / scale; }

/// JSON that this product wrote; anything else is shown as null.
json::value stored_json(const std::string& text) {
    boost::system::error_code error;
    json::value value = json::parse(text, error, {}, kDeepJson);
    return error ? json::value() : value;
}

std::string base64(std::string_view bytes) {
    namespace codec = boost::beast::detail::base64;
    std::string text(codec::encoded_size(bytes.size()), '\0');
    text.resize(codec::encode(text.data(), bytes.data(), bytes.size()));
    return text;
}

struct ValueView {
    json::value operator()(std::monostate) const { return nullptr; }
    json::value operator()(bool flag) const { return flag; }
    json::value operator()(std::int64_t number) const { return number; }
    json::value operator()(std::uint64_t number) const { return number; }
    json::value operator()(double number) const {
        return std::isfinite(number) ? json::value(number) : json::value(nullptr);
    }
    json::value operator()(const std::string& text) const {
        return is_utf8(text) ? json::value(text) : json::value("(not UTF-8)");
    }
    json::value operator()(const Uuid& id) const { return json::value(to_string(id)); }
    json::value operator()(TimePoint when) const { return json::value(to_rfc3339(when)); }
    json::value operator()(const broker::Encoded& encoded) const {
        return json::object{{"amqp", base64(encoded.bytes)}};
    }
};

/// The longest prefix of at most `bytes_max` bytes that ends between characters.
std::string_view utf8_prefix(std::string_view text, std::size_t bytes_max) {
    if (text.size() <= bytes_max) return text;
    while (bytes_max > 0 && (static_cast<unsigned char>(text[bytes_max]) & 0xC0) == 0x80) --bytes_max;
    return text.substr(0, bytes_max);
}

std::string_view state_name(broker::State state) {
    switch (state) {
        case broker::State::active: return "active";
        case broker::State::deferred: return "deferred";
        case broker::State::scheduled: break;
    }
    return "scheduled";
}

std::string_view kind_name(broker::EntityKind kind) {
    switch (kind) {
        case broker::EntityKind::queue: return "queue";
        case broker::EntityKind::topic: return "topic";
        case broker::EntityKind::subscription: break;
    }
    return "subscription";
}

void add_if(json::object& object, std::string_view name, const std::string& text) {
    if (!text.empty()) object[name] = is_utf8(text) ? text : "(not UTF-8)";
}

std::int64_t seconds(Duration time) { return time.count() / 1000; }

/// What a message says; its sections as they are where they say something else than bytes or text.
std::string content_of(const broker::Message& message) {
    auto content = broker::plain_body(message);
    return content ? std::move(*content) : message.body;
}

}  // namespace

json::object view_of(const work::DocumentView& document) {
    json::object view{{"id", document.id},
                      {"title", document.title},
                      {"category", document.category},
                      {"status", work::to_string(document.status)},
                      {"chunks", document.chunks},
                      {"generation", document.generation},
                      {"searchable", document.live != 0},
                      {"metadata", stored_json(document.metadata)}};
    add_if(view, "uploadedAt", document.uploaded_at);
    add_if(view, "error", document.error);
    add_if(view, "operation", document.operation);
    view["createdAt"] = to_rfc3339(document.created_at);
    view["updatedAt"] = to_rfc3339(document.updated_at);
    return view;
}

json::object view_of(const work::OperationView& operation) {
    json::object view{{"id", operation.id},
                      {"kind", operation.kind},
                      {operation.kind == "task" ? "taskId" : "documentId", operation.subject},
                      {"status", work::to_string(operation.status)},
                      {"stage", operation.stage},
                      {"progress", {{"done", operation.done}, {"total", operation.total}}},
                      {"waitReason", operation.wait_reason},
                      {"attempts", stored_json(operation.attempts)}};
    if (!operation.result.empty()) view["result"] = stored_json(operation.result);
    add_if(view, "error", operation.error);
    view["tokens"] = {{"prompt", operation.prompt_tokens}, {"completion", operation.completion_tokens}};
    view["createdAt"] = to_rfc3339(operation.created_at);
    view["updatedAt"] = to_rfc3339(operation.updated_at);
    return view;
}

json::object view_of(const work::TaskView& task) {
    json::object view{{"id", task.id},
                      {"type", task.type},
                      {"status", work::to_string(task.status)},
                      {"operation", task.operation}};
    add_if(view, "tenant", task.tenant);
    if (!task.result.empty()) view["result"] = stored_json(task.result);
    add_if(view, "error", task.error);
    add_if(view, "model", task.model);
    view["tokens"] = {{"prompt", task.prompt_tokens},
                      {"completion", task.completion_tokens},
                      {"cached", task.cached_tokens}};
    view["cost"] = static_cast<double>(task.cost_micros) / 1e6;
    view["attempts"] = task.attempts;
    view["createdAt"] = to_rfc3339(task.created_at);
    const bool ended = task.status == work::Status::succeeded || task.status == work::Status::failed;
    if (ended) view["finishedAt"] = to_rfc3339(task.finished_at);
    return view;
}

json::object view_of(const work::TaskEstimate& estimate) {
    json::object view;
    add_if(view, "type", estimate.type);
    add_if(view, "model", estimate.model);
    view["calls"] = estimate.calls;
    view["promptTokens"] = estimate.prompt_tokens;
    view["outputTokensMax"] = estimate.output_tokens_max;
    view["costMax"] = static_cast<double>(estimate.micros) / 1e6;
    return view;
}

json::object view_of(const work::DocumentEstimate& estimate) {
    json::object view;
    add_if(view, "model", estimate.model);
    view["chunks"] = estimate.chunks;
    view["cachedChunks"] = estimate.cached_chunks;
    view["calls"] = estimate.calls;
    view["promptTokens"] = estimate.prompt_tokens;
    view["cost"] = static_cast<double>(estimate.micros) / 1e6;
    return view;
}

json::object view_of(const broker::EntityCounts& counts) {
    const auto& options = counts.options;
    json::object view{{"name", counts.name},
                      {"kind", kind_name(options.kind)},
                      {"active", counts.active},
                      {"locked", counts.locked},
                      {"scheduled", counts.scheduled},
                      {"deferred", counts.deferred},
                      {"deadLettered", counts.dead_lettered},
                      {"bytes", counts.bytes},
                      {"oldestAgeSeconds", nullptr}};
    if (counts.oldest_age)
        view["oldestAgeSeconds"] = static_cast<double>(counts.oldest_age->count()) / 1000.0;
    view["rates"] = {{"enqueuedPerSecond", rounded(counts.enqueued_per_second, 100)},
                     {"completedPerSecond", rounded(counts.completed_per_second, 100)}};
    view["totals"] = {{"enqueued", counts.enqueued_total},
                      {"completed", counts.completed_total},
                      {"deadLettered", counts.dead_lettered_total}};
    json::object set{{"lockSeconds", seconds(options.lock_time)},
                     {"maxDeliveryCount", options.delivery_count_max},
                     {"requiresSession", options.requires_session},
                     {"maxBytes", options.bytes_max}};
    if (options.duplicate_window) set["duplicateDetectionSeconds"] = seconds(*options.duplicate_window);
    if (options.time_to_live) set["ttlSeconds"] = seconds(*options.time_to_live);
    add_if(set, "forwardTo", options.forward_to);
    add_if(set, "forwardDeadLettersTo", options.forward_dead_letters_to);
    view["options"] = std::move(set);
    return view;
}

json::object view_of(const broker::Delivery& delivery, std::size_t body_bytes_max) {
    const broker::Message& message = delivery.message;
    json::object view{{"sequence", delivery.sequence},
                      {"messageId", ValueView()(message.message_id)},
                      {"state", state_name(delivery.state)},
                      {"deliveryCount", delivery.delivery_count},
                      {"enqueuedAt", to_rfc3339(delivery.enqueued_at)}};
    if (message.scheduled_at) view["scheduledAt"] = to_rfc3339(*message.scheduled_at);
    if (delivery.expires_at != kNever) view["expiresAt"] = to_rfc3339(delivery.expires_at);
    if (message.session_id) view["sessionId"] = ValueView()(*message.session_id);
    add_if(view, "subject", message.subject);
    add_if(view, "contentType", message.content_type);
    add_if(view, "correlationId", message.correlation_id);
    add_if(view, "deadLetterSource", delivery.dead_letter_source);
    json::object properties;
    for (const auto& [name, value] : message.properties) {
        json::value shown = std::visit(ValueView(), broker::numeric(value));
        if (name == broker::kDeadLetterReason)
            view["deadLetterReason"] = std::move(shown);
        else if (name == broker::kDeadLetterDescription)
            view["deadLetterDescription"] = std::move(shown);
        else
            properties[name] = std::move(shown);
    }
    view["properties"] = std::move(properties);
    const std::string content = content_of(message);
    view["bodyBytes"] = content.size();
    if (is_utf8(content))
        view["body"] = utf8_prefix(content, body_bytes_max);
    else
        view["bodyBase64"] = base64(std::string_view(content).substr(0, body_bytes_max));
    if (content.size() > body_bytes_max) view["bodyCut"] = true;
    return view;
}

json::object view_of(const index::SearchHit& hit) {
    json::object view{
        {"documentId", hit.document_id}, {"chunk", hit.chunk}, {"title", hit.title},
        {"category", hit.category},      {"text", hit.text},   {"score", rounded(hit.score, 1e6)}};
    add_if(view, "heading", hit.heading);
    if (hit.page > 0) view["page"] = hit.page;
    return view;
}

std::string percent_encoded(std::string_view text) {
    constexpr std::string_view digits = "0123456789ABCDEF";
    std::string encoded;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                           c == '-' || c == '.' || c == '_' || c == '~';
        if (plain)
            encoded += c;
        else
            encoded.append({'%', digits[byte >> 4], digits[byte & 15]});
    }
    return encoded;
}

std::string base_url(std::string_view host, std::string_view scheme) {
    constexpr std::string_view allowed =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:[]";
    if (host.empty() || host.find_first_not_of(allowed) != std::string_view::npos) return {};
    return std::string(scheme).append("://").append(host);
}

}  // namespace millrace::http
