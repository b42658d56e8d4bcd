#include "text/docx_parts.hpp"

#include "text/utf8.hpp"

#include <algorithm>
#include <cctype>

namespace millrace::text {
namespace {

constexpr int kStyleDepthMax = 16;
constexpr std::size_t kStylesMax = 10'000;

std::string lower(std::string_view text) {
    std::string result(text);
    for (char& c : result) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    return result;
}

/// What a style's name says: every language version of Word writes the built-in ones in English.
int level_of_name(std::string_view name) {
    const std::string text = lower(name);
    if (text == "title") return Styles::kTitle;
    constexpr std::string_view kHeading = "heading";
    if (!text.starts_with(kHeading)) return Styles::kBody;
    const std::string_view number = trim(std::string_view(text).substr(kHeading.size()));
    return number.size() == 1 && number[0] >= '1' && number[0] <= '9' ? number[0] - '0' : Styles::kBody;
}

/// An upper bound for the tree of an XML document: two nodes per tag, one attribute per equals sign, two
/// copies of the text (sizes are those of pugixml's own structures).
std::size_t tree_bytes_max(std::string_view xml) {
    constexpr std::size_t kNodeBytes = 64, kAttributeBytes = 40;
    const auto tags = static_cast<std::size_t>(std::count(xml.begin(), xml.end(), '<'));
    const auto attributes = static_cast<std::size_t>(std::count(xml.begin(), xml.end(), '='));
    return 2 * xml.size() + 2 * kNodeBytes * tags + kAttributeBytes * attributes;
}

struct Style {
    std::string based_on;
    int level = Styles::kBody;
};

Style read_style(pugi::xml_node node) {
    Style style;
    style.based_on = attribute(child(node, "basedOn"), "val");
    style.level = level_of_name(attribute(child(node, "name"), "val"));
    const pugi::xml_node outline = child(child(node, "pPr"), "outlineLvl");
    if (style.level == Styles::kBody && outline) {
        const std::string_view level = attribute(outline, "val");
        if (level.size() == 1 && level[0] >= '0' && level[0] <= '8') style.level = level[0] - '0' + 1;
    }
    return style;
}

}  // namespace

std::string_view local_name(const char* name) noexcept {
    const std::string_view text(name);
    const std::size_t colon = text.rfind(':');
    return colon == std::string_view::npos ? text : text.substr(colon + 1);
}

pugi::xml_node child(pugi::xml_node parent, std::string_view name) noexcept {
    for (pugi::xml_node node = parent.first_child(); node; node = node.next_sibling()) {
        if (local_name(node.name()) == name) return node;
    }
    return {};
}

const char* attribute(pugi::xml_node node, std::string_view name) noexcept {
    for (pugi::xml_attribute found = node.first_attribute(); found; found = found.next_attribute()) {
        if (local_name(found.name()) == name) return found.value();
    }
    return "";
}

Result<std::unique_ptr<pugi::xml_document>> parse_part(Archive& archive, const std::string& name) {
    const auto content = archive.read(name);
    if (!content) return content.error();
    if (tree_bytes_max(*content) > archive.budget().limits().memory_bytes_max)
        return archive.budget().too_much_memory();
    auto document = std::make_unique<pugi::xml_document>();
    // Spaces alone can be the text of a run.
    const auto parsed =
        document->load_buffer(content->data(), content->size(), pugi::parse_default | pugi::parse_ws_pcdata);
    if (!parsed) {
        return Error{Errc::corrupt, name + " is not well-formed XML at byte " +
                                        std::to_string(parsed.offset) + ": " + parsed.description()};
    }
    return document;
}

Result<std::string> main_part(Archive& archive) {
    const std::string usual = "word/document.xml";
    const auto relations = parse_part(archive, "_rels/.rels");
    if (!relations && relations.error().code == Errc::over_limit) return relations.error();
    if (relations) {
        for (const pugi::xml_node relation : (*relations)->document_element().children()) {
            if (!std::string_view(attribute(relation, "Type")).ends_with("/officeDocument")) continue;
            std::string target = attribute(relation, "Target");
            if (target.starts_with('/')) target.erase(0, 1);
            if (archive.contains(target)) return target;
        }
    }
    if (archive.contains(usual)) return usual;
    return Error{Errc::not_found, "the archive holds no document"};
}

Styles::Styles(Archive& archive, const std::string& part) {
    const auto document = parse_part(archive, part);
    if (!document) return;
    std::unordered_map<std::string, Style> styles;
    for (const pugi::xml_node node : (*document)->document_element().children()) {
        if (local_name(node.name()) != "style" || styles.size() >= kStylesMax) continue;
        styles.emplace(attribute(node, "styleId"), read_style(node));
    }
    for (const auto& [id, style] : styles) {
        const Style* at = &style;
        for (int depth = 0; at->level == kBody && depth < kStyleDepthMax; ++depth) {
            const auto base = styles.find(at->based_on);
            if (base == styles.end()) break;
            at = &base->second;
        }
        if (at->level != kBody) levels_.emplace(id, at->level);
    }
}

int Styles::level(std::string_view id) const {
    if (id.empty()) return kBody;
    const auto found = levels_.find(std::string(id));
    return found != levels_.end() ? found->second : level_of_name(id);
}

std::string title_of(Archive& archive) {
    const auto properties = parse_part(archive, "docProps/core.xml");
    if (!properties) return {};
    const std::string_view title = child((*properties)->document_element(), "title").text().get();
    return is_valid_utf8(title) ? std::string(title) : std::string();
}

}  // namespace millrace::text
