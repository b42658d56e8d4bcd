#include "broker/sql_evaluate.hpp"

#include "base/limits.hpp"
#include "broker/sql_lexer.hpp"
#include "broker/sql_like.hpp"
#include "broker/value.hpp"

#include <algorithm>
#include <cmath>

namespace millrace::broker::sql {

namespace {

using Truth = std::optional<bool>;  // none: unknown

Truth truth_of(const Value& value) {
    const bool* flag = std::get_if<bool>(&value);
    return flag == nullptr ? Truth() : Truth(*flag);
}

Value value_of(Truth truth) { return truth ? Value(*truth) : Value(); }

bool is_null(const Value& value) { return std::holds_alternative<std::monostate>(value); }

/// Thrown and caught in this file: most steps of an evaluation may fail.
struct Failed {
    Error error;
};

[[noreturn]] void fail(std::string_view what) { throw Failed{Error{Errc::invalid_input, std::string(what)}}; }

template <class Map>
auto find_property(Map& properties, const std::string& name) {
    auto found = properties.find(name);
    if (found != properties.end()) return found;
    return std::find_if(properties.begin(), properties.end(),
                        [&](const auto& one) { return equal_ignoring_case(one.first, name); });
}

Truth compare(Operator what, const Value& left, const Value& right) {
    if (is_null(left) || is_null(right)) return {};
    const std::partial_ordering order = compare_values(left, right);
    if (order == std::partial_ordering::unordered) return {};
    switch (what) {
        case Operator::equal: return order == 0;
        case Operator::not_equal: return order != 0;
        case Operator::less: return order < 0;
        case Operator::less_or_equal: return order <= 0;
        case Operator::greater: return order > 0;
        default: return order >= 0;
    }
}

/// A number as a 64-bit integer or, where it is none, as a double.
std::optional<std::variant<std::int64_t, double>> number_of(const Value& value) {
    if (const auto* number = std::get_if<std::int64_t>(&value)) return *number;
    if (const auto* real = std::get_if<double>(&value)) return *real;
    const auto* large = std::get_if<std::uint64_t>(&value);
    if (large == nullptr) return std::nullopt;
    if (std::in_range<std::int64_t>(*large)) return static_cast<std::int64_t>(*large);
    return static_cast<double>(*large);
}

Value calculate(Operator what, std::int64_t left, std::int64_t right) {
    std::int64_t result = 0;
    bool overflow = false;
    if (what == Operator::divide || what == Operator::remainder) {
        if (right == 0) fail("division by zero");
        if (what == Operator::remainder) return right == -1 ? 0 : left % right;
        overflow = right == -1 && left == std::numeric_limits<std::int64_t>::min();
        if (!overflow) result = left / right;
    } else if (what == Operator::add) {
        overflow = __builtin_add_overflow(left, right, &result);
    } else if (what == Operator::subtract) {
        overflow = __builtin_sub_overflow(left, right, &result);
    } else {
        overflow = __builtin_mul_overflow(left, right, &result);
    }
    if (overflow) fail("a number does not fit into 64 bits");
    return result;
}

Value calculate(Operator what, double left, double right) {
    switch (what) {
        case Operator::add: return left + right;
        case Operator::subtract: return left - right;
        case Operator::multiply: return left * right;
        default: break;
    }
    if (right == 0) fail("division by zero");
    return what == Operator::divide ? left / right : std::fmod(left, right);
}

class Evaluation {
  public:
    Evaluation(const Expression& expression, const Arriving& arriving, Budget& budget)
        : nodes_(expression.nodes), arriving_(arriving), budget_(budget) {}

    // As deep as the tree: no text of 1,024 characters makes more than some hundred levels.
    Value compute(std::uint32_t index) {
        spend(1);
        const Node& node = nodes_[index];
        switch (node.what) {
            case Operator::constant: return node.constant;
            case Operator::property: return property(node.property);
            case Operator::new_id: return Value(random_uuid());
            case Operator::exists: return Value(exists(node.property));
            case Operator::logical_and: return junction(node, false);
            case Operator::logical_or: return junction(node, true);
            case Operator::in: return contained(node);
            case Operator::like: return like_pattern(node);
            default: break;
        }
        const Value first = compute(node.operands[0]);
        if (node.operands.size() == 1) return unary(node.what, first);
        const Value second = compute(node.operands[1]);
        if (node.what >= Operator::add) return arithmetic(node.what, first, second);
        return value_of(compare(node.what, first, second));
    }

  private:
    Value property(const PropertyName& name) {
        if (name.system != nullptr) return name.system->get(arriving_);
        const Properties& properties = arriving_.message.properties;
        spend(properties.contains(name.name) ? 1 : properties.size());
        const auto found = find_property(properties, name.name);
        if (found == properties.end()) return Value();
        Value value = numeric(found->second);
        const auto* text = std::get_if<std::string>(&value);
        if (text != nullptr) spend(text->size());
        return value;
    }

