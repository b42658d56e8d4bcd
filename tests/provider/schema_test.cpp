#include "provider/schema.hpp"

#include <gtest/gtest.h>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

namespace millrace::provider {
namespace {

namespace json = boost::json;

/// Nothing is known, everything is as small as it may be.
ValueSource nothing() {
    ValueSource source;
    source.text = [](std::string_view) { return std::string(); };
    source.pick = [](std::size_t) { return std::size_t{0}; };
    return source;
}

/// The largest of every choice, and texts of eleven characters.
ValueSource plenty() {
    ValueSource source;
    source.text = [](std::string_view name) { return "\xC3\xA4 text of " + std::string(name.substr(0, 1)); };
    source.pick = [](std::size_t count) { return count - 1; };
    return source;
}

struct Case {
    std::string schema, least, most;
};

TEST(ValueForSchema, FitsEveryKindOfSchema) {
    const Case cases[] = {
        {R"({"type":"string"})", R"("")", "\"\xC3\xA4 text of \""},
        {R"({"type":"string","minLength":3})", R"("...")", "\"\xC3\xA4 text of \""},
        {R"({"type":"string","maxLength":4})", R"("")", "\"\xC3\xA4 te\""},
        {R"({"type":"string","format":"date"})", R"("2000-01-01")", R"("2000-01-01")"},
        {R"({"enum":["a","b",3]})", R"("a")", "3"},
        {R"({"const":7})", "7", "7"},
        {R"({"type":"integer"})", "0", "100"},
        {R"({"type":"integer","minimum":5,"maximum":9})", "5", "9"},
        {R"({"type":"integer","exclusiveMinimum":5,"exclusiveMaximum":7})", "6", "6"},
        {R"({"type":"integer","minimum":5,"multipleOf":4})", "8", "104"},
        {R"({"type":"integer","maximum":-3})", "-3", "-3"},
        {R"({"type":"boolean"})", "false", "true"},
        {R"({"type":"null"})", "null", "null"},
        {R"({"type":["null","integer"]})", "0", "100"},
        {R"({"type":"array","items":{"type":"integer"}})", "[]", "[100,100,100]"},
        {R"({"type":"array","items":{"type":"null"},"minItems":2,"maxItems":2})", "[null,null]",
         "[null,null]"},
        {R"({"type":"array","prefixItems":[{"const":1},{"const":"x"}],"items":{"const":9}})", R"([1,"x"])",
         R"([1,"x",9])"},
        {R"({"anyOf":[{"type":"null"},{"const":"x"}]})", R"("x")", R"("x")"},
        {R"({"$ref":"#/$defs/id","$defs":{"id":{"const":4}}})", "4", "4"},
        {R"({"allOf":[{"type":"object","properties":{"a":{"const":1}},"required":["a"]},
                      {"properties":{"b":{"const":2}},"required":["b"]}]})",
         R"({"a":1,"b":2})", R"({"a":1,"b":2})"},
        {R"({"type":"object","properties":{"z":{"const":1},"a":{"type":"object","properties":{}}},"required":["z"]})",
         R"({"z":1,"a":{}})", R"({"z":1,"a":{}})"},
        {"true", "null", "null"},
        {"{}", R"("")", "\"\xC3\xA4 text of \""},
    };
    for (const Case& c : cases) {
        EXPECT_EQ(json::serialize(value_for_schema(json::parse(c.schema), nothing())),
                  json::serialize(json::parse(c.least)))
            << c.schema;
        EXPECT_EQ(json::serialize(value_for_schema(json::parse(c.schema), plenty())),
                  json::serialize(json::parse(c.most)))
            << c.schema;
    }
}

TEST(ValueForSchema, NumbersStayWithinTheirBounds) {
    const json::value schema = json::parse(R"({"type":"number","minimum":-1,"maximum":1})");
    for (std::size_t step = 0; step <= 10; ++step) {
        ValueSource source = nothing();
        source.pick = [&](std::size_t count) { return (count - 1) * step / 10; };
        const double number = value_for_schema(schema, source).to_number<double>();
        EXPECT_GE(number, -1);
        EXPECT_LE(number, 1);
    }
}

TEST(ValueForSchema, TakesWhatIsKnownAsFarAsItFits) {
    ValueSource source = nothing();
    source.known = [](std::string_view name) -> std::optional<json::value> {
        if (name == "title") return json::value("Known");
        if (name == "size") return json::value("not a number");
        if (name == "tags") return json::parse(R"(["a",5,"b"])");
        if (name == "mood") return json::value("odd");
        if (name == "who") return json::parse(R"([{"text":"Ada","type":"person","extra":1}])");
        return std::nullopt;
    };
    const auto schema = json::parse(R"({"type":"object","properties":{
        "title":{"type":["string","null"]}, "size":{"type":"integer"}, "mood":{"enum":["good","bad"]},
        "tags":{"type":"array","items":{"type":"string"},"maxItems":2},
        "who":{"type":"array","items":{"type":"object","properties":{"text":{"type":"string"},"age":{"type":"integer"}}}},
        "other":{"anyOf":[{"type":"string"},{"type":"null"}]}}})");
    EXPECT_EQ(
        json::serialize(value_for_schema(schema, source)),
        R"({"title":"Known","size":0,"mood":"good","tags":["a",""],"who":[{"text":"Ada","age":0}],"other":""})");
}

TEST(ValueForSchema, EndsWhateverRefersToItself) {
    const auto list =
        json::parse(R"({"$ref":"#/$defs/node","$defs":{"node":{"type":"object","required":["next"],
        "properties":{"next":{"anyOf":[{"$ref":"#/$defs/node"},{"type":"null"}]}}}}})");
    EXPECT_TRUE(value_for_schema(list, plenty()).is_object());
    const auto tree = json::parse(R"({"type":"object","required":["of"],"properties":{
        "of":{"type":"array","items":{"$ref":"#"}}}})");
    EXPECT_TRUE(value_for_schema(tree, plenty()).is_object());
    for (const char* endless : {R"({"$ref":"#"})", R"({"$ref":"#/nowhere"})", R"({"allOf":[{"$ref":"#"}]})"})
        (void)value_for_schema(json::parse(endless), plenty());
}

TEST(StrictSchema, RequiresAllAndAllowsNothingElse) {
    struct Schema {
        std::string text;
        bool strict;
    };
    const Schema cases[] = {
        {R"({"type":"object","properties":{"a":{"type":"string"}},"required":["a"],"additionalProperties":false})",
         true},
        {R"({"type":"object","properties":{},"additionalProperties":false})", true},
        {R"({"type":"object","properties":{"a":{"type":"string"}},"required":["a"]})", false},
        {R"({"type":"object","properties":{"a":{"type":"string"}},"additionalProperties":false})", false},
        {R"({"type":"object","properties":{"a":{"type":"string"}},"required":["a"],"additionalProperties":{}})",
         false},
        {R"({"type":"array","items":{"type":"string"}})", false},
        {R"({"type":"object","properties":{"a":{"type":"array","items":{"type":"object","properties":{"b":{}}}}},
             "required":["a"],"additionalProperties":false})",
         false},
        {R"({"type":"object","properties":{"a":{"enum":[{"type":"object"}]}},"required":["a"],"additionalProperties":false})",
         true},
        {"true", false},
        {"{}", false},
    };
    for (const Schema& c : cases) EXPECT_EQ(is_strict_schema(json::parse(c.text)), c.strict) << c.text;
}

}  // namespace
}  // namespace millrace::provider
