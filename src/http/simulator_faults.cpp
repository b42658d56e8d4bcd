#include "http/simulator_faults.hpp"

#include <charconv>

namespace millrace::http {

namespace {

constexpr std::string_view kForms =
    "; a rule is FAULT:CHANCE or first:COUNT:FAULT, FAULT one of 400-599, timeout, reset, garbage, slow, "
    "cut, "
    "refusal, filter, length";

Error refused(std::string_view rule, std::string_view why) {
    return {Errc::invalid_input,
            "fault rule '" + std::string(rule) + "' " + std::string(why) + std::string(kForms)};
}

template <class Number>
std::optional<Number> parse_whole(std::string_view text) {
    Number number{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return number;
}

std::optional<Fault> parse_fault(std::string_view name) {
    using Kind = Fault::Kind;
    static constexpr std::pair<std::string_view, Kind> kinds[] = {
        {"timeout", Kind::timeout}, {"reset", Kind::reset},   {"garbage", Kind::garbage},
        {"slow", Kind::slow},       {"cut", Kind::cut},       {"refusal", Kind::refusal},
        {"filter", Kind::filter},   {"length", Kind::length},
    };
    for (const auto& [text, kind] : kinds) {
        if (text == name) return Fault{kind, 0};
    }
    const auto status = parse_whole<unsigned>(name);
    if (!status || *status < 400 || *status > 599) return std::nullopt;
    return Fault{Kind::status, *status};
}

std::string_view trim(std::string_view text) {
    while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
    while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
    return text;
}

}  // namespace

Result<FaultPlan> FaultPlan::parse(std::string_view text, std::uint64_t seed) {
    FaultPlan plan;
    plan.random_.seed(seed);
    double total = 0;
    for (text = trim(text); !text.empty();) {
        const std::string_view piece = text.substr(0, text.find(','));
        text.remove_prefix(std::min(text.size(), piece.size() + 1));
        const std::string_view rule = trim(piece);
        const bool opening = rule.starts_with("first:");
        const std::string_view rest = opening ? rule.substr(6) : rule;
        const std::size_t colon = rest.find(':');
        if (colon == std::string_view::npos) return refused(rule, "has too few parts");
        const auto fault = parse_fault(opening ? rest.substr(colon + 1) : rest.substr(0, colon));
        if (!fault) return refused(rule, "names no fault");
        if (opening) {
            const auto count = parse_whole<std::uint64_t>(rest.substr(0, colon));
            if (!count) return refused(rule, "has a bad count");
            plan.openings_.push_back({*fault, *count});
            continue;
        }
        const auto chance = parse_whole<double>(rest.substr(colon + 1));
        if (!chance || !(*chance >= 0 && *chance <= 1)) return refused(rule, "has a chance outside 0 to 1");
        total += *chance;
        plan.chances_.push_back({*fault, *chance});
    }
    if (total > 1 + 1e-9)
        return Error{Errc::invalid_input, "the chances of the faults add up to more than 1"};
    return plan;
}

Fault FaultPlan::next() {
    for (Opening& opening : openings_) {
        if (opening.count == 0) continue;
        --opening.count;
        return opening.fault;
    }
    if (chances_.empty()) return {};
    double draw = static_cast<double>(random_() >> 11) * 0x1p-53;
    for (const Chance& chance : chances_) {
        if (draw < chance.probability) return chance.fault;
        draw -= chance.probability;
    }
    return {};
}

}  // namespace millrace::http
