// HTML: what a reader of the page reads, without what a browser does with it.
#include "text/html_tree.hpp"
#include "text/readers.hpp"

#include <array>
#include <string>
#include <unordered_map>

namespace millrace::text {
namespace {

enum class Role {
    inline_text,
    skipped,    ///< not shown, or not part of what the page says
    line,       ///< begins and ends a line
    paragraph,  ///< has an empty line around it
    heading,
    cell,
    list,
    item,
    preformatted,
    line_break,
    image,
};

Role role_of(GumboTag tag) {
    switch (tag) {
        case GUMBO_TAG_SCRIPT:
        case GUMBO_TAG_STYLE:
        case GUMBO_TAG_TEMPLATE:
        case GUMBO_TAG_NOSCRIPT:
        case GUMBO_TAG_NOEMBED:
        case GUMBO_TAG_NOFRAMES:
        case GUMBO_TAG_IFRAME:
        case GUMBO_TAG_OBJECT:
        case GUMBO_TAG_APPLET:
        case GUMBO_TAG_CANVAS:
        case GUMBO_TAG_AUDIO:
        case GUMBO_TAG_VIDEO:
        case GUMBO_TAG_SVG:
        case GUMBO_TAG_NAV:
        case GUMBO_TAG_SELECT:
        case GUMBO_TAG_BUTTON:
        case GUMBO_TAG_DATALIST:
        case GUMBO_TAG_TITLE:
        case GUMBO_TAG_HEAD: return Role::skipped;
        case GUMBO_TAG_DIV:
        case GUMBO_TAG_TR:
        case GUMBO_TAG_DT:
        case GUMBO_TAG_DD:
        case GUMBO_TAG_ADDRESS:
        case GUMBO_TAG_FIGCAPTION:
        case GUMBO_TAG_CAPTION:
        case GUMBO_TAG_LEGEND:
        case GUMBO_TAG_SUMMARY:
        case GUMBO_TAG_CENTER:
        case GUMBO_TAG_FORM: return Role::line;
        case GUMBO_TAG_P:
        case GUMBO_TAG_BLOCKQUOTE:
        case GUMBO_TAG_TABLE:
        case GUMBO_TAG_DL:
        case GUMBO_TAG_SECTION:
        case GUMBO_TAG_ARTICLE:
        case GUMBO_TAG_ASIDE:
        case GUMBO_TAG_HEADER:
        case GUMBO_TAG_FOOTER:
        case GUMBO_TAG_MAIN:
        case GUMBO_TAG_FIGURE:
        case GUMBO_TAG_DETAILS:
        case GUMBO_TAG_FIELDSET:
        case GUMBO_TAG_HR: return Role::paragraph;
        case GUMBO_TAG_H1:
        case GUMBO_TAG_H2:
        case GUMBO_TAG_H3:
        case GUMBO_TAG_H4:
        case GUMBO_TAG_H5:
        case GUMBO_TAG_H6: return Role::heading;
        case GUMBO_TAG_TD:
        case GUMBO_TAG_TH: return Role::cell;
        case GUMBO_TAG_UL:
        case GUMBO_TAG_OL:
        case GUMBO_TAG_MENU:
        case GUMBO_TAG_DIR: return Role::list;
        case GUMBO_TAG_LI: return Role::item;
        case GUMBO_TAG_PRE:
        case GUMBO_TAG_TEXTAREA:
        case GUMBO_TAG_LISTING:
        case GUMBO_TAG_XMP:
        case GUMBO_TAG_PLAINTEXT: return Role::preformatted;
        case GUMBO_TAG_BR: return Role::line_break;
        case GUMBO_TAG_IMG: return Role::image;
        default: return Role::inline_text;
    }
}

std::string_view attribute(const GumboElement& element, const char* name) {
    const GumboAttribute* const found = gumbo_get_attribute(&element.attributes, name);
    return found ? std::string_view(found->value) : std::string_view();
}

/// Marked by the page itself as not part of what it says.
bool is_hidden(const GumboElement& element) {
    if (element.attributes.length == 0) return false;
    return gumbo_get_attribute(&element.attributes, "hidden") ||
           attribute(element, "aria-hidden") == "true" || attribute(element, "role") == "navigation" ||
           attribute(element, "class") == "headerlink";
}

/// Walks a tree of any depth without recursion.
class Walk {
  public:
    Walk(TextBuilder& builder, const Budget& budget) : builder_(builder), budget_(budget) {}

    /// False if it was given up: too late, or too much text.
    bool run(const GumboNode* root) {
        enter(root);
        for (std::size_t steps = 1; !open_.empty(); ++steps) {
            if (steps % 4096 == 0 && (builder_.is_full() || budget_.is_late())) return false;
            Open& top = open_.back();
            if (top.next < children(top.node).length) {
                enter(static_cast<const GumboNode*>(children(top.node).data[top.next++]));
            } else {
                const Open left = top;
                open_.pop_back();
                leave(left);
            }
        }
        return !builder_.is_full();
    }
    std::string& title() { return title_; }

