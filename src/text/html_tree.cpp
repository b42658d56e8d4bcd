#include "text/html_tree.hpp"

#include "text/utf8.hpp"

#include <algorithm>
#include <array>
#include <csetjmp>
#include <cstddef>

namespace millrace::text {
namespace {

constexpr std::size_t kBlockBytes = std::size_t{256} * 1024;
constexpr std::size_t kCallsPerLookAtTheClock = 64;

bool is_letter(char c) noexcept { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

/// A tag as it stands in the text: its name in lower case, cut at 12 characters.
struct TagName {
    std::array<char, 12> characters{};
    std::size_t size = 0;
    std::string_view view() const { return {characters.data(), size}; }
};

TagName tag_name_at(std::string_view html, std::size_t at) noexcept {
    TagName name;
    while (at < html.size() && name.size < name.characters.size()) {
        const char c = html[at++];
        if (is_ascii_space(c) || c == '>' || c == '/') break;
        name.characters[name.size++] = static_cast<char>(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
    }
    return name;
}

/// Elements that hold no others, or that the next of their kind ends.
bool ends_by_itself(std::string_view name) noexcept {
    static constexpr std::array<std::string_view, 37> kNames = {
        "area",     "base",  "basefont", "bgsound", "body",  "br",    "col",   "colgroup", "dd", "dt",
        "embed",    "frame", "head",     "hr",      "html",  "img",   "input", "keygen",   "li", "link",
        "menuitem", "meta",  "optgroup", "option",  "p",     "param", "rb",    "rp",       "rt", "source",
        "tbody",    "td",    "tfoot",    "th",      "thead", "tr",    "wbr"};
    static_assert(std::is_sorted(kNames.begin(), kNames.end()));
    return std::binary_search(kNames.begin(), kNames.end(), name);
}

bool holds_raw_text(std::string_view name) noexcept {
    return name == "script" || name == "style" || name == "textarea" || name == "title" || name == "xmp";
}

/// The offset behind the end tag of a raw-text element whose content begins at `at`.
std::size_t skip_raw_text(std::string_view html, std::size_t at, std::string_view name) noexcept {
    while ((at = html.find("</", at)) != std::string_view::npos) {
        at += 2;
        if (tag_name_at(html, at).view() == name) return at;
    }
    return html.size();
}

}  // namespace

std::size_t nesting_of(std::string_view html) noexcept {
    std::size_t depth = 0, deepest = 0;
    for (std::size_t at = html.find('<'); at != std::string_view::npos && at + 1 < html.size();
         at = html.find('<', at)) {
        ++at;
        if (html.substr(at).starts_with("!--")) {
            const std::size_t end = html.find("-->", at);
            if (end == std::string_view::npos) break;
            at = end;
            continue;
        }
        const bool closes = html[at] == '/';
        const std::size_t name_at = at + (closes ? 1 : 0);
        if (name_at >= html.size() || !is_letter(html[name_at])) continue;
        const TagName name = tag_name_at(html, name_at);
        if (ends_by_itself(name.view())) continue;
        if (closes) {
            depth -= depth > 0 ? 1 : 0;
        } else if (holds_raw_text(name.view())) {
            at = skip_raw_text(html, at, name.view());
        } else {
            deepest = std::max(deepest, ++depth);
        }
    }
    return deepest;
}

void* HtmlTree::take(std::size_t size) {
    size = (size + alignof(std::max_align_t) - 1) & ~(alignof(std::max_align_t) - 1);
    if (++calls_ % kCallsPerLookAtTheClock == 0 && budget_.is_late()) stop_ = Stop::time;
    if (size > budget_.limits().memory_bytes_max - std::min(taken_, budget_.limits().memory_bytes_max)) {
        stop_ = Stop::memory;
    }
    if (stop_ != Stop::none) return nullptr;
    if (size > block_free_) {
        const std::size_t block = std::max(size, kBlockBytes);
        blocks_.push_back(std::make_unique_for_overwrite<std::byte[]>(block));
        next_ = blocks_.back().get();
        block_free_ = block;
    }
    taken_ += size;
    block_free_ -= size;
    return std::exchange(next_, next_ + size);
}

// Leaves the parser by longjmp: between here and `parse_within_bounds` there is only C.
void* HtmlTree::allocate(void* tree, std::size_t size) {
    auto* const self = static_cast<HtmlTree*>(tree);
    if (void* const memory = self->take(size)) return memory;
    std::longjmp(*static_cast<std::jmp_buf*>(self->jump_), 1);
}

bool HtmlTree::parse_within_bounds() {
    std::jmp_buf jump;
    jump_ = &jump;
    if (setjmp(jump) != 0) return false;
    GumboOptions options = kGumboDefaultOptions;
    options.allocator = &HtmlTree::allocate;
    options.deallocator = [](void*, void*) {};
    options.userdata = this;
    options.max_errors = 0;
    output_ = gumbo_parse_with_options(&options, html_.data(), html_.size());
    jump_ = nullptr;
    return true;
}

Result<const GumboNode*> HtmlTree::parse() {
    if (nesting_of(html_) > budget_.limits().nesting_max) return budget_.too_deep();
    if (parse_within_bounds()) return output_->document;
    return stop_ == Stop::time ? budget_.too_late() : budget_.too_much_memory();
}

}  // namespace millrace::text
