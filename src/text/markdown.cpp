// Markdown (CommonMark with GitHub's tables), straight from the parser's events to text.
#include "text/readers.hpp"
#include "text/utf8.hpp"

#include <md4c.h>

#include <array>
#include <string>
#include <vector>

namespace millrace::text {
namespace {

struct Entity {
    std::string_view name;
    std::string_view text;
};
/// The frequent ones; the HTML parser knows the other 2,100.
constexpr std::array kEntities = {
    Entity{"&amp;", "&"},    Entity{"&lt;", "<"},   Entity{"&gt;", ">"},    Entity{"&quot;", "\""},
    Entity{"&nbsp;", " "},   Entity{"&copy;", "©"}, Entity{"&mdash;", "—"}, Entity{"&ndash;", "–"},
    Entity{"&hellip;", "…"}, Entity{"&rarr;", "→"}, Entity{"&#39;", "'"},
};

class MarkdownReader {
  public:
    explicit MarkdownReader(const Budget& budget)
        : budget_(budget), builder_(budget.limits().text_bytes_max) {}

    Result<ExtractedText> read(std::string_view text, std::string title) {
        MD_PARSER parser{};
        parser.flags = MD_FLAG_TABLES | MD_FLAG_STRIKETHROUGH | MD_FLAG_TASKLISTS;
        parser.enter_block = [](MD_BLOCKTYPE type, void* detail, void* self) {
            return of(self).enter(type, detail);
        };
        parser.leave_block = [](MD_BLOCKTYPE type, void*, void* self) { return of(self).leave(type); };
        parser.enter_span = [](MD_SPANTYPE, void*, void* self) { return of(self).verdict(); };
        parser.leave_span = [](MD_SPANTYPE, void*, void* self) { return of(self).verdict(); };
        parser.text = [](MD_TEXTTYPE type, const MD_CHAR* text, MD_SIZE size, void* self) {
            return of(self).add(type, {text, size});
        };
        const int stopped = md_parse(text.data(), static_cast<MD_SIZE>(text.size()), &parser, this);
        if (builder_.is_full()) return budget_.too_much_text();
        if (late_) return budget_.too_late();
        if (stopped != 0) return Error{Errc::corrupt, "the Markdown cannot be parsed"};
        return builder_.take(std::move(title));
    }

  private:
    struct List {
        bool ordered;
        unsigned number;
    };
    static MarkdownReader& of(void* self) { return *static_cast<MarkdownReader*>(self); }

    /// What each callback answers: not 0 ends the parse. Rows with fewer cells than the head are filled up by
    /// the parser, so a small document can make it call back for ever: hence the clock.
    int verdict() {
        if (++events_ % 1024 == 0 && budget_.is_late()) late_ = true;
        return late_ || builder_.is_full() ? 1 : 0;
    }

    int enter(MD_BLOCKTYPE type, void* detail) {
        switch (type) {
            case MD_BLOCK_P: in_item_ ? builder_.line() : builder_.paragraph(); break;
            case MD_BLOCK_QUOTE:
            case MD_BLOCK_TABLE: builder_.paragraph(); break;
            case MD_BLOCK_UL: begin_list({false, 0}); break;
            case MD_BLOCK_OL: begin_list({true, static_cast<MD_BLOCK_OL_DETAIL*>(detail)->start}); break;
            case MD_BLOCK_LI: begin_item(*static_cast<MD_BLOCK_LI_DETAIL*>(detail)); break;
            case MD_BLOCK_H:
                builder_.heading_begin(static_cast<int>(static_cast<MD_BLOCK_H_DETAIL*>(detail)->level));
                break;
            case MD_BLOCK_CODE:
                builder_.paragraph();
                in_code_ = true;
                break;
            case MD_BLOCK_HTML:
                html_.clear();
                in_html_ = true;
                break;
            case MD_BLOCK_TR: builder_.line(); break;
            case MD_BLOCK_TH:
            case MD_BLOCK_TD: builder_.cell(); break;
            default: break;
        }
        return verdict();
    }

