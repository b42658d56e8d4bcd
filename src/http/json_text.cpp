#include "http/json_text.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include <charconv>
#include <cmath>

namespace millrace::http {

namespace json = boost::json;

namespace {

void append(std::string& out, const json::value& value);

void append_number(std::string& out, double number) {
    if (!std::isfinite(number)) {
        out += "null";
        return;
    }
    char text[32];
    const auto [end, error] = std::to_chars(text, text + sizeof text, number);
    out.append(text, error == std::errc{} ? end : text);
}

void append_array(std::string& out, const json::array& array) {
    out += '[';
    for (std::size_t i = 0; i < array.size(); ++i) {
        if (i > 0) out += ',';
        append(out, array[i]);
    }
    out += ']';
}

void append_object(std::string& out, const json::object& object) {
    out += '{';
    bool first = true;
    for (const auto& member : object) {
        if (!first) out += ',';
        first = false;
        out += json::serialize(member.key());
        out += ':';
        append(out, member.value());
    }
    out += '}';
}

void append(std::string& out, const json::value& value) {
    if (const auto* object = value.if_object())
        append_object(out, *object);
    else if (const auto* array = value.if_array())
        append_array(out, *array);
    else if (const auto* number = value.if_double())
        append_number(out, *number);
    else
        out += json::serialize(value);
}

}  // namespace

std::string json_text(const json::value& value) {
    std::string out;
    append(out, value);
    return out;
}

}  // namespace millrace::http
