// DOCX (ECMA-376, WordprocessingML): the text of the body and of its notes.
#include "text/docx_parts.hpp"
#include "text/readers.hpp"
#include "text/utf8.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace millrace::text {
namespace {

enum class Element {
    other,      ///< its children count
    skipped,    ///< deleted text, field codes, properties, what repeats other text
    paragraph,
    run_text,
    tab,
    line_break,
    row,
    cell,
    table,
    hyphen,
    note_reference,
};

Element element_of(std::string_view name) {
    struct Row {
        std::string_view name;
        Element element;
    };
    static constexpr std::array kRows = {
        Row{"p", Element::paragraph},
        Row{"t", Element::run_text},
        Row{"tab", Element::tab},
        Row{"ptab", Element::tab},
        Row{"br", Element::line_break},
        Row{"cr", Element::line_break},
        Row{"tr", Element::row},
        Row{"tc", Element::cell},
        Row{"tbl", Element::table},
        Row{"noBreakHyphen", Element::hyphen},
        Row{"footnoteReference", Element::note_reference},
        Row{"endnoteReference", Element::note_reference},
        Row{"del", Element::skipped},
        Row{"moveFrom", Element::skipped},
        Row{"delText", Element::skipped},
        Row{"instrText", Element::skipped},
        Row{"delInstrText", Element::skipped},
        Row{"pPr", Element::skipped},
        Row{"rPr", Element::skipped},
        Row{"tblPr", Element::skipped},
        Row{"trPr", Element::skipped},
        Row{"tcPr", Element::skipped},
        Row{"sectPr", Element::skipped},
        Row{"sdtPr", Element::skipped},
        Row{"Fallback", Element::skipped},
        Row{"binData", Element::skipped},
        Row{"rt", Element::skipped},
    };
    for (const Row& row : kRows) {
        if (row.name == name) return row.element;
    }
    return Element::other;
}

class DocxReader {
  public:
    DocxReader(Archive& archive, Styles styles, const Budget& budget)
        : archive_(archive),
          styles_(std::move(styles)),
          budget_(budget),
          builder_(budget.limits().text_bytes_max) {}

    Result<ExtractedText> read(const std::string& part) {
        if (auto failed = add_part(part)) return std::move(*failed);
        const std::string folder = part.substr(0, part.rfind('/') + 1);
        for (const char* const notes : {"footnotes.xml", "endnotes.xml"}) {
            if (!archive_.contains(folder + notes)) continue;
            builder_.paragraph();
            if (auto failed = add_part(folder + notes)) return std::move(*failed);
        }
        std::string title = title_of(archive_);
        if (trim(title).empty()) title = std::move(title_);
        return builder_.take(std::move(title));
    }

  private:
    struct Open {
        pugi::xml_node node;
        Element element;
        int level;  ///< of a paragraph
    };

    std::optional<Error> add_part(const std::string& part) {
        const auto document = parse_part(archive_, part);
        if (!document) return document.error();
        return walk((*document)->document_element());
    }

    /// Depth first without recursion: the file decides how deep.
    std::optional<Error> walk(pugi::xml_node root) {
        open_.assign(1, {root, Element::other, 0});
        pugi::xml_node next = root.first_child();
        for (std::size_t steps = 1; !open_.empty(); ++steps) {
            if (steps % 4096 == 0 && budget_.is_late()) return budget_.too_late();
            if (builder_.is_full()) return budget_.too_much_text();
            if (next && open_.size() > budget_.limits().nesting_max) return budget_.too_deep();
            if (!next) {
                next = open_.back().node.next_sibling();
                leave(open_.back());
                open_.pop_back();
            } else if (const Element element = element_of(local_name(next.name()));
                       is_skipped(next, element)) {
                next = next.next_sibling();
            } else {
                open_.push_back({next, element, 0});
                if (!enter(open_.back()))
                    return Error{Errc::corrupt, "the DOCX holds text that is not UTF-8"};
                next = next.first_child();
            }
        }
        return std::nullopt;
    }

