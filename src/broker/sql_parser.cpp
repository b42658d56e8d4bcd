#include "broker/sql_parser.hpp"

#include "base/limits.hpp"
#include "broker/sql_lexer.hpp"

#include <algorithm>
#include <array>

namespace millrace::broker::sql {

namespace {

constexpr std::string_view kKeywords[] = {"and",    "or",   "not",   "is",     "null", "in",    "like",
                                          "escape", "true", "false", "exists", "set",  "remove"};

struct BinaryOperator {
    std::string_view symbol;
    Operator what;
};
constexpr std::array kComparisons = {
    BinaryOperator{"=", Operator::equal},
    BinaryOperator{"<>", Operator::not_equal},
    BinaryOperator{"!=", Operator::not_equal},
    BinaryOperator{"<", Operator::less},
    BinaryOperator{"<=", Operator::less_or_equal},
    BinaryOperator{">", Operator::greater},
    BinaryOperator{">=", Operator::greater_or_equal},
};
constexpr std::array kSums = {BinaryOperator{"+", Operator::add}, BinaryOperator{"-", Operator::subtract}};
constexpr std::array kProducts = {BinaryOperator{"*", Operator::multiply},
                                  BinaryOperator{"/", Operator::divide},
                                  BinaryOperator{"%", Operator::remainder}};

/// Thrown and caught in this file: nearly every function of a recursive parser may fail.
struct Refused {
    Error error;
};

[[noreturn]] void refuse(std::size_t at, std::string_view what) { throw Refused{syntax_error(at, what)}; }

class Parser {
  public:
    explicit Parser(std::vector<Token> all) : tokens_(std::move(all)) {}

    Expression whole_condition() {
        Expression condition = expression();
        if (peek().kind != TokenKind::end) refuse(peek().at, "expected AND, OR or the end");
        return condition;
    }

    std::vector<Statement> whole_action() {
        std::vector<Statement> all;
        while (peek().kind != TokenKind::end) {
            if (accept_symbol(";")) continue;
            statements(all);
            if (peek().kind != TokenKind::end && !is_symbol(";"))
                refuse(peek().at, "expected ';' or the end of the action");
        }
        if (all.empty()) refuse(0, "the action does nothing; write SET or REMOVE");
        return all;
    }

  private:
    /// One more level of nesting for as long as it lives.
    class Level {
      public:
        explicit Level(Parser& parser) : parser_(parser) {
            if (++parser_.depth_ > limits::sql_nesting_max)
                refuse(parser_.peek().at, "nested more than 50 levels deep; simplify the expression");
        }
        ~Level() { parser_.depth_ -= 1; }
        Level(const Level&) = delete;

      private:
        Parser& parser_;
    };

    const Token& peek() const { return tokens_[at_]; }
    Token take() { return tokens_[at_ + 1 < tokens_.size() ? at_++ : at_]; }
    bool is_symbol(std::string_view symbol) const {
        return peek().kind == TokenKind::symbol && peek().text == symbol;
    }
    static bool is_word(const Token& token, std::string_view word) {
        return token.kind == TokenKind::word && equal_ignoring_case(token.text, word);
    }
    bool accept_symbol(std::string_view symbol) { return is_symbol(symbol) && (++at_, true); }
    bool accept_word(std::string_view word) { return is_word(peek(), word) && (++at_, true); }
    void expect_symbol(std::string_view symbol) {
        if (!accept_symbol(symbol)) refuse(peek().at, "expected '" + std::string(symbol) + "'");
    }
    void expect_word(std::string_view word) {
        if (!accept_word(word)) refuse(peek().at, "expected " + std::string(word));
    }

    std::uint32_t add(Operator what, std::vector<std::uint32_t> operands) {
        Node node;
        node.what = what;
        node.operands = std::move(operands);
        return add(std::move(node));
    }
    std::uint32_t add(Node node) {
        nodes_.push_back(std::move(node));
        return static_cast<std::uint32_t>(nodes_.size() - 1);
    }
    std::uint32_t constant(Value value) {
        Node node;
        node.constant = std::move(value);
        return add(std::move(node));
    }
    std::uint32_t negated_if(bool negated, std::uint32_t operand) {
        return negated ? add(Operator::logical_not, {operand}) : operand;
    }

    Expression expression() {
        nodes_.clear();
        const std::uint32_t root = any_of();
        return {std::move(nodes_), root};
    }

    std::uint32_t any_of() {
        const Level level(*this);
        std::uint32_t left = all_of();
        while (accept_word("or")) {
            const std::uint32_t right = all_of();
            left = add(Operator::logical_or, {left, right});
        }
        return left;
    }

    std::uint32_t all_of() {
        std::uint32_t left = inverse();
        while (accept_word("and")) {
            const std::uint32_t right = inverse();
            left = add(Operator::logical_and, {left, right});
        }
        return left;
    }

    std::uint32_t inverse() {
        if (!accept_word("not")) return comparison();
        const Level level(*this);
        const std::uint32_t operand = inverse();
        return add(Operator::logical_not, {operand});
    }

    std::uint32_t comparison() {
        const std::uint32_t left = sum();
        if (accept_word("is")) {
            const bool negated = accept_word("not");
            expect_word("null");
            return negated_if(negated, add(Operator::is_null, {left}));
        }
        const bool negated = accept_word("not");
        if (accept_word("in")) return negated_if(negated, in_list(left));
        if (accept_word("like")) return negated_if(negated, like(left));
        if (negated) refuse(peek().at, "expected IN or LIKE after NOT");
        if (peek().kind != TokenKind::symbol) return left;
        for (const BinaryOperator& row : kComparisons) {
            if (!accept_symbol(row.symbol)) continue;
            const std::uint32_t right = sum();
            return add(row.what, {left, right});
        }
        return left;
    }

