#include "app/task_view.hpp"

#include "http/json_text.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include <cstdio>

namespace millrace::app {

namespace json = boost::json;

namespace {

constexpr std::size_t kLinesMax = 40;
constexpr std::size_t kEntitiesMax = 12;

std::string text_of(const json::value& value, std::string_view name) {
    const json::object* object = value.if_object();
    const json::value* found = object == nullptr ? nullptr : object->if_contains(name);
    return found != nullptr && found->is_string() ? std::string(found->get_string()) : std::string();
}

std::string member(const json::value& value, std::string_view name) {
    const json::object* object = value.if_object();
    const json::value* found = object == nullptr ? nullptr : object->if_contains(name);
    return found == nullptr     ? ""
           : found->is_string() ? std::string(found->get_string())
                                : http::json_text(*found);
}

const json::array& list_of(const json::value& value, std::string_view name) {
    static const json::array none;
    const json::object* object = value.if_object();
    const json::value* found = object == nullptr ? nullptr : object->if_contains(name);
    return found != nullptr && found->is_array() ? found->get_array() : none;
}

std::string paragraph(const std::string& text, const Terminal& terminal, const std::string& first = "  ") {
    std::string out, begin = first;
    const auto width = static_cast<std::size_t>(std::max(20, terminal.columns - 4));
    for (const std::string& line : wrap(text, width, kLinesMax, terminal.utf8)) {
        out += begin + line + "\n";
        begin = std::string(first.size(), ' ');
    }
    return out;
}

std::string summary_text(const json::value& result, const Terminal& terminal) {
    std::string out = paragraph(text_of(result, "summary"), terminal);
    for (const json::value& point : list_of(result, "keyPoints"))
        if (point.is_string()) out += paragraph(std::string(point.get_string()), terminal, "  - ");
    return out;
}

std::string entities_text(const json::value& result, const Terminal& terminal) {
    const json::array& entities = list_of(result, "entities");
    std::string out;
    for (std::size_t i = 0; i < entities.size() && i < kEntitiesMax; ++i)
        out += "  " + fit(text_of(entities[i], "text"), 32, terminal.utf8) + "  " +
               terminal.dim(fit(text_of(entities[i], "type"), 14, terminal.utf8)) + "  " +
               member(entities[i], "count") + "\n";
    if (entities.size() > kEntitiesMax)
        out += terminal.dim("  and " + std::to_string(entities.size() - kEntitiesMax) + " more") + "\n";
    return entities.empty() ? "  none\n" : out;
}

std::string members_text(const json::value& result, const Terminal& terminal) {
    std::string out;
    if (!result.is_object()) return paragraph(http::json_text(result), terminal);
    if (result.get_object().size() == 1 && !text_of(result, "text").empty())
        return paragraph(text_of(result, "text"), terminal);
    for (const auto& one : result.get_object())
        out += paragraph(std::string(one.key()) + ": " + member(result, one.key()), terminal);
    return out;
}

/// True if every member is a result of its own, as those of `analyze` are.
bool is_joined(const json::value& result) {
    if (!result.is_object() || result.get_object().empty()) return false;
    for (const auto& one : result.get_object())
        if (!one.value().is_object()) return false;
    return true;
}

std::string joined_text(const json::value& result, const Terminal& terminal) {
    std::string out;
    for (const auto& part : result.get_object())
        out += "  " + terminal.accent(part.key()) + "\n" + result_text(part.key(), part.value(), terminal);
    return out;
}

/// Where it is known and worth a word.
std::string until_done(const json::value& estimate) {
    const json::value* seconds = estimate.as_object().if_contains("secondsUntilDone");
    if (seconds == nullptr || seconds->is_null() || seconds->to_number<double>() == 0) return {};
    return ", done in about " + time_text(seconds->to_number<double>());
}

}  // namespace

std::string result_text(std::string_view type, const json::value& result, const Terminal& terminal) {
    if (type == "summarize" && !text_of(result, "summary").empty()) return summary_text(result, terminal);
    if (type == "entities") return entities_text(result, terminal);
    if (type == "sentiment" && !text_of(result, "sentiment").empty())
        return "  " + text_of(result, "sentiment") + " (" + member(result, "score") + ")\n";
    if (type == "classify" && !text_of(result, "label").empty())
        return "  " + text_of(result, "label") + " (" + member(result, "confidence") + ")\n";
    if (type == "embed")
        return "  " + counted(list_of(result, "vectors").size(), "vector") + " of " +
               member(result, "dimensions") + " dimensions (--json prints them)\n";
    if (is_joined(result)) return joined_text(result, terminal);
    return members_text(result, terminal);
}

std::string task_text(const json::value& task, const Terminal& terminal) {
    const json::object* object = task.if_object();
    const json::value* result = object == nullptr ? nullptr : object->if_contains("result");
    std::string out =
        result == nullptr ? std::string() : result_text(text_of(task, "type"), *result, terminal);
    const json::value* tokens = object == nullptr ? nullptr : object->if_contains("tokens");
    std::string by = "by " + text_of(task, "model");
    if (tokens != nullptr)
        by += ", " + member(*tokens, "prompt") + " + " + member(*tokens, "completion") + " tokens";
    if (const std::string cost = member(task, "cost"); !cost.empty() && cost != "0") by += ", cost " + cost;
    return out + terminal.dim("  " + by) + "\n";
}

std::string accepted_text(const json::value& receipt, const Terminal& terminal) {
    return "accepted " + terminal.bold(text_of(receipt, "id")) + "\n" +
           terminal.dim("  what became of it: " + text_of(receipt, "statusUrl")) + "\n";
}

std::string estimate_text(const json::value& estimate, const Terminal& terminal) {
    return "  " + member(estimate, "calls") + " calls to " + text_of(estimate, "model") + ", " +
           member(estimate, "promptTokens") + " prompt tokens, at most " +
           member(estimate, "outputTokensMax") + " of answers, cost at most " + member(estimate, "costMax") +
           until_done(estimate) + "\n" + terminal.dim("  nothing was accepted") + "\n";
}

}  // namespace millrace::app
