#include "handlers/task_types.hpp"

#include "base/deep_json.hpp"
#include "base/nearest.hpp"

#include <boost/json/array.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include <algorithm>
#include <set>

namespace millrace::handlers {

namespace json = boost::json;

namespace {

constexpr std::size_t kTextBytesMax = 200;
constexpr std::size_t kListMax = 100;
constexpr std::int64_t kWordsMax = 100'000;

struct BuiltIn {
    const char* name;
    TaskShape shape;
    std::int64_t output_tokens_max;
    const char* prompt;
    const char* schema;
};

constexpr char kSummary[] =
    R"({"type":"object","properties":{"summary":{"type":"string"},"keyPoints":{"type":"array","items":{"type":"string"}}},"required":["summary","keyPoints"],"additionalProperties":false})";
constexpr char kEntities[] =
    R"({"type":"object","properties":{"entities":{"type":"array","items":{"type":"object","properties":{"text":{"type":"string"},"type":{"type":"string"},"count":{"type":"integer"}},"required":["text","type","count"],"additionalProperties":false}}},"required":["entities"],"additionalProperties":false})";
constexpr char kSentiment[] =
    R"({"type":"object","properties":{"sentiment":{"type":"string","enum":["positive","negative","neutral","mixed"]},"score":{"type":"number"}},"required":["sentiment","score"],"additionalProperties":false})";
constexpr char kClasses[] =
    R"({"type":"object","properties":{"label":{"type":"string"},"confidence":{"type":"number"}},"required":["label","confidence"],"additionalProperties":false})";

constexpr BuiltIn kBuiltIn[] = {
    {"summarize", TaskShape::summary, 1024,
     "Summarize the text that the user sends. Say what matters to somebody who will not read it, in plain "
     "sentences, without anything that is not in the text; then its key points, one short sentence each.",
     kSummary},
    {"classify", TaskShape::classes, 128,
     "Tell which label fits the text that the user sends best, and how sure you are, from 0 to 1.", kClasses},
    {"entities", TaskShape::entities, 2048,
     "List the named entities in the text that the user sends, each once: as it is written there, its type "
     "in "
     "one lower-case word (person, organization, location, date, money, …), and how often it occurs.",
     kEntities},
    {"sentiment", TaskShape::answer, 128,
     "Judge the sentiment of the text that the user sends: positive, negative, neutral or mixed, and a score "
     "from -1 (as negative as can be) to 1 (as positive as can be).",
     kSentiment},
    {"embed", TaskShape::embedding, 0, "", ""},
    {"analyze", TaskShape::steps, 0, "", ""},
};

std::map<std::string, TaskType, std::less<>> built_in() {
    std::map<std::string, TaskType, std::less<>> types;
    for (const BuiltIn& row : kBuiltIn) {
        TaskType& type = types[row.name];
        type.name = row.name;
        type.shape = row.shape;
        type.prompt = row.prompt;
        type.schema = row.schema;
        type.output_tokens_max = row.output_tokens_max;
    }
    types["analyze"].steps = {"summarize", "entities", "sentiment"};
    return types;
}

/// What an entry says replaces what is built in.
void override_with(TaskType& type, TaskType entry) {
    if (!entry.deployment.empty()) type.deployment = std::move(entry.deployment);
    if (!entry.prompt.empty()) type.prompt = std::move(entry.prompt);
    if (!entry.schema.empty()) type.schema = std::move(entry.schema);
    if (!entry.labels.empty()) type.labels = std::move(entry.labels);
    if (!entry.steps.empty()) type.steps = std::move(entry.steps);
    if (entry.output_tokens_max > 0) type.output_tokens_max = entry.output_tokens_max;
    if (entry.input_tokens_max > 0) type.input_tokens_max = entry.input_tokens_max;
}

using Types = std::map<std::string, TaskType, std::less<>>;

void check_steps(const Types& types, const TaskType& type, std::vector<std::string>& problems) {
    std::vector<std::string_view> known;
    for (const auto& [name, one] : types) known.push_back(name);
    for (const std::string& step : type.steps)
        if (!types.contains(step))
            problems.push_back("tasks." + type.name + ": steps: there is no task \"" + step + "\"" +
                               hint(step, known));
    if (std::set<std::string>(type.steps.begin(), type.steps.end()).size() != type.steps.size())
        problems.push_back("tasks." + type.name + ": steps: one is named twice");
}

/// True if `name` can be reached from `from` by steps.
bool reaches(const Types& types, const std::string& from, const std::string& name,
             std::set<std::string>& seen) {
    const auto found = types.find(from);
    if (found == types.end() || !seen.insert(from).second) return false;
    for (const std::string& step : found->second.steps)
        if (step == name || reaches(types, step, name, seen)) return true;
    return false;
}

void check_type(const Types& types, TaskType& type, std::vector<std::string>& problems) {
    const std::string place = "tasks." + type.name + ": ";
    if (!type.steps.empty()) {
        type.shape = TaskShape::steps;
        if (!type.prompt.empty() || !type.schema.empty())
            problems.push_back(place + "has steps beside a prompt or a schema; a task is one or the other");
        check_steps(types, type, problems);
        std::set<std::string> seen;
        if (reaches(types, type.name, type.name, seen))
            problems.push_back(place + "steps: the task would be a step of itself");
        return;
    }
    if (type.prompt.empty() && type.shape != TaskShape::embedding)
        problems.push_back(place + "needs a prompt, or steps = [\"…\"]");
    if (type.schema.empty()) return;
    auto schema = JsonSchema::parse(type.schema);
    if (schema)
        type.checked = std::move(*schema);
    else
        problems.push_back(place + "schema: " + schema.error().detail);
}

std::string normal_name(std::string_view name) {
    std::string normal;
    for (const char c : name)
        if (c != '_') normal += static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
    return normal;
}

Error wrong(std::string_view name, const std::string& expected) {
    return Error{Errc::invalid_input, "options: \"" + std::string(name) + "\" is not " + expected};
}

Result<std::vector<std::string>> read_list(std::string_view name, const json::value& value) {
    std::vector<std::string> list;
    const std::string expected = "a list of 1 to " + std::to_string(kListMax) + " different texts of 1 to " +
                                 std::to_string(kTextBytesMax) + " bytes";
    if (!value.is_array()) return wrong(name, expected);
    for (const json::value& one : value.get_array()) {
        const bool fits =
            one.is_string() && !one.get_string().empty() && one.get_string().size() <= kTextBytesMax;
        if (!fits) return wrong(name, expected);
        list.emplace_back(one.get_string());
        if (std::count(list.begin(), list.end(), list.back()) > 1) return wrong(name, expected);
    }
    if (list.empty() || list.size() > kListMax) return wrong(name, expected);
    return list;
}

/// The options that `type` knows, or one of its steps.
void collect_options(const TaskCatalogue& catalogue, const TaskType& type,
                     std::set<std::string_view>& known) {
    if (type.shape == TaskShape::summary) known.insert({"maxWords", "style"});
    if (type.shape == TaskShape::classes) known.insert("labels");
    if (type.shape == TaskShape::entities) known.insert("types");
    if (type.shape != TaskShape::embedding) known.insert("language");
    for (const std::string& step : type.steps)
        if (const TaskType* one = catalogue.find(step)) collect_options(catalogue, *one, known);
}

Result<void> read_option(std::string_view name, const json::value& value, TaskOptions& options) {
    if (name == "maxWords") {
        boost::system::error_code error;
        options.words_max = value.to_number<std::int64_t>(error);
        if (error || options.words_max < 1 || options.words_max > kWordsMax)
            return wrong(name, "a whole number from 1 to " + std::to_string(kWordsMax));
        return {};
    }
    if (name == "labels" || name == "types") {
        auto list = read_list(name, value);
        if (!list) return list.error();
        (name == "labels" ? options.labels : options.types) = std::move(*list);
        return {};
    }
    if (!value.is_string() || value.get_string().size() > kTextBytesMax)
        return wrong(name, "a text of at most " + std::to_string(kTextBytesMax) + " bytes");
    (name == "style" ? options.style : options.language) = value.get_string();
    return {};
}

std::string quoted_list(const std::vector<std::string>& words) {
    std::string text;
    for (const std::string& word : words)
        text += (text.empty() ? "" : ", ") + json::serialize(json::string(word));
    return text;
}

json::object* property(json::value& schema, std::initializer_list<std::string_view> path) {
    json::value* at = &schema;
    for (const std::string_view name : path) {
        json::object* object = at->if_object();
        at = object == nullptr ? nullptr : object->if_contains(name);
        if (at == nullptr) return nullptr;
    }
    return at->if_object();
}

}  // namespace

TaskCatalogue TaskCatalogue::make(std::vector<TaskType> configured, std::vector<std::string>& problems) {
    TaskCatalogue catalogue;
    catalogue.types_ = built_in();
    std::set<std::string> seen;
    for (TaskType& entry : configured) {
        const std::string name = entry.name;
        if (!seen.insert(name).second) problems.push_back("tasks: \"" + name + "\" is defined twice");
        const auto known = catalogue.types_.find(name);
        if (known != catalogue.types_.end())
            override_with(known->second, std::move(entry));
        else
            catalogue.types_.emplace(name, std::move(entry));
    }
    const Types types = catalogue.types_;
    for (auto& [name, type] : catalogue.types_) check_type(types, type, problems);
    return catalogue;
}

const TaskType* TaskCatalogue::find(std::string_view name) const {
    const auto found = types_.find(name);
    return found == types_.end() ? nullptr : &found->second;
}

std::vector<std::string> TaskCatalogue::names() const {
    std::vector<std::string> names;
    for (const auto& [name, type] : types_) names.push_back(name);
    return names;
}

Result<TaskOptions> read_options(const TaskCatalogue& catalogue, const TaskType& type,
                                 const json::object& options) {
    std::set<std::string_view> known;
    collect_options(catalogue, type, known);
    TaskOptions read;
    for (const auto& [name, value] : options) {
        const auto fits = [&](std::string_view one) { return normal_name(one) == normal_name(name); };
        const auto found = std::find_if(known.begin(), known.end(), fits);
        if (found == known.end()) {
            const std::vector<std::string_view> words(known.begin(), known.end());
            return Error{Errc::invalid_input, "options: \"" + std::string(name.substr(0, 100)) +
                                                  "\" is unknown to " + type.name +
                                                  (words.empty() ? "" : hint(name, words))};
        }
        if (value.is_null()) continue;
        auto one = read_option(*found, value, read);
        if (!one) return one.error();
    }
    return read;
}

const std::vector<std::string>& labels_for(const TaskType& type, const TaskOptions& options) {
    return options.labels.empty() ? type.labels : options.labels;
}

std::string instructions_for(const TaskType& type, const TaskOptions& options) {
    std::string text = type.prompt;
    if (type.shape == TaskShape::summary && options.words_max > 0)
        text += "\nUse at most " + std::to_string(options.words_max) + " words for the summary.";
    if (type.shape == TaskShape::summary && !options.style.empty())
        text += "\nWrite the summary in this style: " + options.style + ".";
    if (type.shape == TaskShape::classes)
        text += "\nThe labels: " + quoted_list(labels_for(type, options)) + ".";
    if (type.shape == TaskShape::entities && !options.types.empty())
        text += "\nOnly entities of these types: " + quoted_list(options.types) + ".";
    if (!options.language.empty()) text += "\nAnswer in this language: " + options.language + ".";
    return text;
}

std::string schema_for(const TaskType& type, const TaskOptions& options) {
    const bool of_labels = type.shape == TaskShape::classes && !labels_for(type, options).empty();
    const bool of_types = type.shape == TaskShape::entities && !options.types.empty();
    if (type.schema.empty() || (!of_labels && !of_types)) return type.schema;
    json::value schema = json::parse(type.schema, {}, kDeepJson);
    json::object* narrowed =
        of_labels ? property(schema, {"properties", "label"})
                  : property(schema, {"properties", "entities", "items", "properties", "type"});
    if (narrowed == nullptr) return type.schema;
    json::array words;
    for (const std::string& word : of_labels ? labels_for(type, options) : options.types)
        words.emplace_back(word);
    (*narrowed)["enum"] = std::move(words);
    return json::serialize(schema);
}

}  // namespace millrace::handlers
