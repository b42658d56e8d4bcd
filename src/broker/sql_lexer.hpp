// Words of the filter language of Service Bus (docs/topics.md gives the grammar).
#pragma once

#include "base/error.hpp"
#include "broker/message.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace millrace::broker::sql {

enum class TokenKind {
    end,
    word,     ///< a keyword, a scope or the name of a property
    name,     ///< a name in brackets or double quotes: never a keyword
    literal,  ///< a number or a text
    symbol,   ///< an operator or a punctuation mark
};

struct Token {
    TokenKind kind = TokenKind::end;
    std::string text;    ///< a word, a name without its quotes, or a symbol
    Value value;         ///< of a literal
    std::size_t at = 0;  ///< where it begins, in bytes
};

/// `text` as tokens, the last of which is `end`. invalid_input: longer than 1,024 characters, or no such
/// token.
Result<std::vector<Token>> tokens(std::string_view text);

/// True if both are equal but for the case of the letters A to Z.
bool equal_ignoring_case(std::string_view a, std::string_view b) noexcept;

/// A problem at byte `at` of an expression.
Error syntax_error(std::size_t at, std::string_view what);

}  // namespace millrace::broker::sql
