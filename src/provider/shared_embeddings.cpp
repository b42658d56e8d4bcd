#include "provider/shared_embeddings.hpp"

#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>

#include <algorithm>
#include <charconv>
#include <functional>

namespace millrace::provider {

namespace json = boost::json;

namespace {

bool are_token_ids(const json::value& value) {
    if (!value.is_array() || value.get_array().empty()) return false;
    return std::ranges::all_of(value.get_array(), [](const json::value& id) { return id.is_int64(); });
}

bool is_space(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

/// Walks over JSON text that is known to be whole, without building values of it.
class Walk {
  public:
    explicit Walk(std::string_view text) : text_(text) {}

    /// The next value as it stands; empty at the end of what it walks in.
    std::string_view value() {
        skip_spaces();
        const std::size_t from = at_;
        if (at_ >= text_.size()) return {};
        if (text_[at_] == '"') {
            skip_string();
        } else if (text_[at_] == '[' || text_[at_] == '{') {
            skip_nested();
        } else {
            at_ = std::min(text_.find_first_of(",]} \n\r\t", at_), text_.size());
        }
        return text_.substr(from, at_ - from);
    }

    /// Passes `c` if it is next.
    bool pass(char c) {
        skip_spaces();
        if (at_ >= text_.size() || text_[at_] != c) return false;
        at_ += 1;
        return true;
    }

  private:
    void skip_spaces() {
        while (at_ < text_.size() && is_space(text_[at_])) at_ += 1;
    }
    void skip_string() {
        at_ = std::min(at_ + 1, text_.size());
        while (at_ < text_.size() && text_[at_] != '"') at_ += text_[at_] == '\\' ? 2 : 1;
        at_ = std::min(at_ + 1, text_.size());
    }
    void skip_nested() {
        for (int depth = 0; at_ < text_.size();) {
            at_ = std::min(text_.find_first_of("\"[]{}", at_), text_.size());
            if (at_ == text_.size()) return;
            const char c = text_[at_];
            if (c == '"') {
                skip_string();
                continue;
            }
            at_ += 1;
            depth += c == '[' || c == '{' ? 1 : -1;
            if (depth == 0) return;
        }
    }

    std::string_view text_;
    std::size_t at_ = 0;
};

/// Tells the members of `object` and their values, as they stand.
void for_each_member(std::string_view object,
                     const std::function<void(std::string_view, std::string_view)>& tell) {
    Walk walk(object);
    if (!walk.pass('{')) return;
    do {
        const std::string_view name = walk.value();
        if (name.size() < 2 || name.front() != '"' || !walk.pass(':')) return;
        tell(name.substr(1, name.size() - 2), walk.value());
    } while (walk.pass(','));
}

/// The vectors of `data`, in the order of their numbers; false if one is missing or there are others.
bool read_vectors(std::string_view data, std::vector<std::string_view>& vectors) {
    Walk walk(data);
    if (!walk.pass('[')) return false;
    std::size_t found = 0;
    do {
        std::string_view vector;
        std::size_t index = vectors.size();
        const auto keep = [&](std::string_view name, std::string_view value) {
            if (name == "embedding") vector = value;
            if (name == "index") std::from_chars(value.data(), value.data() + value.size(), index);
        };
        for_each_member(walk.value(), keep);
        if (vector.empty() || index >= vectors.size() || !vectors[index].empty()) return false;
        vectors[index] = vector;
        found += 1;
    } while (walk.pass(','));
    return found == vectors.size();
}

std::string answer_of(std::span<const std::string_view> vectors, std::string_view model,
                      std::int64_t prompt_tokens) {
    std::string text = R"({"object":"list","data":[)";
    for (std::size_t i = 0; i < vectors.size(); ++i) {
        text += i == 0 ? R"({"object":"embedding","index":)" : R"(,{"object":"embedding","index":)";
        text += std::to_string(i) + R"(,"embedding":)";
        text.append(vectors[i]) += '}';
    }
    text += ']';
    if (!model.empty()) text.append(R"(,"model":)").append(model);
    const std::string tokens = std::to_string(prompt_tokens);
    return text + R"(,"usage":{"prompt_tokens":)" + tokens + R"(,"total_tokens":)" + tokens + "}}";
}

}  // namespace

std::optional<EmbeddingsRequest> read_embeddings_request(const json::object& request) {
    const json::value* input = request.if_contains("input");
    if (input == nullptr) return std::nullopt;
    EmbeddingsRequest taken;
    bool ids = are_token_ids(*input);
    if (input->is_string() || ids) {
        taken.inputs.push_back(json::serialize(*input));
    } else {
        if (!input->is_array() || input->get_array().empty()) return std::nullopt;
        const json::array& all = input->get_array();
        ids = are_token_ids(all.front());
        for (const json::value& one : all) {
            if (ids ? !are_token_ids(one) : !one.is_string()) return std::nullopt;
            taken.inputs.push_back(json::serialize(one));
        }
    }
    json::object rest = request;
    rest.erase("input");
    rest.erase("model");
    // Texts and token ids can't stand in one request.
    taken.rest = (ids ? "#" : "") + json::serialize(rest);
    return taken;
}

std::string join_requests(std::span<const EmbeddingsRequest* const> requests) {
    std::string_view rest = requests.front()->rest;
    if (rest.front() == '#') rest.remove_prefix(1);
    std::string text = R"({"input":[)";
    for (const EmbeddingsRequest* one : requests)
        for (const std::string& input : one->inputs) {
            if (text.back() != '[') text += ',';
            text += input;
        }
    text += ']';
    if (rest != "{}") text += ',';
    return text.append(rest.substr(1));
}

std::optional<std::vector<std::string>> split_answer(std::string_view answer,
                                                     std::span<const EmbeddingsShare> shares) {
    std::string_view data;
    std::string_view model;
    for_each_member(answer, [&](std::string_view name, std::string_view value) {
        if (name == "data") data = value;
        if (name == "model") model = value;
    });
    std::size_t inputs = 0;
    for (const EmbeddingsShare& share : shares) inputs += share.inputs;
    std::vector<std::string_view> vectors(inputs);
    if (!read_vectors(data, vectors)) return std::nullopt;
    std::vector<std::string> answers;
    std::span<const std::string_view> left(vectors);
    for (const EmbeddingsShare& share : shares) {
        answers.push_back(answer_of(left.first(share.inputs), model, share.prompt_tokens));
        left = left.subspan(share.inputs);
    }
    return answers;
}

std::vector<std::int64_t> divide(std::int64_t tokens, std::span<const std::int64_t> weights) {
    double all = 0;
    for (const std::int64_t weight : weights) all += static_cast<double>(std::max<std::int64_t>(weight, 1));
    std::vector<std::int64_t> parts;
    double before = 0;
    std::int64_t given = 0;
    for (const std::int64_t weight : weights) {
        before += static_cast<double>(std::max<std::int64_t>(weight, 1));
        const auto until = static_cast<std::int64_t>(static_cast<double>(tokens) * (before / all) + 0.5);
        parts.push_back(until - given);
        given = until;
    }
    return parts;
}

}  // namespace millrace::provider
