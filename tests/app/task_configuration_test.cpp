#include "app/configuration.hpp"
#include "app/configuration_tasks.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace millrace::app {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

constexpr char kSchema[] =
    R"({"type":"object","additionalProperties":false,"required":["a"],"properties":{"a":{"type":"string"}}})";

handlers::TaskCatalogue catalogue_of(const std::string& text) {
    const auto loaded = parse_configuration(text, "millrace.toml", {});
    EXPECT_THAT(loaded.problems, IsEmpty());
    std::vector<std::string> problems;
    return task_catalogue(loaded.configuration, problems);
}

TEST(TaskConfiguration, TheBuiltInTasksNeedNoConfiguration) {
    const auto catalogue = catalogue_of("");
    EXPECT_THAT(catalogue.names(),
                testing::ElementsAre("analyze", "classify", "embed", "entities", "sentiment", "summarize"));
    EXPECT_THAT(catalogue.find("analyze")->steps, testing::ElementsAre("summarize", "entities", "sentiment"));
    EXPECT_EQ(catalogue.find("other"), nullptr);
}

TEST(TaskConfiguration, AnEntryChangesABuiltInTaskOrAddsOne) {
    const auto catalogue = catalogue_of(
        "[[deployments]]\nname = \"big\"\n[[tasks]]\ntype = \"classify\"\nlabels = [\"a\", \"b\"]\n"
        "deployment = \"big\"\n[[tasks]]\ntype = \"invoice\"\nprompt = \"Read it.\"\nschema = '" +
        std::string(kSchema) + "'\n[[tasks]]\ntype = \"both\"\nsteps = [\"invoice\", \"classify\"]");
    const auto* classify = catalogue.find("classify");
    EXPECT_EQ(classify->deployment, "big");
    EXPECT_THAT(classify->labels, testing::ElementsAre("a", "b"));
    EXPECT_FALSE(classify->prompt.empty());
    EXPECT_TRUE(catalogue.find("invoice")->checked.has_value());
    EXPECT_EQ(catalogue.find("both")->shape, handlers::TaskShape::steps);
}

TEST(TaskConfiguration, EveryMistakeIsNamed) {
    const std::string schema = "schema = '" + std::string(kSchema) + "'";
    const std::pair<std::string, const char*> cases[] = {
        {"prompt = \"x\"", "tasks needs a \"type\""},
        {"type = \"t\"", "tasks.t: needs a prompt, or steps"},
        {"type = \"t\"\nprompt = \"p\"\ndeployment = \"x\"",
         "tasks.t: there is no deployment \"x\" (known: default)"},
        {"type = \"t\"\nprompt = \"p\"\nschema = \"{\"", "tasks.t: schema: the schema is not JSON"},
        {"type = \"t\"\nprompt = \"p\"\nschema = '{\"type\":\"array\"}'",
         "tasks.t: schema: $: the root needs"},
        {"type = \"t\"\nsteps = [\"sumarize\"]",
         "tasks.t: steps: there is no task \"sumarize\" (did you mean \"summarize\"?)"},
        {"type = \"t\"\nsteps = [\"t\"]", "tasks.t: steps: the task would be a step of itself"},
        {"type = \"t\"\nsteps = [\"embed\", \"embed\"]", "tasks.t: steps: one is named twice"},
        {"type = \"t\"\nprompt = \"p\"\nsteps = [\"embed\"]", "tasks.t: has steps beside a prompt"},
        {"type = \"t\"\nsteps = [\"embed\"]\n" + schema, "tasks.t: has steps beside a prompt or a schema"},
        {"type = \"t\"\nprompt = \"p\"\nlabels = \"a\"",
         "tasks.labels: expected a list of texts, e.g. [\"a\""},
        {"type = \"t\"\nprompt = \"p\"\nlabels = [1]", "tasks.labels: expected a list of texts"},
        {"type = \"t\"\nprompt = \"p\"\n[[tasks]]\ntype = \"t\"\nprompt = \"p\"",
         "tasks: \"t\" is defined twice"},
    };
    for (const auto& [text, message] : cases) {
        const auto loaded = parse_configuration("[[tasks]]\n" + text, "millrace.toml", {});
        ASSERT_FALSE(loaded.problems.empty()) << text;
        EXPECT_THAT(loaded.problems.front(), HasSubstr(message)) << text;
    }
}

TEST(TaskConfiguration, CirclesThroughOtherTasksAreFound) {
    const auto loaded = parse_configuration(
        "[[tasks]]\ntype = \"a\"\nsteps = [\"b\"]\n[[tasks]]\ntype = \"b\"\nsteps = [\"a\"]", "f", {});
    EXPECT_EQ(loaded.problems.size(), 2u);
}

TEST(TaskConfiguration, ListsReadBackAsTheyArePrintedAndCanComeFromTheEnvironment) {
    const std::string text = "[[tasks]]\ntype = \"classify\"\nlabels = [\"a b\", \"c\"]\n";
    const auto first = parse_configuration(text, "f", {});
    const auto second = parse_configuration(print_toml(first.configuration), "g", {});
    EXPECT_THAT(second.problems, IsEmpty());
    EXPECT_EQ(second.configuration.tasks.at(0).labels, first.configuration.tasks.at(0).labels);
    const auto third = parse_configuration(text, "f", {{"MILLRACE_TASKS__CLASSIFY__LABELS", "x,y"}});
    EXPECT_THAT(third.configuration.tasks.at(0).labels, testing::ElementsAre("x", "y"));
}

TEST(TaskConfiguration, ASchemaCanStandInAFile) {
    const auto folder = std::filesystem::path(testing::TempDir());
    const auto write = [&](const std::string& name, const std::string& text) {
        std::ofstream(folder / name) << text;
        return (folder / name).string();
    };
    const std::string good = write("schema.json", kSchema);
    const std::string bad = write("bad.json", "[]");
    const auto load = [&](const std::string& more) {
        return load_configuration(write("tasks.toml", "[[tasks]]\ntype = \"t\"\nprompt = \"p\"\n" + more),
                                  {});
    };
    const auto loaded = load("schema_file = \"" + good + "\"");
    ASSERT_THAT(loaded.problems, IsEmpty());
    EXPECT_EQ(loaded.configuration.tasks.at(0).schema, kSchema);
    EXPECT_THAT(load("schema_file = \"" + bad + "\"").problems.at(0),
                HasSubstr("tasks.t: schema: $: a schema is"));
    EXPECT_THAT(load("schema_file = \"/nowhere\"").problems.at(0),
                HasSubstr("tasks.t.schema_file: can't read"));
    EXPECT_THAT(load("schema_file = \"" + good + "\"\nschema = '" + kSchema + "'").problems.at(0),
                HasSubstr("schema and schema_file are both set"));
}

}  // namespace
}  // namespace millrace::app
