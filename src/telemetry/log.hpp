// Logs: one line per event on standard error, as text for people or as JSON for collectors.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

namespace millrace::telemetry {

enum class Level : std::uint8_t { trace, debug, info, warning, error, off };

/// "trace", "debug", "info", "warning", "error" or "off"; nothing for any other word.
std::optional<Level> level_named(std::string_view name) noexcept;
std::string_view to_string(Level level) noexcept;

/// A name and a value beside the message. Refers to text that it does not own; numbers are formatted in
/// place.
class Field {
  public:
    Field(std::string_view name, std::string_view value) : name_(name), text_(value) {}
    Field(std::string_view name, const char* value) : name_(name), text_(value) {}
    Field(std::string_view name, const std::string& value) : name_(name), text_(value) {}
    Field(std::string_view name, std::int64_t value) : name_(name), number_(value) {}
    Field(std::string_view name, std::uint64_t value) : Field(name, static_cast<std::int64_t>(value)) {}
    Field(std::string_view name, int value) : Field(name, static_cast<std::int64_t>(value)) {}
    Field(std::string_view name, unsigned value) : Field(name, static_cast<std::int64_t>(value)) {}

    std::string_view name() const noexcept { return name_; }
    std::string_view text() const noexcept { return text_; }
    std::optional<std::int64_t> number() const noexcept { return number_; }

  private:
    std::string_view name_;
    std::string_view text_;
    std::optional<std::int64_t> number_;
};

using FieldList = std::initializer_list<Field>;

enum class Format : std::uint8_t { text, json };

/// The line that an event becomes, without its line feed; control characters are escaped, so that a value
/// from outside can't forge a second line. `time` is RFC 3339.
std::string format_line(Format format, std::string_view time, Level level, std::string_view message,
                        FieldList fields);

/// Where events go and which.
struct LogOptions {
    Level level = Level::info;
    Format format = Format::text;
    /// Takes each line instead of standard error, one at a time; for tests.
    std::function<void(std::string_view line)> sink;
};

/// The one log of the process: standard error has no second owner, so this alone is not passed by reference.
/// Until the first call: level info, as text. Any thread.
void configure_log(LogOptions options);

/// Writes an event if `level` is enabled. Callers give no secrets and no document content: ids, counts,
/// reasons. Any thread.
void log(Level level, std::string_view message, FieldList fields = {});

/// `what` happened at `where` (a queue, a route, a file); `why` in one line without secrets, or empty.
void log_debug(std::string_view what, std::string_view where, std::string_view why);
void log_info(std::string_view what, std::string_view where, std::string_view why);
void log_warning(std::string_view what, std::string_view where, std::string_view why);
void log_error(std::string_view what, std::string_view where, std::string_view why);

}  // namespace millrace::telemetry
