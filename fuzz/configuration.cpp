// Any text as millrace.toml: an answer, and what was accepted prints as a file that reads back as the same.
#include "app/configuration.hpp"
#include "fuzz/fuzz.hpp"

namespace millrace::fuzz {

std::vector<std::string> seeds() {
    return {
        app::print_toml({}),
        "[server]\nlisten = \"[::1]:0\"\ndata_dir = '''a\nb'''\n[[queues]]\nname = \"a/b\"\nlock_seconds = "
        "0x1E\n",
        "[[deployments]]\nname = \"a\"\nprovider = \"openai\"\nmodel = \"m\"\ndimensions = "
        "1_0\n[[watch]]\npath = \"/x\"\n",
        "[index]\nkeyword_weight = 0.7\n[[topics]]\nname=\"t\"\n[[subscriptions]]\ntopic=\"t\"\nname=\"s\"\n",
    };
}

void check(std::string_view input) {
    const auto first = app::parse_configuration(input, "a.toml", {});
    for (const auto& problem : first.problems) require(!problem.empty(), "a problem has words");
    if (!first.problems.empty()) return;
    const auto second = app::parse_configuration(app::print_toml(first.configuration), "b.toml", {});
    require(second.problems.empty(), "what is printed is accepted");
    require(app::print_json(second.configuration) == app::print_json(first.configuration),
            "what is printed reads back");
}

}  // namespace millrace::fuzz