  private:
    struct Open {
        const GumboNode* node;
        Role role;
        unsigned next = 0;       ///< child
        unsigned items = 0;      ///< of a list, so far
    };

    static const GumboVector& children(const GumboNode* node) {
        return node->type == GUMBO_NODE_DOCUMENT ? node->v.document.children : node->v.element.children;
    }

    void enter(const GumboNode* node) {
        switch (node->type) {
            case GUMBO_NODE_DOCUMENT: open_.push_back({node, Role::inline_text}); break;
            case GUMBO_NODE_ELEMENT: enter_element(node); break;
            case GUMBO_NODE_TEXT:
            case GUMBO_NODE_CDATA:
            case GUMBO_NODE_WHITESPACE: add_text(node->v.text.text); break;
            default: break;
        }
    }

    void add_text(std::string_view text) {
        preformatted_ > 0 ? builder_.verbatim(text) : builder_.flow(text);
    }

    void enter_element(const GumboNode* node) {
        const GumboElement& element = node->v.element;
        Role role = role_of(element.tag);
        if (element.tag == GUMBO_TAG_HEAD) find_title(element);
        if (role == Role::skipped || is_hidden(element)) return;
        // A heading within a heading is one heading; a rule for the page, not for the text.
        if (role == Role::heading && in_heading_) role = Role::inline_text;
        open_.push_back({node, role});
        switch (role) {
            case Role::line: builder_.line(); break;
            case Role::paragraph: builder_.paragraph(); break;
            case Role::list: is_in_item() ? builder_.line() : builder_.paragraph(); break;
            case Role::item: builder_.marker(next_marker()); break;
            case Role::cell: builder_.cell(); break;
            case Role::line_break: builder_.line(); break;
            case Role::image: builder_.flow(attribute(element, "alt")); break;
            case Role::heading:
                in_heading_ = true;
                builder_.heading_begin(static_cast<int>(element.tag) - static_cast<int>(GUMBO_TAG_H1) + 1);
                break;
            case Role::preformatted:
                builder_.paragraph();
                ++preformatted_;
                break;
            default: break;
        }
    }

    void leave(const Open& left) {
        switch (left.role) {
            case Role::line: builder_.line(); break;
            case Role::item: builder_.marker({}); break;
            case Role::paragraph: builder_.paragraph(); break;
            case Role::list: is_in_item() ? builder_.line() : builder_.paragraph(); break;
            case Role::heading:
                builder_.heading_end();
                in_heading_ = false;
                break;
            case Role::preformatted:
                --preformatted_;
                builder_.paragraph();
                break;
            default: break;
        }
    }

    bool is_in_item() const {
        for (auto open = open_.rbegin(); open != open_.rend(); ++open) {
            if (open->role == Role::item) return true;
            if (open->role == Role::paragraph || open->role == Role::cell) return false;
        }
        return false;
    }

    std::string next_marker() {
        for (std::size_t i = open_.size() - 1; i > 0; --i) {
            Open& above = open_[i - 1];
            if (above.role != Role::list) continue;
            if (above.node->v.element.tag != GUMBO_TAG_OL) break;
            return std::to_string(++above.items) + ". ";
        }
        return "- ";
    }

    void find_title(const GumboElement& head) {
        for (unsigned i = 0; i < head.children.length && title_.empty(); ++i) {
            const auto* const node = static_cast<const GumboNode*>(head.children.data[i]);
            if (node->type != GUMBO_NODE_ELEMENT || node->v.element.tag != GUMBO_TAG_TITLE) continue;
            const GumboVector& texts = node->v.element.children;
            for (unsigned j = 0; j < texts.length; ++j) {
                const auto* const text = static_cast<const GumboNode*>(texts.data[j]);
                if (text->type == GUMBO_NODE_TEXT) title_ += text->v.text.text;
            }
        }
    }

    TextBuilder& builder_;
    const Budget& budget_;
    std::vector<Open> open_;
    std::string title_;
    int preformatted_ = 0;
    bool in_heading_ = false;
};

}  // namespace

Result<ExtractedText> read_html(std::string_view text, const Budget& budget) {
    HtmlTree tree(text, budget);
    const auto document = tree.parse();
    if (!document) return document.error();
    TextBuilder builder(budget.limits().text_bytes_max);
    Walk walk(builder, budget);
    if (!walk.run(*document)) return builder.is_full() ? budget.too_much_text() : budget.too_late();
    return builder.take(std::move(walk.title()));
}

bool add_html(std::string_view html, TextBuilder& builder, const Budget& budget) {
    HtmlTree tree(html, budget);
    const auto document = tree.parse();
    return document && Walk(builder, budget).run(*document);
}

}  // namespace millrace::text
