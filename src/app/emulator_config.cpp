#include "app/emulator_config.hpp"

#include "app/entities.hpp"

#include "app/configuration_rules.hpp"
#include "http/admin_path.hpp"
#include "http/admin_xml.hpp"

#include <boost/beast/core/string.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>

#include <algorithm>
#include <fstream>
#include <set>
#include <sstream>

namespace millrace::app {

namespace asio = boost::asio;
namespace json = boost::json;
using boost::beast::iequals;
using broker::EntityKind;

namespace {

constexpr std::size_t kFileBytesMax = 8 * limits::kMiB;
constexpr std::size_t kNestingMax = 32;

Error bad(const std::string& where, const std::string& why) {
    return Error{Errc::invalid_input, where + ": " + why};
}

/// The members of one object, whatever their case; what nobody asks for is noted at the end.
class Members {
  public:
    static Result<Members> of(const json::value& value, std::string where,
                              std::vector<std::string>& notices) {
        if (!value.is_object()) return bad(where, "an object {…} is expected");
        return Members(value.get_object(), std::move(where), notices);
    }

    /// Null counts as absent.
    const json::value* find(std::string_view name) {
        for (const auto& [key, value] : object_) {
            if (!iequals(std::string_view(key), name)) continue;
            asked_.insert(std::string(key));
            return value.is_null() ? nullptr : &value;
        }
        return nullptr;
    }

    Result<std::string> text(std::string_view name) {
        const json::value* value = find(name);
        if (value == nullptr) return std::string();
        if (!value->is_string()) return bad(where_ + "." + std::string(name), "a text is expected");
        return std::string(value->get_string());
    }
    Result<void> read(std::string_view name, bool& target) {
        const json::value* value = find(name);
        if (value == nullptr) return {};
        if (!value->is_bool()) return bad(where_ + "." + std::string(name), "true or false is expected");
        target = value->get_bool();
        return {};
    }
    Result<void> read(std::string_view name, int& target) {
        const json::value* value = find(name);
        if (value == nullptr) return {};
        if (!value->is_int64() || value->get_int64() < 1 ||
            value->get_int64() > limits::delivery_count_max_max)
            return bad(where_ + "." + std::string(name), "a whole number from 1 to 2000 is expected");
        target = static_cast<int>(value->get_int64());
        return {};
    }
    /// None: absent or empty, or for ever.
    Result<std::optional<Duration>> duration(std::string_view name) {
        const auto written = text(name);
        if (!written) return written.error();
        if (written->empty()) return std::optional<Duration>();
        auto time = http::parse_iso_duration(*written);
        if (!time) return bad(where_ + "." + std::string(name), time.error().detail);
        return time;
    }
    /// The elements of a list; none if it is absent.
    Result<std::vector<const json::value*>> list(std::string_view name) {
        std::vector<const json::value*> elements;
        const json::value* value = find(name);
        if (value == nullptr) return elements;
        if (!value->is_array()) return bad(where_ + "." + std::string(name), "a list […] is expected");
        for (const json::value& element : value->get_array()) elements.push_back(&element);
        return elements;
    }

    void note_unknown() {
        for (const auto& [key, value] : object_)
            if (!asked_.contains(std::string(key)))
                notices_.push_back("emulator_config: " + where_ + "." + std::string(key).substr(0, 100) +
                                   " means nothing here and is passed over");
    }
    const std::string& where() const noexcept { return where_; }
    std::vector<std::string>& notices() noexcept { return notices_; }

  private:
    Members(const json::object& object, std::string where, std::vector<std::string>& notices)
        : object_(object), where_(std::move(where)), notices_(notices) {}

