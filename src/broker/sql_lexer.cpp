#include "broker/sql_lexer.hpp"

#include "base/limits.hpp"
#include "base/utf8.hpp"

#include <algorithm>
#include <charconv>
#include <optional>

namespace millrace::broker::sql {

namespace {

constexpr std::string_view kSpaces = " \t\r\n\f\v";
constexpr std::string_view kTwoCharacterSymbols[] = {"<>", "!=", "<=", ">="};
constexpr std::string_view kSymbols = "=<>+-*/%(),;.";

bool is_digit(char c) { return c >= '0' && c <= '9'; }
// Letters of other scripts are bytes of UTF-8.
bool starts_word(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
           static_cast<unsigned char>(c) >= 0x80;
}
bool continues_word(char c) { return starts_word(c) || is_digit(c) || c == '$' || c == '#' || c == '@'; }
char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

std::string_view closing_missing(char close) {
    if (close == ']') return "the closing ] is missing";
    return close == '"' ? "the closing \" is missing" : "the closing ' is missing";
}

class Lexer {
  public:
    explicit Lexer(std::string_view text) : text_(text) {}

    Result<std::vector<Token>> run() {
        std::vector<Token> all;
        for (;;) {
            at_ = std::min(text_.find_first_not_of(kSpaces, at_), text_.size());
            auto token = next();
            if (!token) return token.error();
            all.push_back(std::move(*token));
            if (all.back().kind == TokenKind::end) return all;
        }
    }

  private:
    Result<Token> next() {
        if (at_ == text_.size()) return token(TokenKind::end, at_, "");
        const char c = text_[at_];
        if (c == '\'') return quoted('\'', TokenKind::literal);
        if (c == '"') return quoted('"', TokenKind::name);
        if (c == '[') return quoted(']', TokenKind::name);
        if (is_digit(c) || (c == '.' && at_ + 1 < text_.size() && is_digit(text_[at_ + 1]))) return number();
        if (starts_word(c)) {
            const std::size_t begin = at_;
            while (at_ < text_.size() && continues_word(text_[at_])) ++at_;
            return token(TokenKind::word, begin, text_.substr(begin, at_ - begin));
        }
        if (c == '@')
            return syntax_error(at_, "parameters (@name) are not supported; write the value itself");
        return symbol();
    }

    Result<Token> symbol() {
        const std::size_t begin = at_;
        for (const std::string_view two : kTwoCharacterSymbols) {
            if (text_.substr(at_, 2) != two) continue;
            at_ += 2;
            return token(TokenKind::symbol, begin, two);
        }
        if (kSymbols.find(text_[at_]) == std::string_view::npos)
            return syntax_error(at_, "\"" + std::string(text_.substr(at_, 1)) + "\" means nothing here");
        at_ += 1;
        return token(TokenKind::symbol, begin, text_.substr(begin, 1));
    }

    // The closing mark twice stands for itself.
    Result<Token> quoted(char close, TokenKind kind) {
        const std::size_t begin = at_++;
        std::string content;
        for (;; ++at_) {
            if (at_ == text_.size()) return syntax_error(begin, closing_missing(close));
            if (text_[at_] == close) {
                if (at_ + 1 == text_.size() || text_[at_ + 1] != close) break;
                ++at_;
            }
            content += text_[at_];
        }
        ++at_;
        if (kind == TokenKind::name && content.empty()) return syntax_error(begin, "the name is empty");
        Token made = token(kind, begin, "");
        if (kind == TokenKind::name)
            made.text = std::move(content);
        else
            made.value = std::move(content);
        return made;
    }

    Result<Token> number() {
        const std::size_t begin = at_;
        const auto digits = [&] {
            while (at_ < text_.size() && is_digit(text_[at_])) ++at_;
        };
        digits();
        bool whole = true;
        if (at_ < text_.size() && text_[at_] == '.') {
            whole = false;
            ++at_;
            digits();
        }
        if (at_ < text_.size() && lower(text_[at_]) == 'e') {
            whole = false;
            ++at_;
            if (at_ < text_.size() && (text_[at_] == '+' || text_[at_] == '-')) ++at_;
            digits();
        }
        if (at_ < text_.size() && continues_word(text_[at_]))
            return syntax_error(at_, "a number ends with a digit; put a space before what follows");
        Token made = token(TokenKind::literal, begin, "");
        const char* const first = text_.data() + begin;
        const char* const last = text_.data() + at_;
        if (std::int64_t integer = 0; whole) {
            if (std::from_chars(first, last, integer).ec != std::errc{})
                return syntax_error(begin, "the number does not fit into 64 bits");
            made.value = integer;
            return made;
        }
        double real = 0;
        const auto [end, error] = std::from_chars(first, last, real);
        if (error != std::errc{} || end != last) return syntax_error(begin, "this is not a number");
        made.value = real;
        return made;
    }

    static Token token(TokenKind kind, std::size_t at, std::string_view text) {
        return {kind, std::string(text), Value(), at};
    }

    std::string_view text_;
    std::size_t at_ = 0;
};

}  // namespace

bool equal_ignoring_case(std::string_view a, std::string_view b) noexcept {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                      [](char x, char y) { return lower(x) == lower(y); });
}

Error syntax_error(std::size_t at, std::string_view what) {
    return Error{Errc::invalid_input, "at byte " + std::to_string(at + 1) + ": " + std::string(what)};
}

Result<std::vector<Token>> tokens(std::string_view text) {
    if (!is_utf8(text)) return Error{Errc::invalid_input, "the expression is not UTF-8"};
    if (first_characters(text, limits::sql_chars_max).size() != text.size())
        return Error{Errc::invalid_input, "the expression is longer than 1,024 characters"};
    return Lexer(text).run();
}

}  // namespace millrace::broker::sql
