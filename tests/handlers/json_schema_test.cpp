#include "handlers/json_schema.hpp"

#include <gtest/gtest.h>

namespace millrace::handlers {
namespace {

constexpr char kPerson[] = R"({
  "type": "object", "additionalProperties": false,
  "required": ["name", "age", "mail", "tags", "mood", "boss", "kind", "pick"],
  "properties": {
    "name": {"type": "string", "minLength": 2, "maxLength": 5},
    "age": {"type": "integer", "minimum": 0, "maximum": 150},
    "mail": {"type": ["string", "null"]},
    "tags": {"type": "array", "minItems": 1, "maxItems": 2, "items": {"type": "string"}},
    "mood": {"enum": ["good", "bad"]},
    "boss": {"anyOf": [{"$ref": "#/$defs/boss"}, {"type": "null"}]},
    "kind": {"const": "person"},
    "pick": {"type": "number"}
  },
  "$defs": {"boss": {"type": "object", "additionalProperties": false, "required": ["name", "boss"],
    "properties": {"name": {"type": "string"}, "boss": {"anyOf": [{"$ref": "#/$defs/boss"}, {"type": "null"}]}}}}
})";

/// kPerson's example with `member` replaced by `value`; "" leaves it out.
std::string person(const std::string& member = {}, const std::string& value = {}) {
    const std::pair<const char*, const char*> members[] = {
        {"name", "\"Ada\""},  {"age", "36"},    {"mail", "null"},       {"tags", "[\"x\"]"},
        {"mood", "\"good\""}, {"boss", "null"}, {"kind", "\"person\""}, {"pick", "1.5"}};
    std::string text = "{";
    for (const auto& [name, usual] : members) {
        if (name == member && value.empty()) continue;
        text += (text.size() > 1 ? "," : "") + ("\"" + std::string(name) + "\":") +
                (name == member ? value : usual);
    }
    return text + "}";
}

TEST(JsonSchema, AValueThatFitsHasNoProblem) {
    const auto schema = JsonSchema::parse(kPerson);
    ASSERT_TRUE(schema) << schema.error().detail;
    EXPECT_EQ(schema->problem_in(person()), std::nullopt);
    EXPECT_EQ(schema->problem_in(person("mail", "\"a@b\"")), std::nullopt);
    EXPECT_EQ(schema->problem_in(person("boss", R"({"name":"B","boss":{"name":"C","boss":null}})")),
              std::nullopt);
    EXPECT_EQ(schema->problem_in(person("age", "36.0")), std::nullopt);
    EXPECT_EQ(schema->problem_in(person("name", "\"äöüäö\"")), std::nullopt) << "characters, not bytes";
}

TEST(JsonSchema, WhatDoesNotFitIsNamedWithItsPlace) {
    const auto schema = JsonSchema::parse(kPerson);
    const std::tuple<const char*, const char*, const char*> cases[] = {
        {"name", "", "$: lacks \"name\""},
        {"name", "1", "$.name: expected string, found 1"},
        {"name", "\"A\"", "$.name: 1 characters, at least 2 are allowed"},
        {"name", "\"abcdef\"", "$.name: 6 characters, at most 5 are allowed"},
        {"age", "36.5", "$.age: expected integer, found 36.5"},
        {"age", "-1", "$.age: -1, at least 0 are allowed"},
        {"age", "151", "$.age: 151, at most 150 are allowed"},
        {"mail", "2", "$.mail: expected string or null, found 2"},
        {"tags", "[]", "$.tags: 0 elements, at least 1 are allowed"},
        {"tags", "[\"a\", 2]", "$.tags[1]: expected string, found 2"},
        {"mood", "\"so\"", "$.mood: \"so\" is none of \"good\", \"bad\""},
        {"boss", "{\"name\":\"B\"}", "$.boss: fits none of \"anyOf\", e.g. $.boss: lacks \"boss\""},
        {"kind", "\"dog\"", "$.kind: \"dog\" is not \"person\""},
        {"pick", "1, \"more\": 2", "$: has \"more\", which the schema doesn't allow"},
    };
    for (const auto& [member, value, problem] : cases)
        EXPECT_EQ(schema->problem_in(person(member, value)), problem) << member << " " << value;
    EXPECT_EQ(schema->problem_in("{oops")->substr(0, 16), "$: is not JSON: ");
}

TEST(JsonSchema, SchemasThatModelsWouldNotFollowAreRefused) {
    const std::pair<const char*, const char*> cases[] = {
        {"{", "the schema is not JSON: "},
        {"[]", "$: a schema is an object"},
        {R"({"type":"string"})", "$: the root needs \"type\": \"object\""},
        {R"({"type":"object","properties":{}})", "$: an object needs \"additionalProperties\": false"},
        {R"({"type":"object","additionalProperties":false,"properties":{"a":{"type":"string"}}})",
         "$: \"required\" lacks \"a\""},
        {R"({"type":"object","additionalProperties":false,"required":["a"],"properties":{"a":{"typ":"x"}}})",
         "$.properties.a: \"typ\" is not understood (did you mean \"type\"?)"},
        {R"({"type":"object","additionalProperties":false,"required":["a"],"properties":{"a":{"type":"text"}}})",
         "$.properties.a: \"type\" \"text\" is none of object"},
        {R"({"type":"object","additionalProperties":false,"required":["a"],"properties":{"a":{"$ref":"#/x"}}})",
         "$.properties.a: \"$ref\" \"#/x\" leads nowhere"},
        {R"({"type":"object","additionalProperties":false,"required":["a"],"properties":{"a":{"enum":[]}}})",
         "$.properties.a: \"enum\" is a list"},
    };
    for (const auto& [text, problem] : cases) {
        const auto schema = JsonSchema::parse(text);
        ASSERT_FALSE(schema) << text;
        EXPECT_EQ(schema.error().detail.substr(0, std::string_view(problem).size()), problem);
    }
}

TEST(JsonSchema, AnEndlessReferenceEndsInAProblem) {
    const auto schema = JsonSchema::parse(
        R"({"type":"object","additionalProperties":false,"required":["a"],"properties":{"a":{"$ref":"#/$defs/a"}},
            "$defs":{"a":{"$ref":"#/$defs/a"}}})");
    ASSERT_TRUE(schema);
    EXPECT_EQ(schema->problem_in("{\"a\":1}"), "$.a: is nested too deeply");
}

}  // namespace
}  // namespace millrace::handlers
