#include "app/configuration.hpp"

#include "app/configuration_check.hpp"
#include "app/configuration_rules.hpp"
#include "app/configuration_tasks.hpp"
#include "app/raw_configuration.hpp"
#include "app/settings.hpp"
#include "base/nearest.hpp"
#include "store/postgres.hpp"

#include <charconv>
#include <fstream>
#include <sstream>

extern char** environ;

namespace millrace::app {

namespace {

std::vector<std::string_view> words_of(std::string_view list) {
    std::vector<std::string_view> words;
    while (!list.empty()) {
        const auto bar = list.find('|');
        words.push_back(list.substr(0, bar));
        list = bar == std::string_view::npos ? "" : list.substr(bar + 1);
    }
    return words;
}

bool contains(const std::vector<std::string_view>& words, std::string_view word) {
    return std::find(words.begin(), words.end(), word) != words.end();
}

std::string shown(const RawValue& raw) {
    if (!raw.unsupported.empty()) return raw.unsupported;
    if (const auto* text = std::get_if<std::string>(&raw.value)) return "the text \"" + *text + "\"";
    if (const auto* number = std::get_if<std::int64_t>(&raw.value))
        return "the number " + std::to_string(*number);
    if (const auto* flag = std::get_if<bool>(&raw.value)) return *flag ? "true" : "false";
    std::ostringstream out;
    out << "the number " << std::get<double>(raw.value);
    return out.str();
}

/// Holds one section against its table.
class SectionReader {
  public:
    SectionReader(std::string_view section, const RawSection& raw, std::vector<std::string>& problems)
        : section_(section), raw_(raw), problems_(problems) {}

    template <class S>
    S read() {
        S part;
        std::vector<std::string_view> known;
        for (const auto& setting : kSettings<S>) known.push_back(setting.key);
        for (const auto& [key, value] : raw_.values)
            if (!contains(known, key)) report_unknown(key, value, known);
        for (const auto& setting : kSettings<S>) read_one(part, setting);
        return part;
    }

  private:
    template <class S>
    void read_one(S& part, const Setting<S>& setting) {
        const auto found = raw_.values.find(std::string(setting.key));
        if (found == raw_.values.end()) {
            if (setting.rule.required && raw_.place.size() && is_empty(part, setting))
                problems_.push_back(raw_.place + ": " + std::string(section_) + " needs a \"" +
                                    std::string(setting.key) + "\": " + std::string(setting.help));
            return;
        }
        const RawValue& raw = found->second;
        if (setting.rule.secret && !raw.from_environment) {
            report_secret(setting.key, raw);
            return;
        }
        std::visit([&](auto member) { assign(part.*member, setting.key, setting.unit, setting.rule, raw); },
                   setting.member);
    }

    template <class S>
    static bool is_empty(const S& part, const Setting<S>& setting) {
        const auto* member = std::get_if<std::string S::*>(&setting.member);
        return member != nullptr && (part.**member).empty();
    }

    void assign(std::string& target, std::string_view key, std::string_view unit, const Rule& rule,
                const RawValue& raw) {
        const auto* text = std::get_if<std::string>(&raw.value);
        if (text == nullptr || !raw.unsupported.empty())
            return report(key, raw,
                          "expected text in quotes" + (unit.empty() ? "" : " (" + std::string(unit) + ")") +
                              ", found " + shown(raw));
        const auto choices = words_of(rule.choices);
        if (contains(words_of(rule.later), *text))
            return report(
                key, raw,
                "\"" + *text + "\" is not in this version; use \"" + std::string(choices.front()) + "\"");
        if (!choices.empty() && !contains(choices, *text))
            return report(key, raw, "\"" + *text + "\" is none of the values" + hint(*text, choices));
        if (rule.required && text->empty()) return report(key, raw, "must not be empty");
        target = *text;
    }

    void assign(std::int64_t& target, std::string_view key, std::string_view unit, const Rule& rule,
                const RawValue& raw) {
        std::optional<std::int64_t> number;
        if (const auto* integer = std::get_if<std::int64_t>(&raw.value)) number = *integer;
        if (const auto* text = std::get_if<std::string>(&raw.value); text != nullptr && raw.from_environment)
            number = parse<std::int64_t>(*text);
        if (!number || !raw.unsupported.empty())
            return report(key, raw,
                          "expected a whole number" + (unit.empty() ? "" : " of " + std::string(unit)) +
                              ", found " + shown(raw));
        const bool off = rule.zero_too && *number == 0;
        if (!off && (*number < rule.min || *number > rule.max)) return report_range(key, unit, rule, raw);
        target = *number;
    }