    const json::object& object_;
    std::string where_;
    std::vector<std::string>& notices_;
    std::set<std::string> asked_;
};

const json::value& nothing() {
    static const json::value empty = json::object();
    return empty;
}

/// The name of the thing that `members` describes, which is put behind its place: "Queues.orders".
Result<std::string> name_of(const json::value& value, const std::string& where) {
    std::vector<std::string> ignored;
    auto members = Members::of(value, where, ignored);
    if (!members) return members.error();
    auto name = members->text("Name");
    if (name && name->empty()) return bad(where, "an entry has no Name");
    return name;
}

Result<broker::EntityOptions> read_options(const json::value& value, const std::string& where,
                                           EntityKind kind, std::vector<std::string>& notices) {
    auto members = Members::of(value, where, notices);
    if (!members) return members.error();
    broker::EntityOptions options;
    options.kind = kind;
    const auto life = members->duration("DefaultMessageTimeToLive");
    if (!life) return life.error();
    options.time_to_live = *life;
    if (kind != EntityKind::subscription) {
        bool detects = false;
        const auto read = members->read("RequiresDuplicateDetection", detects);
        if (!read) return read.error();
        const auto window = members->duration("DuplicateDetectionHistoryTimeWindow");
        if (!window) return window.error();
        if (detects) options.duplicate_window = window->value_or(std::chrono::minutes(10));
    }
    if (kind != EntityKind::topic) {
        auto read = members->read("DeadLetteringOnMessageExpiration", options.dead_letter_on_expiration);
        if (read) read = members->read("RequiresSession", options.requires_session);
        if (read) read = members->read("MaxDeliveryCount", options.delivery_count_max);
        if (!read) return read.error();
        const auto lock = members->duration("LockDuration");
        if (!lock) return lock.error();
        options.lock_time = lock->value_or(limits::lock_time_default);
        const auto target = members->text("ForwardTo");
        if (!target) return target.error();
        options.forward_to = http::forward_name(*target);
        const auto graveyard = members->text("ForwardDeadLetteredMessagesTo");
        if (!graveyard) return graveyard.error();
        options.forward_dead_letters_to = http::forward_name(*graveyard);
    }
    members->note_unknown();
    return options;
}

Result<broker::Value> read_value(const json::value& value, const std::string& where) {
    if (value.is_string()) return broker::Value(std::string(value.get_string()));
    if (value.is_bool()) return broker::Value(value.get_bool());
    if (value.is_int64()) return broker::Value(value.get_int64());
    if (value.is_uint64()) return broker::Value(value.get_uint64());
    if (value.is_double()) return broker::Value(value.get_double());
    return bad(where, "a text, a number, true or false is expected");
}

Result<broker::CorrelationFilter> read_correlation(const json::value& value, const std::string& where,
                                                   std::vector<std::string>& notices) {
    auto members = Members::of(value, where, notices);
    if (!members) return members.error();
    broker::CorrelationFilter filter;
    const std::pair<const char*, std::optional<std::string>*> fields[] = {
        {"CorrelationId", &filter.correlation_id},
        {"MessageId", &filter.message_id},
        {"To", &filter.to},
        {"ReplyTo", &filter.reply_to},
        {"Label", &filter.subject},
        {"Subject", &filter.subject},
        {"SessionId", &filter.session_id},
        {"ReplyToSessionId", &filter.reply_to_session_id},
        {"ContentType", &filter.content_type}};
    for (const auto& [name, target] : fields) {
        auto text = members->text(name);
        if (!text) return text.error();
        if (!text->empty()) *target = std::move(*text);
    }
    if (const json::value* properties = members->find("Properties")) {
        if (!properties->is_object()) return bad(where + ".Properties", "an object {…} is expected");
        for (const auto& [name, property] : properties->get_object()) {
            auto read = read_value(property, where + ".Properties." + std::string(name).substr(0, 100));
            if (!read) return read.error();
            filter.properties.emplace(std::string(name), std::move(*read));
        }
    }
    members->note_unknown();
    return filter;
}

/// The SqlExpression of the member `name`; "" if that is absent.
Result<std::string> read_sql(Members& members, std::string_view name) {
    const json::value* value = members.find(name);
    if (value == nullptr) return std::string();
    auto inner = Members::of(*value, members.where() + "." + std::string(name), members.notices());
    if (!inner) return inner.error();
    auto sql = inner->text("SqlExpression");
    if (sql) inner->note_unknown();
    return sql;
}

Result<broker::Rule> read_rule(const json::value& value, const std::string& where,
                               std::vector<std::string>& notices) {
    auto name = name_of(value, where);
    if (!name) return name.error();
    broker::Rule rule;
    rule.name = std::move(*name);
    auto outer = Members::of(value, where + "." + rule.name, notices);
    outer->find("Name");
    const json::value* properties = outer->find("Properties");
    outer->note_unknown();
    auto members = Members::of(properties == nullptr ? nothing() : *properties, outer->where(), notices);
    if (!members) return members.error();
    const auto type = members->text("FilterType");
    if (!type) return type.error();
    auto sql = read_sql(*members, "SqlFilter");
    if (!sql) return sql.error();
    const json::value* correlation = members->find("CorrelationFilter");
    if (iequals(*type, "Correlation") || (type->empty() && correlation != nullptr)) {
        auto filter = read_correlation(correlation == nullptr ? nothing() : *correlation,
                                       members->where() + ".CorrelationFilter", notices);
        if (!filter) return filter.error();
        rule.filter = std::move(*filter);
    } else if (iequals(*type, "Sql") || (type->empty() && !sql->empty())) {
        rule.filter = broker::SqlFilter{std::move(*sql)};
    } else if (!type->empty()) {
        return bad(members->where() + ".FilterType", "\"" + *type + "\" is neither Sql nor Correlation");
    }
    auto action = read_sql(*members, "Action");
    if (!action) return action.error();
    rule.action = std::move(*action);
    members->note_unknown();
    const auto checked = broker::check_rule(rule);
    if (!checked) return bad(members->where(), checked.error().detail);
    return rule;
}

/// Reads lists of entities into one configuration.
class Reader {
  public:
    explicit Reader(EmulatorConfig& made) : made_(made) {}

