#include "http/admin_xml.hpp"

#include "base/limits.hpp"
#include "base/utf8.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

namespace millrace::http {

namespace {

constexpr std::size_t kEntryBytesMax = 256 * limits::kKiB;
constexpr char kAtom[] = "http://www.w3.org/2005/Atom";
constexpr char kForEver[] = "P10675199DT2H48M5.4775807S";
constexpr double kForEverMillis = 10'675'199.0 * 86'400'000.0;

Error bad(std::string why) { return Error{Errc::invalid_input, std::move(why)}; }

}  // namespace

void XmlWriter::append(std::string_view text) {
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (c == '&')
            text_ += "&amp;";
        else if (c == '<')
            text_ += "&lt;";
        else if (c == '>')
            text_ += "&gt;";
        else if (c == '"')
            text_ += "&quot;";
        else if (c == '\t' || c == '\n' || c == '\r')
            text_ += "&#" + std::to_string(byte) + ";";
        else
            text_ += byte < 0x20 || byte == 0x7F ? '?' : c;   // XML 1.0, 2.2: cannot be written at all
    }
}

void XmlWriter::begin(std::string_view name, const Attributes& attributes) {
    text_.append("<").append(name);
    for (const auto& [key, value] : attributes) {
        text_.append(" ").append(key).append("=\"");
        append(value);
        text_ += '"';
    }
}

void XmlWriter::open(std::string_view name, const Attributes& attributes) {
    begin(name, attributes);
    text_ += '>';
    open_.emplace_back(name);
}

void XmlWriter::close() {
    text_.append("</").append(open_.back()).append(">");
    open_.pop_back();
}

void XmlWriter::element(std::string_view name, std::string_view text, const Attributes& attributes) {
    begin(name, attributes);
    if (text.empty()) {
        text_ += "/>";
        return;
    }
    text_ += '>';
    append(text);
    text_.append("</").append(name).append(">");
}

std::string atom_entry(const AtomEntry& entry, std::string_view author) {
    XmlWriter xml;
    xml.open("entry", {{"xmlns", kAtom}});
    xml.element("id", entry.url);
    xml.element("title", entry.title, {{"type", "text"}});
    xml.element("published", to_rfc3339(entry.published));
    xml.element("updated", to_rfc3339(entry.updated));
    xml.open("author");
    xml.element("name", author);
    xml.close();
    xml.element("link", "", {{"rel", "self"}, {"href", entry.url}});
    xml.open("content", {{"type", "application/xml"}});
    xml.raw(entry.content);
    xml.close();
    xml.close();
    return xml.take();
}

std::string atom_feed(std::string_view title, const std::string& url, const std::string& next,
                      TimePoint updated, const std::vector<std::string>& entries) {
    XmlWriter xml;
    xml.open("feed", {{"xmlns", kAtom}});
    xml.element("title", title, {{"type", "text"}});
    xml.element("id", url);
    xml.element("updated", to_rfc3339(updated));
    xml.element("link", "", {{"rel", "self"}, {"href", url}});
    if (!next.empty()) xml.element("link", "", {{"rel", "next"}, {"href", next}});
    for (const std::string& entry : entries) xml.raw(entry);
    xml.close();
    return xml.take();
}

std::string error_xml(unsigned status, std::string_view detail) {
    XmlWriter xml;
    xml.open("Error");
    xml.element("Code", std::to_string(status));
    xml.element("Detail", detail);
    xml.close();
    return xml.take();
}

std::string_view local_name(const char* name) noexcept {
    const std::string_view full(name);
    const auto colon = full.rfind(':');
    return colon == std::string_view::npos ? full : full.substr(colon + 1);
}

pugi::xml_node child_called(pugi::xml_node parent, std::string_view name) noexcept {
    for (pugi::xml_node node = parent.first_child(); node; node = node.next_sibling())
        if (node.type() == pugi::node_element && local_name(node.name()) == name) return node;
    return {};
}

std::string text_of(pugi::xml_node node) {
    std::string text;
    for (const pugi::xml_node part : node.children())
        if (part.type() == pugi::node_pcdata || part.type() == pugi::node_cdata) text += part.value();
    return text;
}

std::string type_of(pugi::xml_node node) {
    for (const pugi::xml_attribute attribute : node.attributes())
        if (local_name(attribute.name()) == "type") return std::string(local_name(attribute.value()));
    return {};
}

Result<Description> parse_entry(std::string_view body) {
    if (body.size() > kEntryBytesMax) return bad("the body is larger than 256 KiB");
    if (!is_utf8(body)) return bad("the body is not UTF-8");
    auto document = std::make_shared<pugi::xml_document>();
    const auto parsed = document->load_buffer(
        body.data(), body.size(), pugi::parse_default | pugi::parse_ws_pcdata_single, pugi::encoding_utf8);
    if (!parsed)
        return bad(std::string("the body is not well-formed XML: ") + parsed.description() + " at byte " +
                   std::to_string(parsed.offset));
    const pugi::xml_node content = child_called(child_called(*document, "entry"), "content");
    for (const pugi::xml_node node : content.children())
        if (node.type() == pugi::node_element) return Description{std::move(document), node};
    return bad("the body is no Atom entry with a description in its content");
}

