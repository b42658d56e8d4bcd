#include "http/json_fields.hpp"

#include "base/nearest.hpp"

#include <boost/json/memory_resource.hpp>
#include <boost/json/parser.hpp>

#include <cmath>
#include <new>

namespace millrace::http {

namespace {

constexpr std::size_t kValueBytesFactor = 16;
constexpr std::size_t kValueBytesMax = 192 * limits::kMiB;

/// Bounds what the values of one text may take: "[1,1,1,…" would take many times its size.
class BoundedMemory final : public json::memory_resource {
  public:
    explicit BoundedMemory(std::size_t bytes_max) : left_(bytes_max) {}

  private:
    // Boost.JSON 1.81 gives keys back with another alignment than it asked for; none is above the default.
    void* do_allocate(std::size_t bytes, std::size_t) override {
        if (bytes > left_) throw std::bad_alloc();
        left_ -= bytes;
        return ::operator new(bytes);
    }
    void do_deallocate(void* memory, std::size_t bytes, std::size_t) override {
        left_ += bytes;
        ::operator delete(memory);
    }
    bool do_is_equal(const memory_resource& other) const noexcept override { return this == &other; }

    std::size_t left_;
};

std::string position(std::string_view text, std::size_t offset) {
    const std::string_view before = text.substr(0, std::min(offset, text.size()));
    const auto line = 1 + std::count(before.begin(), before.end(), '\n');
    const auto line_start = before.rfind('\n');
    const auto column = 1 + before.size() - (line_start == std::string_view::npos ? 0 : line_start + 1);
    return "line " + std::to_string(line) + ", column " + std::to_string(column);
}

/// 'a'–'z' and digits of `name` in lower case: "uploaded_at", "UploadedAt" and "uploadedAt" are one name.
bool same_name(std::string_view a, std::string_view b) noexcept {
    std::size_t i = 0, j = 0;
    while (true) {
        while (i < a.size() && a[i] == '_') ++i;
        while (j < b.size() && b[j] == '_') ++j;
        if (i == a.size() || j == b.size()) return i == a.size() && j == b.size();
        if ((a[i++] | 0x20) != (b[j++] | 0x20)) return false;
    }
}

}  // namespace

Checked<json::value> parse_json(std::string_view text) {
    const std::size_t bytes_max = std::min(text.size() * kValueBytesFactor + limits::kMiB, kValueBytesMax);
    json::parser parser;
    parser.reset(json::make_shared_resource<BoundedMemory>(bytes_max));
    boost::system::error_code error;
    try {
        const std::size_t used = parser.write_some(text.data(), text.size(), error);
        if (error == json::error::incomplete) return Rejection{400, "malformed JSON: it ends in the middle"};
        if (error)
            return Rejection{400, "malformed JSON at " + position(text, used) + ": " + error.message()};
        const auto rest = text.find_first_not_of(" \t\r\n", used);
        if (rest != std::string_view::npos)
            return Rejection{400, "malformed JSON at " + position(text, rest) + ": text after the end"};
        return parser.release();
    } catch (const std::bad_alloc&) {
        return Rejection{413, "the JSON holds too many values for its size"};
    }
}

std::optional<Rejection> for_each_json_line(std::string_view text, const UseLine& use) {
    for (std::size_t number = 1; !text.empty(); ++number) {
        const auto end = std::min(text.find('\n'), text.size());
        const std::string_view line = text.substr(0, end);
        text.remove_prefix(std::min(end + 1, text.size()));
        if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
        const std::string where = "line " + std::to_string(number) + ": ";
        auto value = parse_json(line);
        if (!value) return Rejection{value.error().status, where + value.error().detail};
        if (auto problem = use(*value, where)) return problem;
    }
    return std::nullopt;
}

bool is_json(const Request& request) {
    constexpr std::string_view wanted = "application/json";
    std::string_view type = request.header("Content-Type");
    type = type.substr(0, type.find(';'));
    while (type.ends_with(' ')) type.remove_suffix(1);
    const auto same = [](char a, char b) { return (a | 0x20) == (b | 0x20); };
    return std::equal(type.begin(), type.end(), wanted.begin(), wanted.end(), same);
}

std::string_view kind_of(const json::value& value) noexcept {
    switch (value.kind()) {
        case json::kind::string: return "text";
        case json::kind::int64:
        case json::kind::uint64:
        case json::kind::double_: return "a number";
        case json::kind::bool_: return "true or false";
        case json::kind::array: return "a list";
        case json::kind::object: return "an object";
        case json::kind::null: break;
    }
    return "null";
}

JsonFields::JsonFields(const json::object& object, std::span<const std::string_view> known, std::string where)
    : object_(object), where_(std::move(where)) {
    for (const auto& member : object_) {
        const std::string_view name(member.key().data(), member.key().size());
        const bool fine =
            std::any_of(known.begin(), known.end(), [&](auto other) { return same_name(name, other); });
        if (!fine) reject_unknown(name, known);
    }
}

const json::value* JsonFields::find(std::string_view name) const noexcept {
    const json::value* found = object_.if_contains(name);
    if (found == nullptr)
        for (const auto& member : object_)
            if (same_name({member.key().data(), member.key().size()}, name)) found = &member.value();
    return found == nullptr || found->is_null() ? nullptr : found;
}

std::string JsonFields::text(std::string_view name, std::size_t bytes_max, unsigned too_long) {
    const json::value* value = find(name);
    if (value == nullptr || rejection_) return {};
    const json::string* text = value->if_string();
    if (text == nullptr) {
        reject_type(name, "text", *value);
        return {};
    }
    if (text->size() > bytes_max)
        reject(std::string(name) + " is longer than " + std::to_string(bytes_max) + " bytes", too_long);
    return rejection_ ? std::string() : std::string(text->data(), text->size());
}

std::optional<std::int64_t> JsonFields::integer(std::string_view name, std::int64_t min, std::int64_t max) {
    const json::value* value = find(name);
    if (value == nullptr || rejection_) return std::nullopt;
    boost::system::error_code error;
    const auto number = value->to_number<std::int64_t>(error);
    if (!value->is_number() || error) {
        reject_type(name, "a whole number", *value);
        return std::nullopt;
    }
    if (number >= min && number <= max) return number;
    reject(std::string(name) + " must be from " + std::to_string(min) + " to " + std::to_string(max));
    return std::nullopt;
}

std::optional<double> JsonFields::number(std::string_view name, double min, double max) {
    const json::value* value = find(name);
    if (value == nullptr || rejection_) return std::nullopt;
    if (!value->is_number()) {
        reject_type(name, "a number", *value);
        return std::nullopt;
    }
    const auto number = value->to_number<double>();
    if (number >= min && number <= max) return number;
    reject(std::string(name) + " is out of range");
    return std::nullopt;
}

std::optional<bool> JsonFields::flag(std::string_view name) {
    const json::value* value = find(name);
    if (value == nullptr || rejection_) return std::nullopt;
    if (const bool* flag = value->if_bool()) return *flag;
    reject_type(name, "true or false", *value);
    return std::nullopt;
}

const json::object* JsonFields::object(std::string_view name) {
    const json::value* value = find(name);
    if (value == nullptr || rejection_) return nullptr;
    if (!value->is_object()) reject_type(name, "an object", *value);
    return value->if_object();
}

void JsonFields::reject(std::string detail, unsigned status) {
    if (!rejection_) rejection_ = Rejection{status, where_ + detail};
}

/// "filter." as the place of a field becomes "filter: " before what is no field.
void JsonFields::reject_unknown(std::string_view name, std::span<const std::string_view> known) {
    if (rejection_) return;
    const bool inner = where_.ends_with('.');
    const std::string place = inner ? where_.substr(0, where_.size() - 1) + ": " : where_;
    rejection_ = Rejection{
        400, place + "unknown field \"" + std::string(name.substr(0, 100)) + "\"" + hint(name, known)};
}

void JsonFields::reject_type(std::string_view name, std::string_view expected, const json::value& found) {
    reject(std::string(name) + ": expected " + std::string(expected) + ", found " +
           std::string(kind_of(found)));
}

}  // namespace millrace::http
