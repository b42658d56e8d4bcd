// XML of the administration API: Atom entries and feeds, errors, durations. No sockets.
#pragma once

#include "base/clock.hpp"
#include "base/error.hpp"

#include <pugixml.hpp>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace millrace::http {

inline constexpr char kServiceBusNamespace[] =
    "http://schemas.microsoft.com/netservices/2010/10/servicebus/connect";
inline constexpr char kSchemaInstance[] = "http://www.w3.org/2001/XMLSchema-instance";
inline constexpr char kSchema[] = "http://www.w3.org/2001/XMLSchema";

/// XML as text, element by element; names are the caller's and known to be fit.
class XmlWriter {
  public:
    using Attributes = std::vector<std::pair<std::string_view, std::string_view>>;

    void open(std::string_view name, const Attributes& attributes = {});
    void close();
    /// An element with `text` in it.
    void element(std::string_view name, std::string_view text, const Attributes& attributes = {});
    void boolean(std::string_view name, bool value) { element(name, value ? "true" : "false"); }
    void number(std::string_view name, std::uint64_t value) { element(name, std::to_string(value)); }
    /// XML that is whole already.
    void raw(std::string_view xml) { text_ += xml; }
    std::string take() { return std::move(text_); }

  private:
    void begin(std::string_view name, const Attributes& attributes);
    void append(std::string_view text);

    std::string text_;
    std::vector<std::string> open_;
};

/// What surrounds the description of one thing.
struct AtomEntry {
    std::string url;       ///< also its id: clients read the name from it
    std::string title;
    TimePoint published{};
    TimePoint updated{};
    std::string content;   ///< XML of the description
};
/// One entry as a document, or as a part of a feed.
std::string atom_entry(const AtomEntry& entry, std::string_view author);
/// A page of a list; `next` is the URL of the page after it, or "".
std::string atom_feed(std::string_view title, const std::string& url, const std::string& next,
                      TimePoint updated, const std::vector<std::string>& entries);
/// <Error><Code>…</Code><Detail>…</Detail></Error>
std::string error_xml(unsigned status, std::string_view detail);

/// Name of an element or attribute without its namespace prefix: clients choose these freely.
std::string_view local_name(const char* name) noexcept;
/// The first child whose local name is `name`.
pugi::xml_node child_called(pugi::xml_node parent, std::string_view name) noexcept;
/// All character data of `node`.
std::string text_of(pugi::xml_node node);
/// The type that an attribute xsi:type names, without its prefix: "SqlFilter"; "" if there is none.
std::string type_of(pugi::xml_node node);

/// A request's description: the element in entry/content, which keeps `document` alive.
struct Description {
    std::shared_ptr<pugi::xml_document> document;
    pugi::xml_node element;
};
/// invalid_input: larger than 256 KiB, not UTF-8, not well-formed, or no Atom entry with a description.
Result<Description> parse_entry(std::string_view body);

/// ISO 8601, e.g. "PT1M"; none is for ever, which Service Bus writes as the longest time that .NET has.
std::string iso_duration(std::optional<Duration> time);
/// The reverse; years have 365 days and months 30 as in .NET; what reaches the longest time of .NET is none.
/// invalid_input: no such text, or a negative time.
Result<std::optional<Duration>> parse_iso_duration(std::string_view text);

/// An RFC 3339 time, with or without a fraction; one without a zone is UTC. None: no such text.
std::optional<TimePoint> parse_time(std::string_view text);

}  // namespace millrace::http
