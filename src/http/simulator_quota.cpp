#include "http/simulator_quota.hpp"

#include <algorithm>
#include <charconv>

namespace millrace::http {

namespace {

constexpr Duration kForeignStep = std::chrono::milliseconds(100);
constexpr Duration kAzureRequestWindow = std::chrono::seconds(10);

Error refused(std::string_view text, std::string_view forms) {
    return {Errc::invalid_input, "'" + std::string(text) + "' is none of: " + std::string(forms)};
}

Window make_window(const QuotaOptions& options, std::int64_t limit) {
    const WindowKind own = options.rule == QuotaRule::azure ? WindowKind::fixed : WindowKind::sliding;
    switch (options.window.value_or(own)) {
        case WindowKind::fixed: return FixedWindow(limit);
        case WindowKind::bucket: return TokenBucket(limit);
        case WindowKind::sliding: break;
    }
    return SlidingWindow(limit);
}

std::optional<std::int64_t> parse_whole(std::string_view text) {
    std::int64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (text.empty() || error != std::errc() || end != text.data() + text.size() || number < 0)
        return std::nullopt;
    return number;
}

/// "300s", "5m" or plain seconds.
std::optional<Duration> parse_time(std::string_view text) {
    Duration unit = std::chrono::seconds(1);
    if (text.ends_with("ms")) {
        unit = Duration(1);
        text.remove_suffix(2);
    } else if (text.ends_with('m') || text.ends_with('s')) {
        if (text.ends_with('m')) unit = std::chrono::minutes(1);
        text.remove_suffix(1);
    }
    const auto number = parse_whole(text);
    if (!number || *number > 1'000'000'000) return std::nullopt;
    return unit * *number;
}

Duration wait_for(Window& window, std::int64_t amount, TimePoint now) {
    return std::visit([&](auto& one) { return one.wait_for(amount, now); }, window);
}

void use(Window& window, std::int64_t amount, TimePoint now) {
    std::visit([&](auto& one) { one.use(amount, now); }, window);
}

void set_limit(Window& window, std::int64_t limit) {
    std::visit([&](auto& one) { one.set_limit(limit); }, window);
}

std::int64_t limit_of(const Window& window) {
    return std::visit([](const auto& one) { return one.limit(); }, window);
}

}  // namespace

Result<QuotaRule> parse_quota_rule(std::string_view text) {
    if (text == "sliding") return QuotaRule::sliding;
    if (text == "openai") return QuotaRule::openai;
    if (text == "azure") return QuotaRule::azure;
    return refused(text, "azure, openai, sliding");
}

Result<std::optional<WindowKind>> parse_window_kind(std::string_view text) {
    if (text.empty()) return std::optional<WindowKind>();
    if (text == "fixed") return std::optional(WindowKind::fixed);
    if (text == "sliding") return std::optional(WindowKind::sliding);
    if (text == "bucket") return std::optional(WindowKind::bucket);
    return refused(text, "fixed, sliding, bucket");
}

Result<std::vector<QuotaChange>> parse_quota_changes(std::string_view text) {
    constexpr std::string_view forms =
        "TIME:tpm=N, TIME:rpm=N (TIME as 300s, 5m or 500ms), separated by commas";
    std::vector<QuotaChange> changes;
    while (!text.empty()) {
        const std::string_view piece = text.substr(0, text.find(','));
        text.remove_prefix(std::min(text.size(), piece.size() + 1));
        const std::size_t colon = std::min(piece.find(':'), piece.size());
        const auto at = parse_time(piece.substr(0, colon));
        const std::string_view what = piece.substr(std::min(piece.size(), colon + 1));
        const auto number = parse_whole(what.substr(std::min<std::size_t>(what.size(), 4)));
        const bool tokens = what.starts_with("tpm=");
        if (!at || !number || (!tokens && !what.starts_with("rpm="))) return refused(piece, forms);
        QuotaChange change;
        change.at = *at;
        (tokens ? change.tokens_per_minute : change.requests_per_minute) = *number;
        changes.push_back(change);
    }
    std::ranges::stable_sort(changes, {}, &QuotaChange::at);
    return changes;
}

Quota::Quota(QuotaOptions options, TimePoint start)
    : options_(std::move(options)),
      start_(start),
      foreign_until_(start),
      tokens_(make_window(options_, options_.tokens_per_minute)),
      requests_(make_window(options_, options_.requests_per_minute)),
      short_requests_(0) {
    if (options_.request_window == Duration::zero() && options_.rule == QuotaRule::azure)
        options_.request_window = kAzureRequestWindow;
    if (options_.request_window >= SlidingWindow::kWindow) options_.request_window = Duration::zero();
    short_requests_ = SlidingWindow(0, options_.request_window);
    set_limits(options_.tokens_per_minute, options_.requests_per_minute);
}

void Quota::set_limits(std::int64_t tokens, std::int64_t requests) {
    set_limit(tokens_, tokens);
    set_limit(requests_, requests);
    if (options_.request_window == Duration::zero()) return;
    const std::int64_t part = requests * options_.request_window.count() / SlidingWindow::kWindow.count();
    short_requests_.set_limit(requests == 0 ? 0 : std::max<std::int64_t>(1, part));
}

std::int64_t Quota::tokens_of(const QuotaDemand& demand) const noexcept {
    switch (options_.rule) {
        case QuotaRule::openai: return std::max(demand.estimated_prompt, demand.output_max);
        case QuotaRule::azure: return demand.estimated_prompt + demand.output_max;
        case QuotaRule::sliding: break;
    }
    return demand.billed;
}

Quota::Verdict Quota::admit(std::int64_t tokens, TimePoint now) {
    catch_up(now);
    const Duration for_requests = std::max(wait_for(requests_, 1, now), short_requests_.wait_for(1, now));
    const Duration for_tokens = wait_for(tokens_, tokens, now);
    if (for_requests > Duration::zero() || for_tokens > Duration::zero()) {
        // "Unsuccessful requests contribute to your per-minute limit", says OpenAI.
        if (options_.rule == QuotaRule::openai) use_requests(1, now);
        if (for_requests > Duration::zero()) return {for_requests, "requests"};
        return {for_tokens, "tokens"};
    }
    use_requests(1, now);
    use(tokens_, tokens, now);
    return {};
}

void Quota::count_refused(TimePoint now) {
    catch_up(now);
    use_requests(1, now);
}

void Quota::use_requests(std::int64_t count, TimePoint now) {
    use(requests_, count, now);
    if (short_requests_.limit() > 0) short_requests_.use(count, now);
}

Quota::State Quota::state(std::string_view what, TimePoint now) {
    catch_up(now);
    if (what == "requests" && options_.rule == QuotaRule::azure && short_requests_.limit() > 0)
        return {short_requests_.limit(), short_requests_.remaining(now), short_requests_.reset(now)};
    const auto of = [now](auto& window) {
        return State{window.limit(), window.remaining(now), window.reset(now)};
    };
    return std::visit(of, what == "tokens" ? tokens_ : requests_);
}

void Quota::catch_up(TimePoint now) {
    while (changed_ < options_.changes.size() && now - start_ >= options_.changes[changed_].at) {
        const QuotaChange& change = options_.changes[changed_++];
        take_foreign(start_ + change.at);
        set_limits(change.tokens_per_minute.value_or(limit_of(tokens_)),
                   change.requests_per_minute.value_or(limit_of(requests_)));
    }
    take_foreign(now);
}

void Quota::take_foreign(TimePoint now) {
    if (options_.foreign <= 0) return;
    // Older uses have left every window.
    const TimePoint oldest = now - 2 * SlidingWindow::kWindow;
    if (foreign_until_ < oldest) foreign_until_ = oldest;
    const double share = options_.foreign * kForeignStep.count() / SlidingWindow::kWindow.count();
    for (; foreign_until_ + kForeignStep <= now; foreign_until_ += kForeignStep) {
        foreign_rest_tokens_ += share * static_cast<double>(limit_of(tokens_));
        foreign_rest_requests_ += share * static_cast<double>(limit_of(requests_));
        const auto tokens = static_cast<std::int64_t>(foreign_rest_tokens_);
        const auto requests = static_cast<std::int64_t>(foreign_rest_requests_);
        foreign_rest_tokens_ -= static_cast<double>(tokens);
        foreign_rest_requests_ -= static_cast<double>(requests);
        foreign_tokens_ += tokens;
        if (tokens > 0) use(tokens_, tokens, foreign_until_ + kForeignStep);
        if (requests > 0) use_requests(requests, foreign_until_ + kForeignStep);
    }
}

}  // namespace millrace::http