    int leave(MD_BLOCKTYPE type) {
        switch (type) {
            case MD_BLOCK_P:
            case MD_BLOCK_QUOTE:
            case MD_BLOCK_TABLE: builder_.paragraph(); break;
            case MD_BLOCK_UL:
            case MD_BLOCK_OL:
                lists_.pop_back();
                lists_.empty() ? builder_.paragraph() : builder_.line();
                break;
            case MD_BLOCK_LI:
                builder_.marker({});
                in_item_ = false;
                break;
            case MD_BLOCK_H: builder_.heading_end(); break;
            case MD_BLOCK_CODE:
                builder_.paragraph();
                in_code_ = false;
                break;
            case MD_BLOCK_HTML: end_html(); break;
            default: break;
        }
        return verdict();
    }

    void begin_list(List list) {
        lists_.empty() ? builder_.paragraph() : builder_.line();
        lists_.push_back(list);
    }

    void begin_item(const MD_BLOCK_LI_DETAIL& item) {
        List& list = lists_.back();
        std::string marker = list.ordered ? std::to_string(list.number++) + ". " : "- ";
        if (item.is_task != 0) marker += item.task_mark == ' ' ? "[ ] " : "[x] ";
        builder_.marker(marker);
        in_item_ = true;
    }

    int add(MD_TEXTTYPE type, std::string_view text) {
        switch (type) {
            case MD_TEXT_NULLCHAR: break;
            case MD_TEXT_BR: builder_.line(); break;
            case MD_TEXT_SOFTBR: builder_.space(); break;
            case MD_TEXT_ENTITY: add_entity(text); break;
            case MD_TEXT_HTML: add_markup(text); break;
            case MD_TEXT_CODE: in_code_ ? builder_.verbatim(text) : builder_.flow(text); break;
            default: builder_.flow(text); break;
        }
        return verdict();
    }

    /// A tag within a paragraph, or a line of a block of HTML.
    void add_markup(std::string_view text) {
        if (in_html_) {
            html_ += text;
        } else if (text.starts_with("<br") || text.starts_with("<BR")) {
            builder_.line();
        }
    }

    void add_entity(std::string_view text) {
        for (const Entity& entity : kEntities) {
            if (entity.name == text) return builder_.flow(entity.text);
        }
        if (!add_html(text, builder_, budget_)) late_ = budget_.is_late();
    }

    void end_html() {
        in_html_ = false;
        builder_.line();
        if (!add_html(html_, builder_, budget_)) late_ = budget_.is_late();
        builder_.line();
    }

    const Budget& budget_;
    TextBuilder builder_;
    std::vector<List> lists_;
    std::string html_;
    std::size_t events_ = 0;
    bool in_code_ = false;
    bool in_item_ = false;
    bool in_html_ = false;
    bool late_ = false;
};

struct FrontMatter {
    std::string_view rest;
    std::string title;
};

std::string_view unquote(std::string_view value) {
    value = trim(value);
    if (value.size() >= 2 && (value.front() == '"' || value.front() == '\'') &&
        value.back() == value.front()) {
        value = value.substr(1, value.size() - 2);
    }
    return value;
}

/// Takes a block of YAML ("---") or TOML ("+++") at the beginning away, as static-site generators write it.
FrontMatter split_front_matter(std::string_view text) {
    constexpr std::size_t kLinesMax = 200;
    const std::string_view fence = text.substr(0, 3);
    if (fence != "---" && fence != "+++") return {text, {}};
    std::string title;
    std::string_view rest = text;
    for (std::size_t line_number = 0; line_number < kLinesMax && !rest.empty(); ++line_number) {
        const std::string_view line = rest.substr(0, rest.find('\n'));
        rest.remove_prefix(std::min(rest.size(), line.size() + 1));
        const std::string_view content = trim(line);
        if (line_number == 0) {
            if (content != fence) break;
            continue;
        }
        if (content == fence || content == "...") return {rest, std::move(title)};
        const bool names_title =
            content.starts_with("title:") || content.starts_with("title =") || content.starts_with("title=");
        if (names_title) title = unquote(content.substr(content.find_first_of(":=") + 1));
    }
    return {text, {}};
}

}  // namespace

Result<ExtractedText> read_markdown(std::string_view text, const Budget& budget) {
    FrontMatter front = split_front_matter(text);
    return MarkdownReader(budget).read(front.rest, std::move(front.title));
}

}  // namespace millrace::text
