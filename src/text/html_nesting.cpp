#include "text/html_nesting.hpp"

#include "text/utf8.hpp"

#include <algorithm>
#include <array>

namespace millrace::text {
namespace {

bool is_letter(char c) noexcept { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

/// A tag as it stands in the text.
struct Tag {
    std::array<char, 16> characters{};
    std::size_t size = 0;       ///< of the name in lower case, cut at 16 characters
    std::size_t end = 0;        ///< offset behind the tag
    bool closes = false;        ///< </name>
    bool closes_itself = false;  ///< <name/>
    std::string_view name() const noexcept { return {characters.data(), size}; }
};

/// Reads the tag whose name begins at `at`. Quotes count only behind an equals sign, as in the standard.
Tag read_tag(std::string_view html, std::size_t at, bool closes) noexcept {
    Tag tag;
    tag.closes = closes;
    for (; at < html.size() && !is_ascii_space(html[at]) && html[at] != '>' && html[at] != '/'; ++at) {
        const char c = html[at];
        if (tag.size == tag.characters.size()) continue;
        tag.characters[tag.size++] = static_cast<char>(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
    }
    char before = 0;
    for (; at < html.size() && html[at] != '>'; ++at) {
        const char c = html[at];
        if ((c == '"' || c == '\'') && before == '=') at = std::min(html.find(c, at + 1), html.size() - 1);
        if (!is_ascii_space(c)) before = c;
    }
    tag.closes_itself = at < html.size() && html[at - 1] == '/';
    tag.end = std::min(at + 1, html.size());
    return tag;
}

template <std::size_t N>
bool is_one_of(const std::array<std::string_view, N>& sorted, std::string_view name) noexcept {
    return std::binary_search(sorted.begin(), sorted.end(), name);
}

/// Elements that hold no others, or that the next of their kind ends.
constexpr std::array<std::string_view, 37> kEndByThemselves = {
    "area",     "base",  "basefont", "bgsound", "body",  "br",    "col",   "colgroup", "dd", "dt",
    "embed",    "frame", "head",     "hr",      "html",  "img",   "input", "keygen",   "li", "link",
    "menuitem", "meta",  "optgroup", "option",  "p",     "param", "rb",    "rp",       "rt", "source",
    "tbody",    "td",    "tfoot",    "th",      "thead", "tr",    "wbr"};
static_assert(std::is_sorted(kEndByThemselves.begin(), kEndByThemselves.end()));

/// HTML elements that end SVG or MathML where they come (WHATWG HTML, 13.2.6.5), and the elements of these
/// two that hold HTML.
constexpr std::array<std::string_view, 53> kLeaveForeign = {"annotation-xml",
                                                            "b",
                                                            "big",
                                                            "blockquote",
                                                            "body",
                                                            "br",
                                                            "center",
                                                            "code",
                                                            "dd",
                                                            "desc",
                                                            "div",
                                                            "dl",
                                                            "dt",
                                                            "em",
                                                            "embed",
                                                            "font",
                                                            "foreignobject",
                                                            "h1",
                                                            "h2",
                                                            "h3",
                                                            "h4",
                                                            "h5",
                                                            "h6",
                                                            "head",
                                                            "hr",
                                                            "i",
                                                            "img",
                                                            "li",
                                                            "listing",
                                                            "menu",
                                                            "meta",
                                                            "mi",
                                                            "mn",
                                                            "mo",
                                                            "ms",
                                                            "mtext",
                                                            "nobr",
                                                            "ol",
                                                            "p",
                                                            "pre",
                                                            "ruby",
                                                            "s",
                                                            "small",
                                                            "span",
                                                            "strike",
                                                            "strong",
                                                            "sub",
                                                            "sup",
                                                            "table",
                                                            "tt",
                                                            "u",
                                                            "ul",
                                                            "var"};
static_assert(std::is_sorted(kLeaveForeign.begin(), kLeaveForeign.end()));

constexpr std::array<std::string_view, 5> kRawText = {"script", "style", "textarea", "title", "xmp"};
static_assert(std::is_sorted(kRawText.begin(), kRawText.end()));

/// The offset of the end tag of a raw-text element whose content begins at `at`.
std::size_t find_end_tag(std::string_view html, std::size_t at, std::string_view name) noexcept {
    for (at = html.find("</", at); at != std::string_view::npos; at = html.find("</", at + 2)) {
        if (read_tag(html.substr(0, std::min(html.size(), at + 20)), at + 2, true).name() == name) return at;
    }
    return html.size();
}

class Scan {
  public:
    explicit Scan(std::string_view html) noexcept : html_(html) {}

    std::size_t run() noexcept {
        for (std::size_t at = html_.find('<'); at != std::string_view::npos; at = html_.find('<', at)) {
            at = pass(at + 1);
        }
        return deepest_;
    }

  private:
    /// Takes in what follows a '<'; the offset to go on from.
    std::size_t pass(std::size_t at) noexcept {
        if (html_.substr(at).starts_with("!--")) return std::min(html_.find("-->", at), html_.size());
        const bool closes = html_.substr(at).starts_with('/');
        const std::size_t name_at = at + (closes ? 1 : 0);
        if (name_at >= html_.size() || !is_letter(html_[name_at])) return at;
        const Tag tag = read_tag(html_, name_at, closes);
        if (tag.name() == "svg" || tag.name() == "math") {
            foreign_ = !closes;
        } else if (foreign_ && is_one_of(kLeaveForeign, tag.name())) {
            foreign_ = false;
        }
        if (foreign_ && tag.closes_itself) return tag.end;
        if (!foreign_ && is_one_of(kEndByThemselves, tag.name())) return tag.end;
        if (!foreign_ && !closes && is_one_of(kRawText, tag.name()))
            return find_end_tag(html_, tag.end, tag.name());
        count(tag);
        return tag.end;
    }

    void count(const Tag& tag) noexcept {
        if (tag.closes) {
            depth_ -= depth_ > 0 ? 1 : 0;
        } else {
            deepest_ = std::max(deepest_, ++depth_);
        }
    }

    std::string_view html_;
    std::size_t depth_ = 0;
    std::size_t deepest_ = 0;
    bool foreign_ = false;  ///< within SVG or MathML
};

}  // namespace

std::size_t nesting_of(std::string_view html) noexcept { return Scan(html).run(); }

}  // namespace millrace::text