std::string iso_duration(std::optional<Duration> time) {
    if (!time || static_cast<double>(time->count()) >= kForEverMillis - 1) return kForEver;
    std::int64_t millis = std::max<std::int64_t>(time->count(), 0);
    const auto take = [&millis](std::int64_t unit) {
        const std::int64_t count = millis / unit;
        millis %= unit;
        return count;
    };
    const std::int64_t days = take(86'400'000);
    const std::int64_t hours = take(3'600'000);
    const std::int64_t minutes = take(60'000);
    const std::int64_t seconds = take(1000);
    std::string text = "P";
    if (days > 0) text += std::to_string(days) + "D";
    std::string clock;
    if (hours > 0) clock += std::to_string(hours) + "H";
    if (minutes > 0) clock += std::to_string(minutes) + "M";
    if (seconds > 0 || millis > 0 || (days == 0 && clock.empty())) {
        clock += std::to_string(seconds);
        if (millis > 0) clock += "." + std::to_string(1000 + millis).substr(1);
        clock += "S";
    }
    return clock.empty() ? text : text + "T" + clock;
}

Result<std::optional<Duration>> parse_iso_duration(std::string_view text) {
    const Error wrong =
        bad("\"" + std::string(text.substr(0, 50)) + "\" is no duration; write ISO 8601, e.g. PT1M or P7D");
    struct Unit {
        char letter;
        double millis;
    };
    constexpr std::array<Unit, 6> units = {{{'Y', 365 * 86'400'000.0},
                                            {'M', 30 * 86'400'000.0},
                                            {'D', 86'400'000.0},
                                            {'H', 3'600'000.0},
                                            {'M', 60'000.0},
                                            {'S', 1000.0}}};
    constexpr std::size_t clock_units = 3;
    if (!text.starts_with('P') || text.size() < 3 || text.ends_with('T')) return wrong;
    text.remove_prefix(1);
    double millis = 0;
    std::size_t next = 0;
    while (!text.empty()) {
        if (text.front() == 'T') {
            if (next > clock_units) return wrong;
            next = clock_units;
            text.remove_prefix(1);
            if (text.starts_with('T')) return wrong;
            continue;
        }
        double count = 0;
        const auto [end, error] =
            std::from_chars(text.data(), text.data() + text.size(), count, std::chars_format::fixed);
        const bool sign = text.front() == '-';
        if (error != std::errc{} || sign || end == text.data() + text.size()) return wrong;
        const std::size_t bound = next < clock_units ? clock_units : units.size();
        while (next < bound && units[next].letter != *end) ++next;
        if (next == bound || !std::isfinite(count)) return wrong;
        millis += count * units[next].millis;
        ++next;
        // After the last unit of days only a 'T' may follow.
        if (next == clock_units && static_cast<std::size_t>(end - text.data()) + 1 < text.size() &&
            end[1] != 'T')
            return wrong;
        text.remove_prefix(static_cast<std::size_t>(end - text.data()) + 1);
    }
    if (millis >= kForEverMillis - 1) return std::optional<Duration>();
    return std::optional<Duration>(Duration(std::llround(millis)));
}

std::optional<TimePoint> parse_time(std::string_view text) {
    const auto digits = [&text](std::size_t at, std::size_t count) {
        int value = -1;
        if (at + count > text.size()) return -1;
        const char* begin = text.data() + at;
        const auto [end, error] = std::from_chars(begin, begin + count, value);
        return error == std::errc{} && end == begin + count ? value : -1;
    };
    if (text.size() < 19 || text[4] != '-' || text[7] != '-' || text[10] != 'T' || text[13] != ':' ||
        text[16] != ':')
        return std::nullopt;
    const std::chrono::year_month_day date{std::chrono::year(digits(0, 4)),
                                           std::chrono::month(static_cast<unsigned>(digits(5, 2))),
                                           std::chrono::day(static_cast<unsigned>(digits(8, 2)))};
    const int hours = digits(11, 2), minutes = digits(14, 2), seconds = digits(17, 2);
    if (digits(0, 4) < 0 || !date.ok() || hours < 0 || hours > 23 || minutes < 0 || minutes > 59 ||
        seconds < 0 || seconds > 60)
        return std::nullopt;
    TimePoint time = std::chrono::sys_days(date) + std::chrono::hours(hours) + std::chrono::minutes(minutes) +
                     std::chrono::seconds(seconds);
    std::string_view rest = text.substr(19);
    if (rest.starts_with('.')) {
        std::size_t places = 1;
        int weight = 100;
        for (; places < rest.size() && rest[places] >= '0' && rest[places] <= '9'; ++places) {
            time += Duration((rest[places] - '0') * weight);
            weight /= 10;
        }
        rest.remove_prefix(places);
    }
    if (rest.empty() || rest == "Z") return time;
    if (rest.size() != 6 || (rest[0] != '+' && rest[0] != '-') || rest[3] != ':') return std::nullopt;
    const std::size_t zone = text.size() - 6;
    const int zone_hours = digits(zone + 1, 2), zone_minutes = digits(zone + 4, 2);
    if (zone_hours < 0 || zone_minutes < 0) return std::nullopt;
    const auto offset = std::chrono::hours(zone_hours) + std::chrono::minutes(zone_minutes);
    return rest[0] == '+' ? time - offset : time + offset;
}

}  // namespace millrace::http
