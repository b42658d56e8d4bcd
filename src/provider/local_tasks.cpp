#include "provider/local_tasks.hpp"

#include "base/deep_json.hpp"
#include "base/limits.hpp"
#include "provider/local_classify.hpp"
#include "provider/local_entities.hpp"
#include "provider/local_sentiment.hpp"
#include "provider/local_summary.hpp"
#include "provider/local_words.hpp"
#include "provider/openai_protocol.hpp"
#include "provider/schema.hpp"
#include "text/utf8.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/string.hpp>

#include <span>

namespace millrace::provider {

namespace json = boost::json;

namespace {

constexpr std::size_t kTitleBytesMax = 100;

/// The most tokens of an answer in free text; 0: no bound.
std::size_t tokens_of(const CompletionRequest& request) {
    return request.output_tokens_max > 0 ? static_cast<std::size_t>(request.output_tokens_max) : 0;
}

json::object summary_of(const std::string& text, std::size_t tokens_max = 0) {
    const ExtractedSummary summary = extract_summary(text, tokens_max);
    return {{"summary", summary.summary},
            {"keyPoints", json::array(summary.key_points.begin(), summary.key_points.end())}};
}

json::object class_of(const std::string& text, const std::vector<std::string>& labels,
                      const std::vector<std::vector<float>>& vectors) {
    const std::size_t parts = vectors.size() - std::min(vectors.size(), labels.size());
    const std::span all(vectors);
    const auto scores = score_labels(text, labels, all.first(parts), all.subspan(parts));
    json::array list;
    for (const LabelScore& one : scores)
        list.push_back({{"label", well_formed(one.label)}, {"score", one.score}});
    return {{"label", well_formed(scores.front().label)},
            {"confidence", scores.front().score},
            {"scores", std::move(list)}};
}

json::object entities_of(const std::string& text) {
    json::array list;
    for (const FoundEntity& one : find_entities(text))
        list.push_back({{"text", one.text}, {"type", one.type}, {"count", one.count}});
    return {{"entities", std::move(list)}};
}

json::object sentiment_of(const std::string& text) {
    const TextSentiment mood = judge_sentiment(text);
    json::array list;
    for (const SentenceSentiment& one : mood.sentences)
        list.push_back({{"text", one.text}, {"sentiment", one.sentiment}, {"score", one.score}});
    return {{"sentiment", mood.sentiment}, {"score", mood.score}, {"sentences", std::move(list)}};
}

/// What a property of a schema of one's own may be called, and what is known of it.
std::optional<json::value> known_property(const std::string& text, std::string_view name) {
    if (name == "summary" || name == "abstract" || name == "description")
        return summary_of(text).at("summary");
    if (name == "keyPoints" || name == "key_points" || name == "highlights")
        return summary_of(text).at("keyPoints");
    if (name == "title" || name == "subject" || name == "headline") {
        const auto sentences = sentences_of(text);
        if (sentences.empty()) return std::nullopt;
        const std::string first = one_spaced(sentences.front().text);
        return json::value(text::prefix_utf8(first, kTitleBytesMax));
    }
    if (name == "entities") return entities_of(text).at("entities");
    if (name == "sentiment") return sentiment_of(text).at("sentiment");
    if (name == "sentimentScore" || name == "sentiment_score") return sentiment_of(text).at("score");
    for (const std::string_view type :
         {"person", "organization", "location", "date", "email", "url", "money"}) {
        const std::string many = std::string(type) + "s";
        if (name != type && name != many && !(type == "person" && name == "people")) continue;
        json::array found;
        for (const FoundEntity& one : find_entities(text)) {
            if (one.type == type) found.emplace_back(one.text);
        }
        if (name != type) return found;
        return found.empty() ? std::nullopt : std::optional(found.front());
    }
    return std::nullopt;
}

std::optional<json::object> known_task(const CompletionRequest& request, const std::string& text,
                                       const std::vector<std::vector<float>>& vectors) {
    if (request.task == "summarize") return summary_of(text, tokens_of(request));
    if (request.task == "classify") return class_of(text, request.labels, vectors);
    if (request.task == "entities") return entities_of(text);
    if (request.task == "sentiment") return sentiment_of(text);
    return std::nullopt;
}

json::value shaped(const std::string& schema, const std::string& text,
                   const std::optional<json::object>& known) {
    ValueSource source;
    source.known = [&](std::string_view name) -> std::optional<json::value> {
        if (!known) return known_property(text, name);
        const json::value* value = known->if_contains(name);
        return value ? std::optional(*value) : std::nullopt;
    };
    source.text = [](std::string_view) { return std::string(); };
    source.pick = [](std::size_t) { return std::size_t{0}; };
    return value_for_schema(json::parse(schema, {}, kDeepJson), source);
}

}  // namespace

std::optional<Failure> reason_not_to_answer(const CompletionRequest& request) {
    std::string why;
    if (request.input.empty())
        why = "nothing to answer";
    else if (request.input.size() > limits::text_bytes_max)
        why = "the text has " + std::to_string(request.input.size()) + " bytes, at most " +
              std::to_string(limits::text_bytes_max);
    else if (request.task == "classify" && request.labels.empty())
        why = "without labels only a remote model can classify";
    boost::system::error_code error;
    if (why.empty() && !request.schema.empty()) {
        const json::value schema = json::parse(request.schema, error, {}, kDeepJson);
        if (error || !schema.is_object()) why = "the schema isn't a JSON object";
    }
    if (why.empty()) return std::nullopt;
    why.insert(0, std::string(kLocalCompletionModel).append(": "));
    return Failure{FailureKind::rejected, 0, why};
}

std::vector<std::string> texts_to_embed(const CompletionRequest& request) {
    if (request.task != "classify") return {};
    std::vector<std::string> texts = parts_to_embed(well_formed(request.input));
    for (const std::string& label : request.labels) {
        texts.push_back(label_as_words(label));
        if (texts.back().empty()) texts.back() = "-";
    }
    return texts;
}

Completion answer_task(const CompletionRequest& request, const std::vector<std::vector<float>>& vectors) {
    const std::string text = well_formed(request.input);
    const auto known = known_task(request, text, vectors);
    Completion completion;
    if (!request.schema.empty())
        completion.text = json::serialize(shaped(request.schema, text, known));
    else if (known)
        completion.text = json::serialize(*known);
    else
        completion.text = extract_summary(text, tokens_of(request)).summary;
    completion.model = kLocalCompletionModel;
    completion.usage.prompt_tokens = estimate_tokens(request.input);
    completion.usage.completion_tokens = estimate_tokens(completion.text);
    return completion;
}

}  // namespace millrace::provider
