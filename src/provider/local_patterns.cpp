#include "provider/local_patterns.hpp"

#include "provider/feature_hash_words.hpp"
#include "provider/local_lexicons.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <span>
#include <string>

namespace millrace::provider {

namespace {

using namespace std::string_view_literals;

constexpr std::size_t kLocalPartMax = 64;
constexpr std::size_t kDomainMax = 255;
constexpr std::size_t kMonthBytesMax = 16;

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_word_byte(char c) { return is_digit(c) || is_letter(c) || static_cast<signed char>(c) < 0; }

/// A place in the text that moves on as things are found there.
class Cursor {
  public:
    Cursor(std::string_view text, std::size_t at) : at(at), text_(text) {}

    char now() const { return at < text_.size() ? text_[at] : '\0'; }
    bool take(std::string_view what) {
        if (!text_.substr(at).starts_with(what)) return false;
        at += what.size();
        return true;
    }
    bool take_any(std::span<const std::string_view> words) {
        return std::ranges::any_of(words, [this](std::string_view word) { return take(word); });
    }
    /// A number of `least` to `most` digits, with no digit behind it.
    std::optional<int> digits(std::size_t least, std::size_t most) {
        std::size_t end = at;
        while (end < text_.size() && is_digit(text_[end]) && end - at <= most) ++end;
        if (end - at < least || end - at > most) return std::nullopt;
        int number = 0;
        for (; at < end; ++at) number = number * 10 + (text_[at] - '0');
        return number;
    }
    /// The number of the month that is named here.
    int month() {
        std::size_t end = at;
        while (end < text_.size() && end - at < kMonthBytesMax &&
               (is_letter(text_[end]) || static_cast<signed char>(text_[end]) < 0))
            ++end;
        if (end - at < 3) return 0;
        std::string folded;
        fold_case(text_.substr(at, end - at), folded);
        const int number = month_of(folded);
        if (number == 0) return 0;
        at = end;
        if (folded.size() <= 4) take(".");
        return number;
    }
    bool ends_word() const { return at >= text_.size() || !is_word_byte(text_[at]); }
    void skip_spaces() {
        while (now() == ' ') ++at;
    }

    std::size_t at;

