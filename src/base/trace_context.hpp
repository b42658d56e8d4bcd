// Which distributed trace a piece of work belongs to (W3C Trace Context, "traceparent").
#pragma once

#include <array>
#include <optional>
#include <string_view>

namespace millrace {

/// A valid traceparent: "00-TRACE-PARENT-FLAGS" with 32, 16 and 2 lower-case hexadecimal digits. Millrace
/// records no spans, so it passes on what it was given, unchanged, as the standard provides (3.4): spans made
/// behind it hang from the caller's own.
class TraceContext {
  public:
    /// None where `text` is not valid: upper case, an id of zeros, version ff. Of a version above 00 what 00
    /// knows is taken (3.2.4).
    static std::optional<TraceContext> parse(std::string_view text) noexcept;

    std::string_view traceparent() const noexcept { return {text_.data(), text_.size()}; }
    /// The 32 digits by which logs and tracing tools find the work.
    std::string_view trace_id() const noexcept { return traceparent().substr(3, 32); }

    bool operator==(const TraceContext&) const = default;

  private:
    std::array<char, 55> text_{};
};

}  // namespace millrace
