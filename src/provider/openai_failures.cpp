// Failures and waits: the part of openai_protocol.hpp that reads statuses, error bodies and headers.
#include "base/deep_json.hpp"
#include "provider/openai_json.hpp"
#include "provider/openai_protocol.hpp"

#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/string.hpp>
#include <boost/json/value.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

namespace millrace::provider {

namespace json = boost::json;

namespace {

constexpr std::size_t kErrorBytesMax = 64 * 1024;
constexpr double kPlainSecondsMax = 1e8;
constexpr Duration kResetMax = std::chrono::hours(24);
constexpr Duration kBackoffMin = std::chrono::milliseconds(500);

/// What an error body says, in whichever of its forms.
struct ErrorBody {
    std::string code;      ///< "code", as text if it is a number
    std::string type;
    std::string message;
    bool filtered = false;
};

bool names_filter(const json::object& error, const ErrorBody& body) {
    if (body.code == "content_filter" || body.code == "content_policy_violation") return true;
    const json::value* inner = error.if_contains("innererror");
    const json::object* fields = inner ? inner->if_object() : nullptr;
    return fields && text_of(*fields, "code") == "ResponsibleAIPolicyViolation";
}

ErrorBody parse_error_body(std::string_view body) {
    ErrorBody result;
    boost::system::error_code bad;
    const json::value document =
        json::parse({body.data(), std::min(body.size(), kErrorBytesMax)}, bad, {}, kDeepJson);
    const json::object* root = bad ? nullptr : document.if_object();
    if (!root) return result;
    const json::value* error = root->if_contains("error");
    if (error && error->is_string()) result.message = text_of(*root, "error");
    const json::object* fields = error && error->is_object() ? &error->get_object() : root;
    result.code = text_of(*fields, "code");
    result.type = text_of(*fields, "type");
    if (result.type.empty()) result.type = text_of(*fields, "error_type");
    if (result.message.empty()) result.message = text_of(*fields, "message");
    result.filtered = names_filter(*fields, result);
    return result;
}

FailureKind kind_for(int status, const ErrorBody& body) {
    if (body.filtered && status >= 400 && status < 500) return FailureKind::content_filtered;
    if (body.code == "insufficient_quota" || body.type == "insufficient_quota") return FailureKind::rejected;
    if (status == 429) return FailureKind::throttled;
    switch (status) {
        case 408:   // the server gave up waiting
        case 409:   // a conflict with another call, e.g. a model being loaded
        case 424:   // TEI: its backend failed
        case 425:
        case 499:   // a gateway whose client went away
            return FailureKind::transient;
        default: return status >= 500 || status < 200 ? FailureKind::transient : FailureKind::rejected;
    }
}

std::string detail_for(int status, const ErrorBody& body) {
    std::string detail = "HTTP " + std::to_string(status);
    const std::string& name =
        body.code.empty() || body.code == std::to_string(status) ? body.type : body.code;
    if (!name.empty()) detail += " " + one_line(name);
    // Servers repeat parts of a wrong key in their message.
    if (!body.message.empty() && status != 401 && status != 403) detail += ": " + one_line(body.message);
    return detail;
}

std::optional<double> parse_number(std::string_view text) {
    while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
    while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
    double number = 0;
    const auto [end, error] =
        std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
    if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(number))
        return std::nullopt;
    return number;
}

Duration clamp_millis(double millis, Duration max) {
    return Duration(
        static_cast<std::int64_t>(std::clamp(std::ceil(millis), 0.0, static_cast<double>(max.count()))));
}

std::optional<std::int64_t> parse_count(std::string_view text) {
    const auto number = parse_number(text);
    if (!number || *number < 0 || *number > 1e15) return std::nullopt;
    return static_cast<std::int64_t>(*number);
}

/// Length in milliseconds of the unit that `text` begins with, which is taken off; 0 if it is none.
double take_unit(std::string_view& text) {
    struct Unit {
        std::string_view name;
        double millis;
    };
    // "ms" before "m": the longer name first.
    static constexpr Unit units[] = {{"ms", 1},    {"us", 1e-3},   {"\xC2\xB5s", 1e-3}, {"\xCE\xBCs", 1e-3},
                                     {"ns", 1e-6}, {"h", 3'600e3}, {"m", 60e3},         {"s", 1e3}};
    for (const Unit& unit : units) {
        if (!text.starts_with(unit.name)) continue;
        text.remove_prefix(unit.name.size());
        return unit.millis;
    }
    return 0;
}

/// The duration that follows `words` in `message`, as "20s", "37 seconds" or "364ms".
std::optional<Duration> duration_after(std::string_view message, std::string_view words) {
    const std::size_t at = message.find(words);
    if (at == std::string_view::npos) return std::nullopt;
    message.remove_prefix(at + words.size());
    std::string_view text = message.substr(0, message.find_first_not_of("0123456789.hmsun"));
    while (text.ends_with('.')) text.remove_suffix(1);
    const auto wait = parse_reset(text);
    if (!wait) return std::nullopt;
    return message.substr(text.size()).starts_with(" millisecond") ? *wait / 1000 : *wait;
}

std::optional<Duration> retry_after_text(std::string_view message) {
    for (const std::string_view words : {"etry after ", "ry again in "}) {
        if (const auto wait = duration_after(message, words)) return wait;
    }
    return std::nullopt;
}

/// A 429 without a word on when: the reset of whatever is used up.
std::optional<Duration> reset_of_empty(const HttpFields& headers) {
    std::optional<Duration> wait;
    for (const std::string name : {"requests", "tokens", "project-tokens"}) {
        const auto remaining = parse_count(find_field(headers, "x-ratelimit-remaining-" + name));
        const auto reset = parse_reset(find_field(headers, "x-ratelimit-reset-" + name));
        if (remaining == 0 && reset) wait = std::max(wait.value_or(Duration::zero()), *reset);
    }
    return wait;
}

template <class T>
std::optional<T> smaller(std::optional<T> a, std::optional<T> b) {
    if (!a || !b) return a ? a : b;
    return std::min(*a, *b);
}

}  // namespace

Failure failure_for(const HttpAnswer& answer, TimePoint now) {
    const ErrorBody body = parse_error_body(answer.body);
    Failure failure{kind_for(answer.status, body), answer.status, detail_for(answer.status, body),
                    std::nullopt};
    const bool waits = failure.kind == FailureKind::throttled || failure.kind == FailureKind::transient;
    if (waits) failure.retry_after = retry_after(answer, now);
    if (failure.kind == FailureKind::throttled && !failure.retry_after) {
        const auto reset = reset_of_empty(answer.headers);
        if (reset) failure.retry_after = std::min(*reset, kRetryAfterMax);
    }
    return failure;
}

Failure failure_for(const Error& error) {
    const bool hopeless = error.code == Errc::invalid_input;
    return {hopeless ? FailureKind::rejected : FailureKind::transient, 0, error.detail, std::nullopt};
}

RetryAdvice retry_advice(const HttpFields& headers) noexcept {
    const std::string_view value = find_field(headers, "x-should-retry");
    if (value == "true") return RetryAdvice::yes;
    return value == "false" ? RetryAdvice::no : RetryAdvice::none;
}

std::optional<Duration> retry_after(const HttpAnswer& answer, TimePoint now) {
    for (const std::string_view name : {"retry-after-ms", "x-ms-retry-after-ms"}) {
        const auto millis = parse_number(find_field(answer.headers, name));
        if (millis && *millis > 0) return clamp_millis(*millis, kRetryAfterMax);
    }
    const std::string_view value = find_field(answer.headers, "retry-after");
    if (const auto seconds = parse_number(value)) return clamp_millis(*seconds * 1000, kRetryAfterMax);
    if (const auto date = parse_http_date(value)) {
        // Counted from the server's own clock where it tells it: ours may differ.
        const TimePoint from = parse_http_date(find_field(answer.headers, "date")).value_or(now);
        return clamp_millis(static_cast<double>((*date - from).count()), kRetryAfterMax);
    }
    const auto told = retry_after_text(parse_error_body(answer.body).message);
    if (told) return std::min(*told, kRetryAfterMax);
    return std::nullopt;
}

std::optional<TimePoint> parse_http_date(std::string_view text) {
    // "Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"
    static constexpr std::array<std::string_view, 12> months = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                                "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    int day = 0, month = 0, year = -1, hour = -1, minute = 0, second = 0;
    std::string words(text);
    std::ranges::replace_if(words, [](char c) { return c == ',' || c == '-'; }, ' ');
    for (std::string_view rest = words; !rest.empty();) {
        const std::size_t begin = std::min(rest.find_first_not_of(' '), rest.size());
        rest.remove_prefix(begin);
        const std::string_view word = rest.substr(0, rest.find(' '));
        rest.remove_prefix(word.size());
        if (word.size() == 8 && word[2] == ':' && word[5] == ':') {
            hour = static_cast<int>(parse_count(word.substr(0, 2)).value_or(99));
            minute = static_cast<int>(parse_count(word.substr(3, 2)).value_or(99));
            second = static_cast<int>(parse_count(word.substr(6, 2)).value_or(99));
        } else if (const auto number = parse_count(word)) {
            if (day == 0)
                day = static_cast<int>(std::min<std::int64_t>(*number, 99));
            else
                year = static_cast<int>(std::min<std::int64_t>(*number, 9999));
        } else if (const auto found = std::ranges::find(months, word); found != months.end()) {
            month = static_cast<int>(found - months.begin()) + 1;
        }
    }
    if (year >= 0 && year < 100) year += year < 70 ? 2000 : 1900;
    const std::chrono::year_month_day date{std::chrono::year(year),
                                           std::chrono::month(static_cast<unsigned>(month)),
                                           std::chrono::day(static_cast<unsigned>(day))};
    if (!date.ok() || year < 1970 || hour < 0 || hour > 23 || minute > 59 || second > 60) return std::nullopt;
    const auto time = std::chrono::hours(hour) + std::chrono::minutes(minute) + std::chrono::seconds(second);
    return TimePoint(std::chrono::sys_days(date)) + time;
}

std::optional<Duration> parse_reset(std::string_view text) {
    if (const auto seconds = parse_number(text)) {
        // Larger numbers are points in time, from a clock that isn't ours.
        if (*seconds < 0 || *seconds > kPlainSecondsMax) return std::nullopt;
        return clamp_millis(*seconds * 1000, kResetMax);
    }
    double millis = 0;
    if (text.empty()) return std::nullopt;
    while (!text.empty()) {
        const std::size_t digits = std::min(text.find_first_not_of("0123456789."), text.size());
        const auto number = parse_number(text.substr(0, digits));
        text.remove_prefix(digits);
        const double unit = take_unit(text);
        if (!number || unit == 0) return std::nullopt;
        millis += *number * unit;
    }
    return clamp_millis(millis, kResetMax);
}

RateHeaders parse_rate_headers(const HttpAnswer& answer, TimePoint now) {
    const auto count = [&](std::string_view name) { return parse_count(find_field(answer.headers, name)); };
    const auto reset = [&](std::string_view name) { return parse_reset(find_field(answer.headers, name)); };
    RateHeaders rate;
    rate.status = answer.status;
    rate.limit_requests = count("x-ratelimit-limit-requests");
    rate.remaining_requests = count("x-ratelimit-remaining-requests");
    rate.reset_requests = reset("x-ratelimit-reset-requests");
    rate.limit_tokens = smaller(count("x-ratelimit-limit-tokens"), count("x-ratelimit-limit-project-tokens"));
    rate.remaining_tokens =
        smaller(count("x-ratelimit-remaining-tokens"), count("x-ratelimit-remaining-project-tokens"));
    const auto own = reset("x-ratelimit-reset-tokens");
    const auto project = reset("x-ratelimit-reset-project-tokens");
    rate.reset_tokens = own && project ? std::max(*own, *project) : (own ? own : project);
    if (answer.status != 200) rate.retry_after = retry_after(answer, now);
    return rate;
}

std::optional<Duration> wait_before_retry(const RetryInput& input) {
    if (input.tries_done >= input.tries_max) return std::nullopt;
    const bool worth_it = input.kind == FailureKind::transient && input.advice != RetryAdvice::no;
    const bool told_to = input.kind == FailureKind::rejected && input.advice == RetryAdvice::yes;
    if (!worth_it && !told_to) return std::nullopt;
    if (input.retry_after) {
        if (*input.retry_after > kWaitMax) return std::nullopt;
        const double spread = static_cast<double>(input.retry_after->count()) * (1 + 0.1 * input.random);
        return Duration(static_cast<std::int64_t>(std::ceil(spread)));
    }
    const int doublings = std::clamp(input.tries_done - 1, 0, 10);
    const Duration ceiling = std::min(kWaitMax, kBackoffMin * (1 << doublings));
    return Duration(static_cast<std::int64_t>(input.random * static_cast<double>(ceiling.count())));
}

}  // namespace millrace::provider
