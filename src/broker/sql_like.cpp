#include "broker/sql_like.hpp"

#include "base/limits.hpp"
#include "base/utf8.hpp"

#include <vector>

namespace millrace::broker::sql {

namespace {

enum class Part : std::uint8_t { byte, one_character, any_characters };

struct Item {
    Part part;
    char byte = 0;
};

Result<std::vector<Item>> items_of(std::string_view pattern, std::string_view escape) {
    std::vector<Item> items;
    for (std::size_t i = 0; i < pattern.size(); ++i) {
        if (!escape.empty() && pattern.substr(i).starts_with(escape)) {
            i += escape.size();
            if (i == pattern.size())
                return Error{Errc::invalid_input, "the pattern of LIKE ends with the escape character"};
            items.push_back({Part::byte, pattern[i]});
        } else if (pattern[i] == '%') {
            items.push_back({Part::any_characters});
        } else if (pattern[i] == '_') {
            items.push_back({Part::one_character});
        } else {
            items.push_back({Part::byte, pattern[i]});
        }
    }
    return items;
}

// Where the character at `at` ends.
std::size_t after_character(std::string_view text, std::size_t at) {
    ++at;
    while (at < text.size() && (static_cast<unsigned char>(text[at]) & 0xc0) == 0x80) ++at;
    return at;
}

}  // namespace

Error too_costly() {
    return Error{Errc::invalid_input, "the expression takes too many steps for this message"};
}

// After a mismatch only the last '%' has to take more: whatever an earlier one took was enough to come here.
Result<bool> like(std::string_view text, std::string_view pattern, std::optional<std::string_view> escape,
                  Budget& budget) {
    if (escape && (escape->empty() || first_characters(*escape, 1).size() != escape->size()))
        return Error{Errc::invalid_input, "the escape of LIKE is not a single character"};
    if (!budget.spend(pattern.size())) return too_costly();
    const auto items = items_of(pattern, escape.value_or(std::string_view()));
    if (!items) return items.error();
    std::size_t at = 0;
    std::size_t item = 0;
    std::optional<std::size_t> last_any;
    std::size_t any_ends = 0;
    while (at < text.size()) {
        if (!budget.spend(1)) return too_costly();
        const Item* next = item < items->size() ? &(*items)[item] : nullptr;
        if (next != nullptr && next->part == Part::any_characters) {
            last_any = item++;
            any_ends = at;
        } else if (next != nullptr && next->part == Part::one_character) {
            at = after_character(text, at);
            ++item;
        } else if (next != nullptr && next->byte == text[at]) {
            ++at;
            ++item;
        } else if (last_any) {
            any_ends = after_character(text, any_ends);
            at = any_ends;
            item = *last_any + 1;
        } else {
            return false;
        }
    }
    while (item < items->size() && (*items)[item].part == Part::any_characters) ++item;
    return item == items->size();
}

}  // namespace millrace::broker::sql
