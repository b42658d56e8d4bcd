#include "app/raw_configuration.hpp"

#include "app/settings.hpp"
#include "base/nearest.hpp"

#include <toml++/toml.h>

#include <algorithm>
#include <charconv>

namespace millrace::app {

namespace {

std::string place_of(const std::string& name, const toml::node& node) {
    return name + ":" + std::to_string(node.source().begin.line);
}

RawSection raw_section(const std::string& name, const toml::table& table);

std::optional<std::vector<RawSection>> raw_tables(const std::string& name, const toml::node& node) {
    if (const auto* table = node.as_table()) return std::vector<RawSection>{raw_section(name, *table)};
    const auto* array = node.as_array();
    if (array == nullptr) return std::nullopt;
    std::vector<RawSection> tables;
    for (const auto& element : *array) {
        const auto* table = element.as_table();
        if (table == nullptr) return std::nullopt;
        tables.push_back(raw_section(name, *table));
    }
    return tables;
}

std::optional<std::vector<std::string>> raw_texts(const toml::node& node) {
    const auto* array = node.as_array();
    if (array == nullptr) return std::nullopt;
    std::vector<std::string> texts;
    for (const auto& element : *array) {
        const auto* text = element.as_string();
        if (text == nullptr) return std::nullopt;
        texts.push_back(text->get());
    }
    return texts;
}

RawValue raw_value(const std::string& name, const toml::node& node) {
    RawValue raw;
    raw.place = place_of(name, node);
    if (const auto* text = node.as_string())
        raw.value = text->get();
    else if (const auto* integer = node.as_integer())
        raw.value = integer->get();
    else if (const auto* number = node.as_floating_point())
        raw.value = number->get();
    else if (const auto* flag = node.as_boolean())
        raw.value = flag->get();
    else
        raw.tables = raw_tables(name, node), raw.texts = raw_texts(node);
    if (node.is_array() || node.is_table() || node.is_date() || node.is_time() || node.is_date_time())
        raw.unsupported = node.is_array() ? "a list" : node.is_table() ? "a table" : "a date";
    return raw;
}

RawSection raw_section(const std::string& name, const toml::table& table) {
    RawSection section;
    section.place = place_of(name, table);
    for (const auto& [key, node] : table)
        section.values.emplace(std::string(key.str()), raw_value(name, node));
    return section;
}

RawEntry raw_entry(const std::string& name, const toml::node& node, const std::string& key,
                   std::vector<std::string>& problems) {
    RawEntry entry;
    if (const auto* table = node.as_table()) {
        entry.sections.push_back(raw_section(name, *table));
        return entry;
    }
    const auto* array = node.as_array();
    entry.list = true;
    if (array == nullptr) {
        problems.push_back(place_of(name, node) + ": \"" + key +
                           "\" stands outside a section; write it below [" + "section]");
        return entry;
    }
    for (const auto& element : *array) {
        if (const auto* table = element.as_table())
            entry.sections.push_back(raw_section(name, *table));
        else
            problems.push_back(place_of(name, element) + ": " + key + ": expected a table, as in [[" + key +
                               "]]");
    }
    return entry;
}

/// "my-deploy.1" → "MY_DEPLOY_1": how a name stands in a variable.
std::string folded(std::string_view name) {
    std::string text(name);
    for (char& c : text) {
        const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!letter)
            c = '_';
        else if (c >= 'a' && c <= 'z')
            c = static_cast<char>(c - 'a' + 'A');
    }
    return text;
}

std::string lower(std::string_view text) {
    std::string result(text);
    for (char& c : result)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    return result;
}

const std::string* name_of(const RawSection& section) {
    for (const char* key : {"name", "queue", "path", "type"}) {
        const auto found = section.values.find(key);
        if (found == section.values.end()) continue;
        if (const auto* text = std::get_if<std::string>(&found->second.value)) return text;
    }
    return nullptr;
}

RawSection* list_section(RawEntry& entry, std::string_view name, const std::string& variable,
                         std::vector<std::string>& problems) {
    std::size_t number = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
    if (error == std::errc{} && end == name.data() + name.size()) {
        if (number == entry.sections.size()) entry.sections.push_back({variable, {}});
        if (number < entry.sections.size()) return &entry.sections[number];
        problems.push_back(variable + ": there are " + std::to_string(entry.sections.size()) +
                           " entries, so the next number is " + std::to_string(entry.sections.size()));
        return nullptr;
    }
    for (RawSection& section : entry.sections) {
        const std::string* own = name_of(section);
        if (own != nullptr && folded(*own) == folded(name)) return &section;
    }
    problems.push_back(variable + ": no entry is called \"" + lower(name) +
                       "\"; name one of the file, or a number from 0");
    return nullptr;
}

bool is_list_section(std::string_view name) {
    bool list = false;
    Configuration defaults;
    for_each_section(defaults, [&](std::string_view section, auto& part, std::string_view) {
        if (section == name) list = kIsList<std::remove_reference_t<decltype(part)>>;
    });
    return list;
}

constexpr std::string_view kPrefix = "MILLRACE_";
constexpr std::string_view kSeparator = "__";

void apply_variable(RawConfiguration& raw, const std::string& variable, const std::string& value,
                    std::vector<std::string>& problems) {
    std::string_view rest = std::string_view(variable).substr(kPrefix.size());
    const auto cut = rest.find(kSeparator);
    const std::string section_name = lower(rest.substr(0, cut));
    rest.remove_prefix(cut + kSeparator.size());

    RawEntry& entry = raw[section_name];
    RawSection* section = nullptr;
    if (is_list_section(section_name)) {
        const auto key_cut = rest.rfind(kSeparator);
        if (key_cut == std::string_view::npos) {
            problems.push_back(variable + ": \"" + section_name + "\" is a list; write MILLRACE_" +
                               folded(section_name) + "__NAME__KEY or a number from 0 as NAME");
            return;
        }
        entry.list = true;
        section = list_section(entry, rest.substr(0, key_cut), variable, problems);
        rest.remove_prefix(key_cut + kSeparator.size());
    } else {
        if (entry.sections.empty()) entry.sections.push_back({variable, {}});
        section = &entry.sections.front();
    }
    if (section == nullptr) return;
    RawValue& target = section->values[lower(rest)];
    target = RawValue{value, "", variable, true, std::nullopt, std::nullopt};
}

}  // namespace

RawConfiguration read_toml(std::string_view text, const std::string& name,
                           std::vector<std::string>& problems) {
    RawConfiguration raw;
    try {
        const toml::table root = toml::parse(text, name);
        for (const auto& [key, node] : root) {
            const std::string section(key.str());
            raw.emplace(section, raw_entry(name, node, section, problems));
        }
    } catch (const toml::parse_error& error) {
        problems.push_back(name + ":" + std::to_string(error.source().begin.line) + ":" +
                           std::to_string(error.source().begin.column) + ": " +
                           std::string(error.description()));
    }
    return raw;
}

void apply_environment(RawConfiguration& raw, const Environment& environment,
                       std::vector<std::string>& problems) {
    for (const auto& [variable, value] : environment) {
        const bool ours =
            variable.starts_with(kPrefix) && variable.find(kSeparator, kPrefix.size()) != std::string::npos;
        if (ours) apply_variable(raw, variable, value, problems);
    }
}

}  // namespace millrace::app
