// A page as one line of JSON.
#include "quota/page.hpp"

#include <boost/json.hpp>

namespace millrace::quota {

namespace json = boost::json;

namespace {

std::int64_t number(const json::object& object, std::string_view name) {
    const json::value* value = object.if_contains(name);
    if (value == nullptr || !value->is_int64()) return 0;
    return value->get_int64();
}

TimePoint time(const json::object& object, std::string_view name) {
    return from_millis(number(object, name));
}

json::object to_json(const Holder& one) {
    return {{"id", one.id},
            {"lease", to_millis(one.lease)},
            {"calls", one.running.calls},
            {"interactive", one.running.interactive},
            {"tokens", one.running.tokens},
            {"waiting_calls", one.waiting_calls},
            {"waiting_tokens", one.waiting_tokens},
            {"claim", to_millis(one.claim)},
            {"claim_until", to_millis(one.claim_until)},
            {"claim_urgency", static_cast<int>(one.claim_urgency)}};
}

Holder to_holder(const json::object& object) {
    Holder one;
    if (const auto* id = object.if_contains("id"); id != nullptr && id->is_string())
        one.id = id->get_string();
    one.lease = time(object, "lease");
    one.running = {number(object, "calls"), number(object, "interactive"), number(object, "tokens")};
    one.waiting_calls = number(object, "waiting_calls");
    one.waiting_tokens = number(object, "waiting_tokens");
    one.claim = time(object, "claim");
    one.claim_until = time(object, "claim_until");
    one.claim_urgency = number(object, "claim_urgency") == 0 ? Urgency::interactive : Urgency::batch;
    return one;
}

json::array to_json(const Comparison& one) {
    return {to_millis(one.at), one.charged, one.remaining, one.beside};
}

Comparison to_comparison(const json::object& object, std::string_view name) {
    const auto* value = object.if_contains(name);
    if (value == nullptr || !value->is_array() || value->get_array().size() != 4) return {};
    const json::array& flat = value->get_array();
    for (const json::value& one : flat)
        if (!one.is_int64()) return {};
    return {from_millis(flat[0].get_int64()), flat[1].get_int64(), flat[2].get_int64(), flat[3].get_int64()};
}

}  // namespace

std::string Page::text() const {
    json::array slots;
    for (const auto& slot : window_.slots()) {
        slots.emplace_back(slot.number);
        slots.emplace_back(slot.tokens);
        slots.emplace_back(slot.requests);
    }
    json::array holders;
    for (const Holder& one : holders_) holders.emplace_back(to_json(one));
    return json::serialize(json::object{
        {"now", to_millis(now_)},
        {"slots", std::move(slots)},
        {"holders", std::move(holders)},
        {"tokens_paced", to_millis(tokens_paced_)},
        {"request_next", to_millis(request_next_)},
        {"frozen_until", to_millis(frozen_until_)},
        {"throttles", throttles_},
        {"throttled_total", throttled_total_},
        {"charged", charged_},
        {"told_tokens", told_tokens_},
        {"told_requests", told_requests_},
        {"told_at", to_millis(told_at_)},
        {"learned_tokens", learned_tokens_},
        {"learned_at", to_millis(learned_at_)},
        {"anchor", to_json(anchor_)},
        {"last", to_json(last_)},
        {"compared_at", to_millis(compared_at_)},
        {"foreign", static_cast<std::int64_t>(foreign_per_second_ * 1000)},
        {"foreign_weight", static_cast<std::int64_t>(foreign_weight_)},
        {"low_now", low_now_},
        {"low_before", low_before_},
        {"low_since", to_millis(low_since_)},
        {"peak_now", peak_now_},
        {"peak_before", peak_before_},
        {"peak_since", to_millis(peak_since_)},
    });
}

Page Page::parse(std::string_view text) {
    boost::system::error_code bad;
    const json::value value = json::parse(text, bad);
    Page page;
    if (bad || !value.is_object()) return page;
    const json::object& object = value.get_object();
    page.now_ = time(object, "now");
    if (const auto* slots = object.if_contains("slots"); slots != nullptr && slots->is_array()) {
        const json::array& flat = slots->get_array();
        for (std::size_t i = 0; i + 2 < flat.size(); i += 3) {
            if (!flat[i].is_int64() || !flat[i + 1].is_int64() || !flat[i + 2].is_int64()) return Page();
            page.window_.restore({flat[i].get_int64(), flat[i + 1].get_int64(), flat[i + 2].get_int64()});
        }
    }
    if (const auto* holders = object.if_contains("holders"); holders != nullptr && holders->is_array())
        for (const auto& one : holders->get_array())
            if (one.is_object()) page.holders_.push_back(to_holder(one.get_object()));
    page.tokens_paced_ = time(object, "tokens_paced");
    page.request_next_ = time(object, "request_next");
    page.frozen_until_ = time(object, "frozen_until");
    page.throttles_ = number(object, "throttles");
    page.throttled_total_ = number(object, "throttled_total");
    page.charged_ = number(object, "charged");
    page.told_tokens_ = number(object, "told_tokens");
    page.told_requests_ = number(object, "told_requests");
    page.told_at_ = time(object, "told_at");
    page.learned_tokens_ = number(object, "learned_tokens");
    page.learned_at_ = time(object, "learned_at");
    page.anchor_ = to_comparison(object, "anchor");
    page.last_ = to_comparison(object, "last");
    page.compared_at_ = time(object, "compared_at");
    page.foreign_per_second_ = static_cast<double>(number(object, "foreign")) / 1000;
    page.foreign_weight_ = static_cast<double>(number(object, "foreign_weight"));
    page.low_now_ = number(object, "low_now");
    page.low_before_ = number(object, "low_before");
    page.low_since_ = time(object, "low_since");
    page.peak_now_ = number(object, "peak_now");
    page.peak_before_ = number(object, "peak_before");
    page.peak_since_ = time(object, "peak_since");
    return page;
}

}  // namespace millrace::quota
