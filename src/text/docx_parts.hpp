// The parts of a DOCX package that surround its text: relations, styles, properties.
#pragma once

#include "text/archive.hpp"

#include <pugixml.hpp>

#include <string>
#include <string_view>
#include <unordered_map>

namespace millrace::text {

/// The name of an element or attribute without its namespace prefix: documents choose these freely.
std::string_view local_name(const char* name) noexcept;
pugi::xml_node child(pugi::xml_node parent, std::string_view name) noexcept;
/// The attribute whose local name is `name`; "" if there is none.
const char* attribute(pugi::xml_node node, std::string_view name) noexcept;

/// An XML part, parsed. corrupt: it isn't well-formed. over_limit: its tree would take too much memory.
Result<std::unique_ptr<pugi::xml_document>> parse_part(Archive& archive, const std::string& name);

/// The main part as the package's relations name it, "word/document.xml" if they don't (ECMA-376, part
/// 2, 9.3).
Result<std::string> main_part(Archive& archive);

/// What the paragraph styles of a document mean (ECMA-376, part 1, 17.7).
class Styles {
  public:
    static constexpr int kBody = 0;
    static constexpr int kTitle = -1;

    /// Reads `part` if there is one; an unreadable one counts as none.
    Styles(Archive& archive, const std::string& part);
    /// 1 to 9 for a heading, `kTitle`, or `kBody`.
    int level(std::string_view id) const;

  private:
    std::unordered_map<std::string, int> levels_;
};

/// The title in the package's core properties; "" if there is none.
std::string title_of(Archive& archive);

}  // namespace millrace::text
