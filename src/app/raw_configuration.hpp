// A configuration as written, before it is held against the table of settings.
#pragma once

#include "app/configuration.hpp"

#include <map>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace millrace::app {

struct RawSection;

/// A value and where it was written. Text from the environment takes whatever type its key has.
struct RawValue {
    std::variant<std::string, std::int64_t, double, bool> value;
    std::string unsupported;  ///< "a list", "a table", "a date" where TOML has it and no setting does
    std::string place;  ///< "millrace.toml:12" or the variable's name
    bool from_environment = false;
    std::optional<std::vector<std::string>> texts;  ///< of a list of texts; also of an empty one
    std::optional<std::vector<RawSection>> tables;  ///< of a table itself, of a list of tables each of them
};

struct RawSection {
    std::string place;
    std::map<std::string, RawValue> values;
};

/// Sections by name; `[x]` gives one, `[[x]]` any number. `list` tells which form was used.
struct RawEntry {
    std::vector<RawSection> sections;
    bool list = false;
};
using RawConfiguration = std::map<std::string, RawEntry>;

/// Reads TOML; problems are added to `problems`.
RawConfiguration read_toml(std::string_view text, const std::string& name,
                           std::vector<std::string>& problems);

/// Puts MILLRACE_SECTION__KEY and MILLRACE_SECTION__NAME__KEY (lists, by name or number from 0) over what the
/// file says.
void apply_environment(RawConfiguration& raw, const Environment& environment,
                       std::vector<std::string>& problems);

}  // namespace millrace::app