  private:
    std::string_view text_;
};

bool is_day(std::optional<int> day) { return day && *day >= 1 && *day <= 31; }
bool is_month(std::optional<int> month) { return month && *month >= 1 && *month <= 12; }

/// "2024-03-05", also with a time; "2024年3月5日".
std::size_t iso_date(std::string_view text, std::size_t begin) {
    Cursor cursor(text, begin);
    if (!cursor.digits(4, 4)) return 0;
    const bool ideographs = cursor.take("\xE5\xB9\xB4");
    if (!ideographs && !cursor.take("-") && !cursor.take("/")) return 0;
    if (!is_month(cursor.digits(1, 2))) return 0;
    if (ideographs ? !cursor.take("\xE6\x9C\x88") : !cursor.take("-") && !cursor.take("/")) return 0;
    if (!is_day(cursor.digits(1, 2))) return ideographs ? cursor.at : 0;
    if (ideographs) return cursor.take("\xE6\x97\xA5") ? cursor.at : 0;
    Cursor time = cursor;
    if (time.take("T") || time.take(" ")) {
        const bool hours = time.digits(2, 2) && time.take(":") && time.digits(2, 2);
        if (hours) {
            if (time.take(":")) (void)time.digits(2, 2);
            time.take("Z");
            if (time.ends_word()) return time.at;
        }
    }
    return cursor.ends_word() ? cursor.at : 0;
}

/// "05.03.2024", "5/3/24", "5 March 2024", "5. März", "5th of March".
std::size_t day_first_date(std::string_view text, std::size_t begin) {
    static constexpr std::array ordinals = {"st"sv, "nd"sv, "rd"sv, "th"sv, "."sv, "er"sv};
    static constexpr std::array links = {"of "sv, "de "sv};
    Cursor cursor(text, begin);
    const auto first = cursor.digits(1, 2);
    if (!is_day(first)) return 0;
    const char mark = cursor.now();
    if (mark == '.' || mark == '/' || mark == '-') {
        Cursor numbers = cursor;
        numbers.at += 1;
        const auto second = numbers.digits(1, 2);
        const bool fits = is_day(second) && (is_month(first) || is_month(second));
        if (fits && numbers.take(std::string_view(&mark, 1)) &&
            (numbers.digits(4, 4) || numbers.digits(2, 2)))
            return numbers.ends_word() ? numbers.at : 0;
    }
    cursor.take_any(ordinals);
    cursor.skip_spaces();
    cursor.take_any(links);
    if (cursor.month() == 0) return 0;
    Cursor year = cursor;
    year.take(",");
    year.skip_spaces();
    year.take_any(links);
    if (year.digits(4, 4) && year.ends_word()) return year.at;
    return cursor.at;
}

/// "March 5, 2024", "Mar. 5", "March 2024".
std::size_t month_first_date(std::string_view text, std::size_t begin) {
    static constexpr std::array ordinals = {"st"sv, "nd"sv, "rd"sv, "th"sv};
    Cursor cursor(text, begin);
    if (cursor.month() == 0 || cursor.now() != ' ') return 0;
    cursor.skip_spaces();
    Cursor year = cursor;
    if (year.digits(4, 4) && year.ends_word()) return year.at;
    if (!is_day(cursor.digits(1, 2))) return 0;
    cursor.take_any(ordinals);
    if (!cursor.ends_word()) return 0;
    year = cursor;
    year.take(",");
    year.skip_spaces();
    return year.digits(4, 4) && year.ends_word() ? year.at : cursor.at;
}

constexpr std::array kSigns = {"US$"sv,      "$"sv,        "\xE2\x82\xAC"sv,
                               "\xC2\xA3"sv, "\xC2\xA5"sv, "\xE2\x82\xB9"sv};
constexpr std::array kCurrencies = {"USD"sv,     "EUR"sv,    "GBP"sv,    "JPY"sv,   "CHF"sv,
                                    "CNY"sv,     "INR"sv,    "CAD"sv,    "AUD"sv,   "SEK"sv,
                                    "dollars"sv, "dollar"sv, "euros"sv,  "euro"sv,  "Euro"sv,
                                    "pounds"sv,  "yen"sv,    "francs"sv, "Dollar"sv};
constexpr std::array kScales = {"thousand"sv,  "million"sv,    "billion"sv, "trillion"sv, "Millionen"sv,
                                "Million"sv,   "Milliarden"sv, "Mio."sv,    "Mrd."sv,     "millions"sv,
                                "milliards"sv, "bn"sv,         "k"sv,       "K"sv,        "M"sv,
                                "m"sv,         "B"sv};

/// An amount with its separators: "1,234.56", "1.234,56", "5".
bool take_amount(std::string_view text, Cursor& cursor) {
    const std::size_t begin = cursor.at;
    while (cursor.at < text.size()) {
        const bool separator = cursor.now() == '.' || cursor.now() == ',' || cursor.now() == '\'';
        const bool more = cursor.at + 1 < text.size() && is_digit(text[cursor.at + 1]);
        if (!is_digit(cursor.now()) && !(separator && more && cursor.at > begin)) break;
        ++cursor.at;
    }
    return cursor.at > begin;
}

void take_scale(Cursor& cursor) {
    Cursor scale = cursor;
    scale.skip_spaces();
    if (scale.take_any(kScales) && (scale.ends_word() || scale.now() == ' ')) cursor = scale;
}

bool take_currency(Cursor& cursor) {
    Cursor unit = cursor;
    unit.skip_spaces();
    if (!unit.take_any(kSigns) && !(unit.take_any(kCurrencies) && unit.ends_word())) return false;
    cursor = unit;
    return true;
}

/// "$1,234.56", "€ 5 million", "USD 20".
std::size_t currency_first(std::string_view text, std::size_t begin) {
    Cursor cursor(text, begin);
    if (!cursor.take_any(kSigns) && !cursor.take_any(std::span(kCurrencies).first(10))) return 0;
    cursor.skip_spaces();
    if (!take_amount(text, cursor)) return 0;
    take_scale(cursor);
    return cursor.at;
}

/// "20 EUR", "5 million dollars", "3,50 €".
std::size_t amount_first(std::string_view text, std::size_t begin) {
    Cursor cursor(text, begin);
    if (!take_amount(text, cursor)) return 0;
    take_scale(cursor);
    return take_currency(cursor) ? cursor.at : 0;
}

std::size_t url(std::string_view text, std::size_t begin) {
    static constexpr std::array openings = {"https://"sv, "http://"sv, "ftp://"sv, "www."sv};
    Cursor cursor(text, begin);
    if (!cursor.take_any(openings) || !is_word_byte(cursor.now())) return 0;
    std::size_t end = std::min(text.find_first_of(" \t\r\n<>\"`", begin), text.size());
    while (end > cursor.at && std::string_view(".,;:!?)]}'*").find(text[end - 1]) != std::string_view::npos)
        --end;
    return end;
}

/// The address around the '@' at `at`; an empty match if there is none.
PatternMatch email(std::string_view text, std::size_t at) {
    const auto is_local = [](char c) {
        return is_digit(c) || is_letter(c) || std::string_view("._%+-").find(c) != std::string_view::npos;
    };
    const auto is_domain = [](char c) { return is_digit(c) || is_letter(c) || c == '.' || c == '-'; };
    std::size_t begin = at;
    while (begin > 0 && at - begin < kLocalPartMax && is_local(text[begin - 1])) --begin;
    while (begin < at && !is_word_byte(text[begin])) ++begin;
    std::size_t end = at + 1;
    while (end < text.size() && end - at < kDomainMax && is_domain(text[end])) ++end;
    while (end > at + 1 && (text[end - 1] == '.' || text[end - 1] == '-')) --end;
    const std::size_t dot = text.substr(0, end).rfind('.');
    const bool named = dot != std::string_view::npos && dot > at + 1 && end - dot > 2;
    if (begin == at || !named ||
        !std::all_of(text.begin() + static_cast<std::ptrdiff_t>(dot) + 1,
                     text.begin() + static_cast<std::ptrdiff_t>(end), is_letter))
        return {};
    return {begin, end, "email"};
}

/// What begins at `at`, where no word is under way; an empty match if nothing does.
PatternMatch pattern_at(std::string_view text, std::size_t at) {
    struct Kind {
        std::size_t (*find)(std::string_view, std::size_t);
        std::string_view type;
    };
    static constexpr Kind of_digits[] = {
        {iso_date, "date"}, {day_first_date, "date"}, {amount_first, "money"}};
    static constexpr Kind of_letters[] = {
        {url, "url"}, {month_first_date, "date"}, {currency_first, "money"}};
    for (const Kind& kind : is_digit(text[at]) ? std::span(of_digits) : std::span(of_letters)) {
        if (const std::size_t end = kind.find(text, at)) return {at, end, kind.type};
    }
    return {};
}

}  // namespace

std::vector<PatternMatch> find_patterns(std::string_view text) {
    std::vector<PatternMatch> matches;
    for (std::size_t at = 0; at < text.size(); ++at) {
        PatternMatch match;
        const std::size_t free = matches.empty() ? 0 : matches.back().end;
        // A number may follow a letter of a script without spaces.
        const bool numeral = at > 0 && is_digit(text[at]) && static_cast<signed char>(text[at - 1]) < 0;
        const bool inside = at > 0 && !numeral && is_word_byte(text[at - 1]) && is_word_byte(text[at]);
        if (text[at] == '@')
            match = email(text, at);
        else if (!inside && text[at] != ' ')
            match = pattern_at(text, at);
        if (match.end == 0) continue;
        // "jane.doe@…": its first part may have looked like something else.
        while (!matches.empty() && match.begin < matches.back().end && match.type == "email")
            matches.pop_back();
        if (match.begin < free && match.type != "email") continue;
        matches.push_back(match);
        at = match.end - 1;
    }
    return matches;
}

}  // namespace millrace::provider