    bool exists(const PropertyName& name) {
        if (name.system != nullptr) return !is_null(name.system->get(arriving_));
        const Properties& properties = arriving_.message.properties;
        spend(properties.size());
        return find_property(properties, name.name) != properties.end();
    }

    // AND ends at what is false, OR at what is true; what is right of it is not evaluated.
    Value junction(const Node& node, bool end) {
        const Value left = compute(node.operands[0]);
        const Truth first = truth_of(left);
        if (first == end) return Value(end);
        const Value right = compute(node.operands[1]);
        const Truth second = truth_of(right);
        if (second == end) return Value(end);
        return first && second ? Value(!end) : Value();
    }

    Value contained(const Node& node) {
        const Value left = compute(node.operands[0]);
        bool unknown = false;
        for (std::size_t i = 1; i < node.operands.size(); ++i) {
            const Value one = compute(node.operands[i]);
            const Truth equal = compare(Operator::equal, left, one);
            if (equal == true) return Value(true);
            unknown = unknown || !equal;
        }
        return unknown ? Value() : Value(false);
    }

    Value like_pattern(const Node& node) {
        std::string texts[3];
        for (std::size_t i = 0; i < node.operands.size(); ++i) {
            Value one = compute(node.operands[i]);
            auto* text = std::get_if<std::string>(&one);
            if (text == nullptr) return Value();
            texts[i] = std::move(*text);
        }
        std::optional<std::string_view> escape;
        if (node.operands.size() == 3) escape = texts[2];
        const auto fits = like(texts[0], texts[1], escape, budget_);
        if (!fits) throw Failed{fits.error()};
        return Value(*fits);
    }

    static Value unary(Operator what, const Value& operand) {
        if (what == Operator::is_null) return Value(is_null(operand));
        if (what == Operator::logical_not) {
            const Truth truth = truth_of(operand);
            return truth ? Value(!*truth) : Value();
        }
        if (!number_of(operand)) return Value();
        if (what == Operator::keep) return operand;
        if (const auto* real = std::get_if<double>(&operand)) return Value(-*real);
        return arithmetic(Operator::subtract, Value(std::int64_t{0}), operand);
    }

    static Value arithmetic(Operator what, const Value& left, const Value& right) {
        const auto* left_text = std::get_if<std::string>(&left);
        const auto* right_text = std::get_if<std::string>(&right);
        if (what == Operator::add && left_text != nullptr && right_text != nullptr) {
            if (left_text->size() + right_text->size() > limits::properties_bytes_max)
                fail("a text becomes longer than 64 KiB");
            return Value(*left_text + *right_text);
        }
        const auto a = number_of(left);
        const auto b = number_of(right);
        if (!a || !b) return Value();
        const auto* x = std::get_if<std::int64_t>(&*a);
        const auto* y = std::get_if<std::int64_t>(&*b);
        if (x != nullptr && y != nullptr) return calculate(what, *x, *y);
        const auto real = [](const auto& number) {
            return std::visit([](auto it) { return static_cast<double>(it); }, number);
        };
        return calculate(what, real(*a), real(*b));
    }

    void spend(std::size_t steps) {
        if (!budget_.spend(steps)) throw Failed{too_costly()};
    }

    const std::vector<Node>& nodes_;
    const Arriving& arriving_;
    Budget& budget_;
};

void assign(const PropertyName& target, Value value, Message& message) {
    if (target.system != nullptr) {
        const auto* text = std::get_if<std::string>(&value);
        if (text == nullptr && !is_null(value))
            fail("sys." + target.name + " takes a text and is set to something else");
        return target.system->set(message, text);
    }
    const auto found = find_property(message.properties, target.name);
    if (found != message.properties.end())
        found->second = std::move(value);
    else
        message.properties.emplace(target.name, std::move(value));
}

void remove(const PropertyName& target, Message& message) {
    if (target.system != nullptr) return target.system->set(message, nullptr);
    const auto found = find_property(message.properties, target.name);
    if (found != message.properties.end()) message.properties.erase(found);
}

}  // namespace

Result<bool> holds(const Expression& condition, const Arriving& arriving, Budget& budget) {
    try {
        const Value value = Evaluation(condition, arriving, budget).compute(condition.root);
        return truth_of(value).value_or(false);
    } catch (const Failed& failed) {
        return failed.error;
    }
}

Result<void> apply(const std::vector<Statement>& statements, const Arriving& arriving, Message& changed,
                   Budget& budget) {
    const Arriving seen{changed, arriving.sequence, arriving.enqueued_at, arriving.bytes};
    try {
        for (const Statement& statement : statements) {
            if (!statement.value) {
                remove(statement.target, changed);
                continue;
            }
            Value value = Evaluation(*statement.value, seen, budget).compute(statement.value->root);
            assign(statement.target, std::move(value), changed);
        }
    } catch (const Failed& failed) {
        return failed.error;
    }
    return {};
}

}  // namespace millrace::broker::sql