    std::uint32_t in_list(std::uint32_t left) {
        std::vector<std::uint32_t> operands{left};
        expect_symbol("(");
        do {
            operands.push_back(sum());
        } while (accept_symbol(","));
        expect_symbol(")");
        return add(Operator::in, std::move(operands));
    }

    std::uint32_t like(std::uint32_t left) {
        std::vector<std::uint32_t> operands{left, sum()};
        if (accept_word("escape")) operands.push_back(sum());
        return add(Operator::like, std::move(operands));
    }

    std::uint32_t sum() {
        return chain(kSums, [this] { return product(); });
    }
    std::uint32_t product() {
        return chain(kProducts, [this] { return sign(); });
    }

    template <class Operators, class Operand>
    std::uint32_t chain(const Operators& operators, Operand operand) {
        std::uint32_t left = operand();
        for (;;) {
            const auto row = std::find_if(operators.begin(), operators.end(),
                                          [this](const auto& one) { return is_symbol(one.symbol); });
            if (row == operators.end()) return left;
            ++at_;
            const std::uint32_t right = operand();
            left = add(row->what, {left, right});
        }
    }

    std::uint32_t sign() {
        if (!is_symbol("+") && !is_symbol("-")) return primary();
        const Level level(*this);
        const bool minus = take().text == "-";
        const std::uint32_t operand = sign();
        return add(minus ? Operator::negate : Operator::keep, {operand});
    }

    std::uint32_t primary() {
        if (peek().kind == TokenKind::literal) return constant(take().value);
        if (accept_symbol("(")) {
            const std::uint32_t inner = any_of();
            expect_symbol(")");
            return inner;
        }
        if (accept_word("true")) return constant(true);
        if (accept_word("false")) return constant(false);
        if (accept_word("null")) return constant(Value());
        if (accept_word("exists")) {
            expect_symbol("(");
            const std::uint32_t found = property_node(Operator::exists);
            expect_symbol(")");
            return found;
        }
        if (is_word(peek(), "newid") && opens_call()) {
            at_ += 2;
            expect_symbol(")");
            return add(Operator::new_id, {});
        }
        return property_node(Operator::property);
    }

    bool opens_call() const {
        const Token& next = tokens_[std::min(at_ + 1, tokens_.size() - 1)];
        return next.kind == TokenKind::symbol && next.text == "(";
    }

    std::uint32_t property_node(Operator what) {
        Node node;
        node.what = what;
        node.property = property();
        return add(std::move(node));
    }

    PropertyName property() {
        if ((is_word(peek(), "p") || is_word(peek(), "property")) && opens_call()) {
            at_ += 2;
            if (peek().kind != TokenKind::literal || !std::holds_alternative<std::string>(peek().value))
                refuse(peek().at, "expected the name of a property in quotes");
            PropertyName named{nullptr, std::get<std::string>(take().value)};
            expect_symbol(")");
            return named;
        }
        const Token first = name();
        if (!accept_symbol(".")) return {nullptr, first.text};
        if (first.kind == TokenKind::word && equal_ignoring_case(first.text, "user"))
            return {nullptr, name().text};
        if (first.kind != TokenKind::word || !equal_ignoring_case(first.text, "sys"))
            refuse(first.at, "\"" + first.text +
                                 "\" is no scope; write sys. or user., or put a name with "
                                 "a dot into brackets");
        const Token second = name();
        const SystemProperty* row = find_system_property(second.text);
        if (row == nullptr) refuse(second.at, "there is no system property \"" + second.text + "\"");
        return {row, std::string(row->name)};
    }

    Token name() {
        const Token& next = peek();
        if (next.kind == TokenKind::name) return take();
        if (next.kind == TokenKind::end) refuse(next.at, "the expression ends too early");
        const bool keyword = std::any_of(std::begin(kKeywords), std::end(kKeywords),
                                         [&](std::string_view word) { return is_word(next, word); });
        if (next.kind != TokenKind::word || keyword)
            refuse(next.at, "expected a value or the name of a property");
        return take();
    }

    void statements(std::vector<Statement>& all) {
        const bool sets = accept_word("set");
        if (!sets && !accept_word("remove")) refuse(peek().at, "expected SET or REMOVE");
        do {
            const std::size_t at = peek().at;
            if (all.size() == limits::sql_statements_max) refuse(at, "an action has at most 32 statements");
            Statement statement{property(), std::nullopt};
            const SystemProperty* system = statement.target.system;
            if (system != nullptr && system->set == nullptr)
                refuse(at, "sys." + std::string(system->name) + " cannot be changed");
            if (sets) {
                expect_symbol("=");
                statement.value = expression();
            }
            all.push_back(std::move(statement));
        } while (accept_symbol(","));
    }

    std::vector<Token> tokens_;
    std::size_t at_ = 0;
    std::size_t depth_ = 0;
    std::vector<Node> nodes_;
};

}  // namespace

Result<Expression> parse_condition(std::string_view text) {
    auto all = tokens(text);
    if (!all) return all.error();
    try {
        return Parser(std::move(*all)).whole_condition();
    } catch (const Refused& refused) {
        return refused.error;
    }
}

Result<std::vector<Statement>> parse_action(std::string_view text) {
    auto all = tokens(text);
    if (!all) return all.error();
    try {
        return Parser(std::move(*all)).whole_action();
    } catch (const Refused& refused) {
        return refused.error;
    }
}

}  // namespace millrace::broker::sql