    /// The entry `value` of the list `list`; `topic` is that of a subscription.
    Result<void> read_entity(const json::value& value, const std::string& list, EntityKind kind,
                             const std::string& topic = "") {
        const auto name = name_of(value, list);
        if (!name) return name.error();
        const std::string where = list + "." + *name;
        auto members = Members::of(value, where, made_.notices);
        members->find("Name");
        const json::value* properties = members->find("Properties");
        auto options = read_options(properties == nullptr ? nothing() : *properties, where + ".Properties",
                                    kind, made_.notices);
        if (!options) return options.error();
        EmulatorEntity entity{
            topic.empty() ? *name : broker::subscription_path(topic, *name), std::move(*options), {}};
        const auto checked = broker::check_entity(entity.name, entity.options);
        if (!checked) return bad(where, checked.error().detail);
        if (kind == EntityKind::subscription) {
            auto read = read_rules(*members, entity);
            if (!read) return read;
        }
        made_.entities.push_back(std::move(entity));
        if (kind == EntityKind::topic) {
            auto read = read_list(*members, "Subscriptions", EntityKind::subscription, *name);
            if (!read) return read;
        }
        members->note_unknown();
        return {};
    }

    Result<void> read_list(Members& members, const char* list, EntityKind kind,
                           const std::string& topic = "") {
        const auto entries = members.list(list);
        if (!entries) return entries.error();
        const std::string where = (topic.empty() ? "" : members.where() + ".") + list;
        for (const json::value* entry : *entries) {
            auto read = read_entity(*entry, where, kind, topic);
            if (!read) return read;
        }
        return {};
    }

  private:
    Result<void> read_rules(Members& members, EmulatorEntity& entity) {
        const auto rules = members.list("Rules");
        if (!rules) return rules.error();
        for (const json::value* one : *rules) {
            auto rule = read_rule(*one, members.where() + ".Rules", made_.notices);
            if (!rule) return rule.error();
            entity.rules.push_back(std::move(*rule));
        }
        return {};
    }

    EmulatorConfig& made_;
};

Result<void> check_names(const EmulatorConfig& config) {
    std::vector<std::string_view> names;
    for (const EmulatorEntity& entity : config.entities) {
        const auto same = [&](std::string_view name) { return iequals(name, entity.name); };
        if (std::any_of(names.begin(), names.end(), same)) return bad(entity.name, "is defined twice");
        names.push_back(entity.name);
    }
    return {};
}

}  // namespace

Result<EmulatorConfig> parse_emulator_config(std::string_view text) {
    if (text.size() > kFileBytesMax) return bad("the file", "it is larger than 8 MiB");
    json::parse_options options;
    options.allow_comments = true;
    options.allow_trailing_commas = true;
    options.max_depth = kNestingMax;
    if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
    boost::system::error_code error;
    const json::value root = json::parse(text, error, {}, options);
    if (error) return bad("the file", "it is no JSON: " + error.message());
    EmulatorConfig made;
    auto file = Members::of(root, "Config", made.notices);
    if (!file) return file.error();
    const json::value* user = file->find("UserConfig");
    if (user == nullptr)
        return bad("Config", "there is no UserConfig; this is no Config.json of the emulator");
    auto config = Members::of(*user, "UserConfig", made.notices);
    if (!config) return config.error();
    config->find("Logging");   // log_level and log_format are this server's own
    const auto namespaces = config->list("Namespaces");
    if (!namespaces) return namespaces.error();
    Reader reader(made);
    for (const json::value* one : *namespaces) {
        auto members = Members::of(*one, "Namespaces", made.notices);
        if (!members) return members.error();
        members->find("Name");
        auto read = reader.read_list(*members, "Queues", EntityKind::queue);
        if (read) read = reader.read_list(*members, "Topics", EntityKind::topic);
        if (!read) return read.error();
        members->note_unknown();
    }
    config->note_unknown();
    file->note_unknown();
    const auto unique = check_names(made);
    if (!unique) return unique.error();
    return made;
}

Result<EmulatorConfig> read_emulator_config(const std::filesystem::path& file) {
    const std::string setting = "queue.emulator_config: ";
    std::ifstream in(file, std::ios::binary);
    std::stringstream text;
    if (in) text << in.rdbuf();
    if (!in || in.bad())
        return Error{Errc::invalid_input, setting + "can't read " + file.string() +
                                              "; check that it exists and that you may read it"};
    auto made = parse_emulator_config(text.str());
    if (!made) return Error{made.error().code, setting + file.string() + ": " + made.error().detail};
    return made;
}

asio::awaitable<Result<void>> put_emulator_entities(broker::Broker& broker,
                                                    std::vector<EmulatorEntity> entities) {
    const std::string setting = "queue.emulator_config: ";
    for (const EmulatorEntity& entity : entities) {  // those that forward to each other, too
        auto made = co_await create_missing(broker, entity.name, entity.options);
        if (!made) co_return Error{made.error().code, setting + entity.name + ": " + made.error().detail};
    }
    for (EmulatorEntity& entity : entities) {
        auto put = co_await broker.put_entity(entity.name, entity.options);
        if (put && !entity.rules.empty())
            put = co_await apply_rules(broker, entity.name, std::move(entity.rules));
        if (!put) co_return Error{put.error().code, setting + entity.name + ": " + put.error().detail};
    }
    co_return Result<void>();
}

}  // namespace millrace::app
