// Any bytes as a request of the administration API, as the emulator's file, as access keys and as a token: an
// answer, and a description that was accepted is written in a form that reads back as the same.
#include "app/emulator_config.hpp"
#include "base/sas.hpp"
#include "fuzz/fuzz.hpp"
#include "http/admin_entity.hpp"
#include "http/admin_path.hpp"
#include "http/admin_rule.hpp"

namespace millrace::fuzz {

namespace {

std::string entry(const std::string& description) {
    return "<entry xmlns=\"http://www.w3.org/2005/Atom\"><content>" + description + "</content></entry>";
}

template <class T>
void require_one_line(const Result<T>& result) {
    if (result) return;
    require(!result.error().detail.empty(), "an error has words");
    require(result.error().detail.find('\0') == std::string::npos, "an error is text");
}

void check_entity(pugi::xml_node element) {
    const auto first = http::read_entity(element, nullptr);
    require_one_line(first);
    if (!first || !broker::check_entity("name", first->options)) return;
    broker::EntityCounts counts;
    counts.name = "name";
    counts.options = first->options;
    const auto parsed =
        http::parse_entry(entry(http::entity_xml(counts, "host", 1, limits::message_bytes_max)));
    require(parsed.has_value(), "what is written is well-formed");
    const auto second = http::read_entity(parsed->element, &first->options);
    require(second.has_value(), "what is written is accepted");
    require(second->options.lock_time == first->options.lock_time, "the lock time reads back");
    require(second->options.time_to_live == first->options.time_to_live, "the time to live reads back");
    require(second->options.bytes_max == first->options.bytes_max, "the quota reads back");
}

void check_rule(pugi::xml_node element) {
    const auto first = http::read_rule(element, "r");
    require_one_line(first);
    if (!first) return;
    const auto parsed = http::parse_entry(entry(http::rule_xml(*first)));
    require(!parsed || http::read_rule(parsed->element, "r").has_value(), "what is written is accepted");
}

}  // namespace

std::vector<std::string> seeds() {
    broker::EntityCounts counts;
    counts.name = "orders";
    counts.options.forward_to = "other";
    counts.options.user_metadata = "<&>";
    broker::CorrelationFilter filter;
    filter.subject = "s";
    filter.properties = {{"a", std::string("b")}, {"c", 2.5}, {"d", std::int64_t(5)}, {"e", true}};
    return {
        entry(http::entity_xml(counts, "host:1", 2, limits::message_bytes_max)),
        entry(http::rule_xml({"r", filter, "SET a = 'b'", {}})),
        entry(http::rule_xml({"r", broker::SqlFilter{"a > 5"}, "", {}})),
        R"({"UserConfig": {"Namespaces": [{"Name": "n", "Queues": [{"Name": "q", "Properties":
            {"LockDuration": "PT1M", "MaxDeliveryCount": 3, "ForwardTo": ""}}], "Topics": [{"Name": "t",
            "Subscriptions": [{"Name": "s", "Rules": [{"Name": "r", "Properties": {"FilterType": "Sql",
            "SqlFilter": {"SqlExpression": "a = 1"}}}]}]}]}]}})",
        "Root secret Manage\napp other Send,Listen orders # ours\n",
        make_sas_token("sb://127.0.0.1/orders", "Root", "secret", from_millis(4'000'000'000'000)),
        "P1Y2M3DT4H5M6.5S",
        "2026-01-02T03:04:05.678+02:30",
        "sb://host:5671/a%2Fb/$management?x=1",
    };
}

void check(std::string_view input) {
    const auto parsed = http::parse_entry(input);
    require_one_line(parsed);
    if (parsed) {
        check_entity(parsed->element);
        check_rule(parsed->element);
    }
    require_one_line(app::parse_emulator_config(input));
    require_one_line(AccessKeys::parse(input));
    static const AccessKeys keys = AccessKeys::parse("Root secret Manage").value();
    require_one_line(keys.verify(input, from_millis(0)));
    const std::string path = audience_path(input);
    require(!path.starts_with('/') && !path.ends_with('/'), "a path has no outer slashes");
    const auto time = http::parse_iso_duration(input);
    require(!time || http::parse_iso_duration(http::iso_duration(*time)).value() == *time,
            "a time reads back");
    (void)http::parse_time(input);
    (void)http::forward_name(input);
}

}  // namespace millrace::fuzz
