// What a simulated model writes.
#include "http/simulator_books.hpp"
#include "http/simulator_call.hpp"
#include "http/simulator_chat.hpp"
#include "provider/schema.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include <algorithm>
#include <random>

namespace millrace::http {

namespace json = boost::json;

namespace {

constexpr std::size_t kAnswerWordsMin = 24;
constexpr std::size_t kAnswerWordsMax = 72;
constexpr std::size_t kTextWordsMax = 7;
constexpr std::size_t kWordBytesMax = 40;
constexpr char kRefusal[] = "I'm sorry, but I can't help with that request.";

bool is_word_byte(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           static_cast<signed char>(c) < 0;
}

/// Draws words from a prompt; the same prompt, the same words.
class Writer {
  public:
    explicit Writer(const ChatCall& call) : random_(call.hash) {
        const std::string_view text = call.prompt;
        for (std::size_t at = 0; at < text.size();) {
            std::size_t end = at;
            while (end < text.size() && is_word_byte(text[end])) ++end;
            if (end > at && end - at <= kWordBytesMax) words_.push_back(text.substr(at, end - at));
            at = end + 1;
        }
        if (words_.empty()) words_.push_back("nothing");
    }

    std::size_t pick(std::size_t count) { return static_cast<std::size_t>(random_() % count); }

    std::string words(std::size_t count) {
        std::string text;
        for (std::size_t i = 0; i < count; ++i) {
            if (i > 0) text += ' ';
            text += words_[pick(words_.size())];
        }
        return text;
    }

  private:
    std::mt19937_64 random_;
    std::vector<std::string_view> words_;
};

std::string write_text(const ChatCall& call) {
    Writer writer(call);
    if (call.schema) {
        provider::ValueSource source;
        source.text = [&](std::string_view) { return writer.words(1 + writer.pick(kTextWordsMax)); };
        source.pick = [&](std::size_t count) { return writer.pick(count); };
        return json::serialize(provider::value_for_schema(*call.schema, source));
    }
    const std::size_t count = kAnswerWordsMin + writer.pick(kAnswerWordsMax - kAnswerWordsMin);
    if (call.json) return json::serialize(json::object{{"answer", writer.words(count)}});
    return writer.words(count) + ".";
}

/// Cuts `text` to `most` tokens; false if it has no more.
bool cut(std::string& text, std::int64_t most, const ChatCall& call, const SimulatorOptions& options) {
    bool was_cut = false;
    for (;;) {
        const auto tokens = static_cast<std::int64_t>(count_tokens(options, call.model, text));
        if (tokens <= most) return was_cut;
        was_cut = true;
        std::size_t size = text.size() * static_cast<std::size_t>(most) / static_cast<std::size_t>(tokens);
        size = std::min(size, text.size() - 1);
        while (size > 0 && (static_cast<unsigned char>(text[size]) & 0xC0) == 0x80) --size;
        text.resize(size);
    }
}

json::object chat_body(const ChatCall& call, const std::string& text, Ending ending, std::string_view id,
                       TimePoint now) {
    const bool refused = ending == Ending::refused;
    const char* reason = ending == Ending::cut_off    ? "length"
                         : ending == Ending::filtered ? "content_filter"
                                                      : "stop";
    json::object message = {{"role", "assistant"},
                            {"content", refused ? json::value() : json::value(text)},
                            {"refusal", refused ? json::value(text) : json::value()}};
    json::object choice = {
        {"index", 0}, {"message", std::move(message)}, {"logprobs", nullptr}, {"finish_reason", reason}};
    if (ending == Ending::filtered)
        choice["content_filter_results"] = {{"violence", {{"filtered", true}, {"severity", "medium"}}}};
    return {{"id", "chatcmpl-" + std::string(id)},
            {"object", "chat.completion"},
            {"created", to_millis(now) / 1000},
            {"model", call.model},
            {"choices", json::array{std::move(choice)}}};
}

json::object response_body(const ChatCall& call, const std::string& text, Ending ending, std::string_view id,
                           TimePoint now) {
    json::object part = {{"type", "output_text"}, {"text", text}, {"annotations", json::array()}};
    if (ending == Ending::refused) part = {{"type", "refusal"}, {"refusal", text}};
    const bool whole = ending == Ending::whole || ending == Ending::refused;
    const char* status = whole ? "completed" : "incomplete";
    json::object message = {{"id", "msg_" + std::string(id)},
                            {"type", "message"},
                            {"role", "assistant"},
                            {"status", status},
                            {"content", json::array{std::move(part)}}};
    json::value details;
    if (ending == Ending::cut_off) details = {{"reason", "max_output_tokens"}};
    if (ending == Ending::filtered) details = {{"reason", "content_filter"}};
    return {{"id", "resp_" + std::string(id)},
            {"object", "response"},
            {"created_at", to_millis(now) / 1000},
            {"status", status},
            {"error", nullptr},
            {"incomplete_details", std::move(details)},
            {"instructions", nullptr},
            {"metadata", json::object()},
            {"model", call.model},
            {"output", json::array{std::move(message)}},
            {"parallel_tool_calls", true},
            {"temperature", 1},
            {"tool_choice", "auto"},
            {"tools", json::array()},
            {"top_p", 1}};
}

json::object usage_of(const ChatCall& call, std::int64_t completion_tokens) {
    const bool chat = call.api == ChatApi::chat;
    const std::string in = chat ? "prompt_tokens" : "input_tokens";
    const std::string out = chat ? "completion_tokens" : "output_tokens";
    return {{in, call.prompt_tokens},
            {out, completion_tokens},
            {"total_tokens", call.prompt_tokens + completion_tokens},
            {in + "_details", {{"cached_tokens", 0}}},
            {out + "_details", {{"reasoning_tokens", 0}}}};
}

}  // namespace

ChatAnswer answer_chat(const ChatCall& call, Ending ending, std::string_view id, TimePoint now,
                       const SimulatorOptions& options) {
    std::string text = ending == Ending::refused ? kRefusal : write_text(call);
    // Half of it is what a filter or a limit has let through.
    if (ending == Ending::filtered || ending == Ending::cut_off) {
        const auto tokens = static_cast<std::int64_t>(count_tokens(options, call.model, text));
        cut(text, std::max<std::int64_t>(1, tokens / 2), call, options);
    }
    if (cut(text, call.output_max.value_or(call.model_output_max), call, options) && ending == Ending::whole)
        ending = Ending::cut_off;
    ChatAnswer answer;
    answer.completion_tokens = static_cast<std::int64_t>(count_tokens(options, call.model, text));
    json::object body = call.api == ChatApi::chat ? chat_body(call, text, ending, id, now)
                                                  : response_body(call, text, ending, id, now);
    body["usage"] = usage_of(call, answer.completion_tokens);
    answer.body = json::serialize(body);
    return answer;
}

}  // namespace millrace::http