    void assign(double& target, std::string_view key, std::string_view unit, const Rule& rule,
                const RawValue& raw) {
        std::optional<double> number;
        if (const auto* real = std::get_if<double>(&raw.value)) number = *real;
        if (const auto* integer = std::get_if<std::int64_t>(&raw.value))
            number = static_cast<double>(*integer);
        if (const auto* text = std::get_if<std::string>(&raw.value); text != nullptr && raw.from_environment)
            number = parse<double>(*text);
        if (!number || !raw.unsupported.empty())
            return report(key, raw, "expected a number, found " + shown(raw));
        const bool inside =
            *number >= static_cast<double>(rule.min) && *number <= static_cast<double>(rule.max);
        if (!inside) return report_range(key, unit, rule, raw);
        target = *number;
    }

    void assign(bool& target, std::string_view key, std::string_view, const Rule&, const RawValue& raw) {
        if (const auto* flag = std::get_if<bool>(&raw.value); flag != nullptr && raw.unsupported.empty()) {
            target = *flag;
            return;
        }
        const auto* text = std::get_if<std::string>(&raw.value);
        const bool word = text != nullptr && raw.from_environment;
        if (word && (*text == "true" || *text == "1"))
            target = true;
        else if (word && (*text == "false" || *text == "0"))
            target = false;
        else
            report(key, raw, "expected true or false, found " + shown(raw));
    }

    void assign(std::optional<std::vector<broker::Rule>>& target, std::string_view key, std::string_view,
                const Rule&, const RawValue& raw) {
        target = read_rules(std::string(section_) + "." + std::string(key), raw, problems_);
    }

    /// From the environment: words between commas.
    void assign(std::vector<std::string>& target, std::string_view key, std::string_view unit, const Rule&,
                const RawValue& raw) {
        if (raw.texts) {
            target = *raw.texts;
            return;
        }
        const auto* text = std::get_if<std::string>(&raw.value);
        if (text == nullptr || !raw.from_environment)
            return report(key, raw,
                          "expected a " + std::string(unit) + ", e.g. [\"a\", \"b\"], found " + shown(raw));
        target.clear();
        std::istringstream words(*text);
        for (std::string word; std::getline(words, word, ',');) target.push_back(word);
    }

    template <class T>
    static std::optional<T> parse(std::string_view text) {
        T number{};
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
        if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
        return number;
    }

    void report(std::string_view key, const RawValue& raw, const std::string& what) {
        problems_.push_back(raw.place + ": " + std::string(section_) + "." + std::string(key) + ": " + what);
    }

    void report_range(std::string_view key, std::string_view unit, const Rule& rule, const RawValue& raw) {
        std::string text = "must be ";
        if (rule.zero_too) text += "0 (off) or ";
        if (rule.max == std::numeric_limits<std::int64_t>::max())
            text += "at least " + std::to_string(rule.min);
        else
            text += "from " + std::to_string(rule.min) + " to " + std::to_string(rule.max);
        if (!unit.empty()) text += " " + std::string(unit);
        report(key, raw, text + ", found " + shown(raw));
    }

    void report_secret(std::string_view key, const RawValue& raw) {
        report(key, raw,
               "secrets don't belong into the file; put it into a file of its own and write " +
                   std::string(key) + "_file = \"PATH\", or set the variable MILLRACE_" + upper(section_) +
                   (section_ == "deployments" ? "__NAME__" : "__") + upper(key));
    }

    void report_unknown(const std::string& key, const RawValue& raw,
                        const std::vector<std::string_view>& known) {
        for (const LaterKey& later : kLaterKeys)
            if (later.section == section_ && later.key == key)
                return report(key, raw, "is not in this version");
        report(key, raw, "unknown key" + hint(key, known));
    }

    static std::string upper(std::string_view text) {
        std::string result(text);
        for (char& c : result)
            if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
        return result;
    }