    /// Notes of the types "separator" and the like hold no text of the author.
    static bool is_skipped(pugi::xml_node node, Element element) {
        if (element == Element::skipped) return true;
        const std::string_view name = local_name(node.name());
        return (name == "footnote" || name == "endnote") && *attribute(node, "type") != '\0';
    }

    /// False if the text is not UTF-8.
    bool enter(Open& open) {
        switch (open.element) {
            case Element::paragraph: begin_paragraph(open); break;
            case Element::table: builder_.paragraph(); break;
            case Element::row: builder_.line(); break;
            case Element::cell: builder_.cell(); break;
            case Element::tab: builder_.verbatim("\t"); break;
            case Element::hyphen: builder_.flow("-"); break;
            case Element::line_break: builder_.line(); break;
            case Element::note_reference: builder_.space(); break;
            case Element::run_text: {
                const std::string_view text = open.node.text().get();
                if (!is_valid_utf8(text)) return false;
                builder_.flow(text);
                break;
            }
            default: break;
        }
        return true;
    }

    void begin_paragraph(Open& open) {
        const pugi::xml_node properties = child(open.node, "pPr");
        int level = styles_.level(attribute(child(properties, "pStyle"), "val"));
        // Text boxes put paragraphs into paragraphs; headings do not nest.
        if (is_in_heading()) level = Styles::kBody;
        if (level != Styles::kBody) {
            open.level = level == Styles::kTitle ? 1 : level + (has_title_ ? 1 : 0);
            has_title_ = has_title_ || level == Styles::kTitle;
            if (level == Styles::kTitle && title_.empty()) title_ = text_of(open.node);
            return builder_.heading_begin(open.level);
        }
        if (is_in(Element::cell)) return;
        if (child(properties, "numPr")) return builder_.marker("- ");
        builder_.paragraph();
    }

    void leave(const Open& open) {
        if (open.element == Element::table) builder_.paragraph();
        if (open.element == Element::row) builder_.line();
        if (open.element != Element::paragraph) return;
        if (open.level != Styles::kBody) return builder_.heading_end();
        if (is_in(Element::cell)) return builder_.space();
        if (child(child(open.node, "pPr"), "numPr")) return builder_.marker({});
        builder_.paragraph();
    }

    bool is_in(Element element) const {
        return std::any_of(open_.begin(), open_.end(),
                           [&](const Open& open) { return open.element == element; });
    }
    bool is_in_heading() const {
        return std::any_of(open_.begin(), open_.end(), [](const Open& open) { return open.level != 0; });
    }

    /// The runs of a title, which is short.
    static std::string text_of(pugi::xml_node paragraph) {
        std::string text;
        for (const pugi::xml_node run : paragraph.children()) {
            const std::string_view part = child(run, "t").text().get();
            if (is_valid_utf8(part)) text += part;
        }
        return text;
    }

    Archive& archive_;
    Styles styles_;
    const Budget& budget_;
    TextBuilder builder_;
    std::vector<Open> open_;
    std::string title_;
    bool has_title_ = false;
};

}  // namespace

Result<ExtractedText> read_docx(std::string_view bytes, const Budget& budget) {
    auto archive = Archive::open(bytes, budget);
    if (!archive) return Error{archive.error().code, "not a readable DOCX: " + archive.error().detail};
    const auto part = main_part(*archive);
    if (!part && part.error().code != Errc::not_found) return part.error();
    if (!part || part->find("document") == std::string::npos) {
        const bool other =
            part.has_value() || archive->contains("xl/workbook.xml") || archive->contains("content.xml");
        return Error{other ? Errc::invalid_input : Errc::corrupt,
                     other ? "the file is an Office document but not DOCX"
                           : "the ZIP archive is not a DOCX: it holds no document"};
    }
    const std::string folder = part->substr(0, part->rfind('/') + 1);
    return DocxReader(*archive, Styles(*archive, folder + "styles.xml"), budget).read(*part);
}

}  // namespace millrace::text
