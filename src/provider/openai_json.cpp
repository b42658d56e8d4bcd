#include "provider/openai_json.hpp"

#include "text/utf8.hpp"

#include <boost/json/string.hpp>
#include <boost/json/value.hpp>

namespace millrace::provider {

namespace json = boost::json;

namespace {

constexpr std::size_t kMessageBytesMax = 400;

std::int64_t tokens_of(const json::object& fields, std::string_view name) {
    const json::value* value = fields.if_contains(name);
    if (!value || !value->is_number()) return 0;
    const double tokens = value->to_number<double>();
    return tokens >= 1 && tokens < 1e12 ? static_cast<std::int64_t>(tokens) : 0;
}

/// The first of two names that holds a number.
std::int64_t tokens_of(const json::object& fields, std::string_view name, std::string_view other) {
    const std::int64_t tokens = tokens_of(fields, name);
    return tokens > 0 ? tokens : tokens_of(fields, other);
}

}  // namespace

Failure garbage(std::string why) {
    return {FailureKind::transient, 200, "the answer makes no sense: " + std::move(why)};
}

Usage read_usage(const json::object& root) {
    const json::object* fields = object_of(root, "usage");
    if (!fields) return {};
    Usage usage;
    usage.prompt_tokens = tokens_of(*fields, "prompt_tokens", "input_tokens");
    usage.completion_tokens = tokens_of(*fields, "completion_tokens", "output_tokens");
    // Some servers give a sum and no parts.
    if (usage.prompt_tokens == 0) {
        const std::int64_t rest = tokens_of(*fields, "total_tokens") - usage.completion_tokens;
        usage.prompt_tokens = rest > 0 ? rest : 0;
    }
    for (const std::string_view name : {"prompt_tokens_details", "input_tokens_details"}) {
        if (const json::object* details = object_of(*fields, name))
            usage.cached_tokens = tokens_of(*details, "cached_tokens");
    }
    return usage;
}

std::string text_of(const json::object& object, std::string_view name) {
    const json::value* value = object.if_contains(name);
    if (!value) return {};
    if (const json::string* text = value->if_string()) return {text->data(), text->size()};
    if (const std::int64_t* number = value->if_int64()) return std::to_string(*number);
    return {};
}

const json::object* object_of(const json::object& object, std::string_view name) noexcept {
    const json::value* value = object.if_contains(name);
    return value ? value->if_object() : nullptr;
}

std::string one_line(std::string_view text) {
    std::string line(text::prefix_utf8(text, kMessageBytesMax));
    for (char& c : line) {
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) c = ' ';
    }
    return line;
}

}  // namespace millrace::provider