    std::string_view section_;
    const RawSection& raw_;
    std::vector<std::string>& problems_;
};

template <class S>
void read_section(std::string_view name, const RawEntry& entry, S& part, std::vector<std::string>& problems) {
    if constexpr (kIsList<S>) {
        if (!entry.list && !entry.sections.empty())
            problems.push_back(entry.sections.front().place + ": " + std::string(name) +
                               " is a list; write [[" + std::string(name) + "]]");
        for (const RawSection& section : entry.sections)
            part.push_back(SectionReader(name, section, problems).read<typename S::value_type>());
    } else {
        if (entry.list) {
            const std::string place = entry.sections.empty() ? "" : entry.sections.front().place + ": ";
            problems.push_back(place + std::string(name) + " is one section; write [" + std::string(name) +
                               "]");
            return;
        }
        if (!entry.sections.empty()) part = SectionReader(name, entry.sections.front(), problems).read<S>();
    }
}

void report_unknown_sections(const RawConfiguration& raw, std::vector<std::string>& problems) {
    std::vector<std::string_view> known;
    Configuration defaults;
    for_each_section(defaults,
                     [&](std::string_view name, auto&, std::string_view) { known.push_back(name); });
    for (const auto& [name, entry] : raw) {
        if (contains(known, name)) continue;
        const std::string place = entry.sections.empty() ? "" : entry.sections.front().place + ": ";
        bool later = false;
        for (const LaterKey& key : kLaterKeys) later |= key.section == name && key.key.empty();
        if (later)
            problems.push_back(place + "[" + name + "] is not in this version");
        else if (!entry.sections.empty())
            problems.push_back(place + "unknown section [" + name + "]" + hint(name, known));
    }
}

Result<std::string> read_file(const std::filesystem::path& file) {
    std::ifstream in(file, std::ios::binary);
    std::stringstream text;
    if (in) text << in.rdbuf();
    if (!in || in.bad())
        return Error{Errc::not_found,
                     "can't read " + file.string() + "; check that it exists and that you may read it"};
    return text.str();
}

/// The first line of `file`, for the setting `place`.
std::string read_secret(const std::string& file, const std::string& place, const std::string& what,
                        std::vector<std::string>& problems) {
    const auto text = read_file(file);
    if (!text) {
        problems.push_back(place + ": " + text.error().detail);
        return {};
    }
    std::string secret = text->substr(0, text->find_first_of("\r\n"));
    if (secret.empty())
        problems.push_back(place + ": the first line of " + file + " is empty; put the " + what + " there");
    return secret;
}

void read_key_files(Configuration& configuration, std::vector<std::string>& problems) {
    QueueEngineSettings& queue = configuration.queue;
    if (queue.connection_string.empty() && !queue.connection_string_file.empty())
        queue.connection_string = read_secret(queue.connection_string_file, "queue.connection_string_file",
                                              "connection string", problems);
    StoreSettings& store = configuration.store;
    if (store.connection_string.empty() && !store.connection_string_file.empty())
        store.connection_string = read_secret(store.connection_string_file, "store.connection_string_file",
                                              "connection string", problems);
    if (!store.connection_string.empty() && problems.empty()) {
        const auto target = store::PostgresTarget::parse(store.connection_string);
        if (!target) problems.push_back("store.connection_string_file: " + target.error().detail);
    }
    for (DeploymentEntry& deployment : configuration.deployments) {
        if (!deployment.key.empty() || deployment.key_file.empty()) continue;
        deployment.key = read_secret(deployment.key_file, "deployments." + deployment.name + ".key_file",
                                     "API key", problems);
    }
}

/// Schemas that stand in files of their own, and what is wrong with tasks that have them.
void read_schema_files(Configuration& configuration, std::vector<std::string>& problems) {
    bool any = false;
    for (TaskEntry& task : configuration.tasks) {
        if (task.schema_file.empty()) continue;
        if (!task.schema.empty()) {
            problems.push_back("tasks." + task.type + ": schema and schema_file are both set; keep one");
            continue;
        }
        any = true;
        auto text = read_file(task.schema_file);
        if (text)
            task.schema = std::move(*text);
        else
            problems.push_back("tasks." + task.type + ".schema_file: " + text.error().detail);
    }
    if (any && problems.empty()) check_tasks(configuration, problems);
}

void warn_of_readers(const std::filesystem::path& file, std::vector<std::string>& warnings) {
    std::error_code ignored;
    const auto mode = std::filesystem::status(file, ignored).permissions();
    using std::filesystem::perms;
    if ((mode & (perms::group_read | perms::others_read)) != perms::none)
        warnings.push_back(file.string() + " can be read by other users; chmod 600 " + file.string());
}

}  // namespace

Environment process_environment() {
    Environment environment;
    for (char** entry = environ; *entry != nullptr; ++entry) {
        const std::string_view text(*entry);
        const auto equals = text.find('=');
        if (equals != std::string_view::npos)
            environment.emplace(text.substr(0, equals), text.substr(equals + 1));
    }
    return environment;
}

LoadedConfiguration parse_configuration(std::string_view text, const std::string& name,
                                        const Environment& environment) {
    LoadedConfiguration loaded;
    RawConfiguration raw = read_toml(text, name, loaded.problems);
    apply_environment(raw, environment, loaded.problems);
    report_unknown_sections(raw, loaded.problems);
    for_each_section(loaded.configuration, [&](std::string_view section, auto& part, std::string_view) {
        const auto found = raw.find(std::string(section));
        if (found != raw.end()) read_section(section, found->second, part, loaded.problems);
    });
    if (loaded.problems.empty()) check_configuration(loaded.configuration, loaded.problems);
    return loaded;
}

LoadedConfiguration load_configuration(const std::optional<std::filesystem::path>& file,
                                       const Environment& environment) {
    std::string text;
    std::string source;
    std::error_code absent;
    const std::filesystem::path usual = "millrace.toml";
    if (file || std::filesystem::exists(usual, absent)) {
        source = (file ? *file : usual).string();
        auto content = read_file(source);
        if (!content) {
            LoadedConfiguration failed;
            failed.problems.push_back(content.error().detail);
            return failed;
        }
        text = std::move(*content);
    }
    LoadedConfiguration loaded = parse_configuration(text, source, environment);
    loaded.source = source;
    if (loaded.problems.empty()) read_key_files(loaded.configuration, loaded.problems);
    if (loaded.problems.empty()) read_schema_files(loaded.configuration, loaded.problems);
    return loaded;
}

Error first_problem(const LoadedConfiguration& loaded) {
    std::string text = loaded.problems.front();
    const std::size_t more = loaded.problems.size() - 1;
    if (more > 0) text += " (and " + std::to_string(more) + " more: millrace config check)";
    return Error{Errc::invalid_input, std::move(text)};
}

Result<std::vector<std::string>> read_api_keys(const std::filesystem::path& file,
                                               std::vector<std::string>& warnings) {
    const auto text = read_file(file);
    if (!text) return Error{Errc::invalid_input, "server.api_keys_file: " + text.error().detail};
    std::vector<std::string> keys;
    std::istringstream lines(*text);
    for (std::string line; std::getline(lines, line);) {
        while (!line.empty() && (line.back() == '\r' || line.back() == ' ' || line.back() == '\t'))
            line.pop_back();
        if (!line.empty() && line.front() != '#') keys.push_back(line);
    }
    if (keys.empty())
        return Error{Errc::invalid_input,
                     "server.api_keys_file: " + file.string() + " holds no key; write one key per line"};
    warn_of_readers(file, warnings);
    return keys;
}

Result<std::shared_ptr<boost::asio::ssl::context>> read_server_tls(const ServerSettings& server) {
    if (server.tls_certificate.empty()) return std::shared_ptr<boost::asio::ssl::context>();
    auto made = make_server_tls(server.tls_certificate, server.tls_key);
    if (!made) return Error{made.error().code, "server.tls_certificate and tls_key: " + made.error().detail};
    return made;
}

Result<AccessKeys> read_access_keys(const std::filesystem::path& file, std::vector<std::string>& warnings) {
    const auto text = read_file(file);
    if (!text) return Error{Errc::invalid_input, "server.access_keys_file: " + text.error().detail};
    auto keys = AccessKeys::parse(*text);
    if (!keys)
        return Error{Errc::invalid_input,
                     "server.access_keys_file: " + file.string() + ", " + keys.error().detail};
    if (keys->empty())
        return Error{Errc::invalid_input, "server.access_keys_file: " + file.string() +
                                              " holds no key; write NAME KEY RIGHTS, one key per line"};
    warn_of_readers(file, warnings);
    return keys;
}

}  // namespace millrace::app
