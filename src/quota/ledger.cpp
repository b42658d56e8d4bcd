#include "quota/ledger.hpp"

#include <algorithm>
#include <memory>
#include <span>

namespace millrace::quota {

namespace {

using store::Connection;

/// The page of `deployment`, its row locked until the end of the transaction.
Page take(Connection& connection, const std::string& deployment) {
    const auto lock = [&] {
        connection.prepare("UPDATE quota_page SET changes = changes + 1 WHERE deployment = ?")
            .bind(deployment)
            .run();
        return connection.changes() > 0;
    };
    if (!lock()) {
        connection
            .prepare(
                "INSERT INTO quota_page (deployment, changes, page) VALUES (?, 0, '') "
                "ON CONFLICT (deployment) DO NOTHING")
            .bind(deployment)
            .run();
        lock();
    }
    auto& query = connection.prepare("SELECT page FROM quota_page WHERE deployment = ?").bind(deployment);
    if (!query.step()) return {};
    Page page = Page::parse(query.text(0));
    query.reset();
    return page;
}

void put(Connection& connection, const std::string& deployment, const Page& page) {
    const std::string text = page.text();
    connection.prepare("UPDATE quota_page SET page = ? WHERE deployment = ?").bind(text, deployment).run();
}

void spend(Connection& connection, const std::string& day, const std::string& deployment, const Bill& bill,
           std::int64_t micros, int calls) {
    connection
        .prepare(
            "INSERT INTO quota_spend (day, deployment, tenant, calls, prompt_tokens, "
            "completion_tokens, micros) VALUES (?, ?, ?, ?, ?, ?, ?) "
            "ON CONFLICT (day, deployment, tenant) DO UPDATE SET "
            "calls = quota_spend.calls + excluded.calls, "
            "prompt_tokens = quota_spend.prompt_tokens + excluded.prompt_tokens, "
            "completion_tokens = quota_spend.completion_tokens + excluded.completion_tokens, "
            "micros = quota_spend.micros + excluded.micros")
        .bind(day, deployment, bill.tenant, calls, bill.prompt_tokens, bill.completion_tokens, micros)
        .run();
}

/// What was spent since `day` of what `cap` bounds, where `tenant` spends on `deployment`.
std::int64_t spent(Connection& connection, const Cap& cap, const std::string& day,
                   const std::string& tenant) {
    std::string sql = "SELECT COALESCE(SUM(micros), 0) FROM quota_spend WHERE day >= ?";
    sql += cap.deployment.empty() ? " AND ? = ''" : " AND deployment = ?";
    sql += cap.tenant.empty() ? " AND ? = ''" : " AND tenant = ?";
    const std::string whose = cap.tenant.empty() ? std::string() : tenant;
    auto& query = connection.prepare(sql).bind(day, cap.deployment, whose);
    const std::int64_t sum = query.step() ? query.integer(0) : 0;
    query.reset();
    return sum;
}

/// `beside`: parts of the same request, which will cost something too.
std::optional<Capped> forbidden(Connection& connection, const std::vector<Cap>& caps,
                                const std::string& deployment, const Part& part, std::span<const Part> beside,
                                TimePoint now) {
    for (const Cap& cap : caps) {
        if (!cap.holds_for(deployment, part.tenant)) continue;
        std::int64_t before = spent(connection, cap, first_day_of(cap.period, now), part.tenant);
        for (const Part& other : beside)
            if (cap.tenant.empty() || other.tenant == part.tenant) before += other.micros;
        if (before + part.micros <= cap.micros) continue;
        std::string why = "the spending cap of this ";
        why += cap.period == Cap::Period::day ? "day" : "month";
        if (!cap.deployment.empty()) why += " for deployment \"" + cap.deployment + "\"";
        if (!cap.tenant.empty()) why += " for tenant \"" + part.tenant + "\"";
        return Capped{why + " is reached", next_period(cap.period, now)};
    }
    return std::nullopt;
}

/// Leaves out what a cap forbids: of the parts, that one and those behind it.
std::optional<Capped> keep_to_caps(Connection& connection, const std::vector<Cap>& caps,
                                   const std::string& deployment, Application& application, TimePoint now) {
    if (caps.empty()) return std::nullopt;
    for (std::size_t i = 0; i < application.parts.size(); ++i) {
        const auto beside = std::span<const Part>(application.parts).first(i);
        auto capped = forbidden(connection, caps, deployment, application.parts[i], beside, now);
        if (capped && i == 0) return capped;
        if (capped) {
            application.parts.resize(i);
            break;
        }
    }
    // Their places are the answer's: one that is forbidden stays, as one that never fits.
    for (Part& part : application.smaller)
        if (forbidden(connection, caps, deployment, part, {}, now)) part.tokens = Window::kTokensMax;
    return std::nullopt;
}

std::vector<std::int64_t> tokens_of(const std::vector<Part>& parts) {
    std::vector<std::int64_t> tokens;
    tokens.reserve(parts.size());
    for (const Part& part : parts) tokens.push_back(part.tokens);
    return tokens;
}

}  // namespace

std::optional<Duration> PageView::drain(TimePoint now, std::int64_t more_calls,
                                        std::int64_t more_tokens) const noexcept {
    if (tokens_per_minute == 0 && requests_per_minute == 0) return std::nullopt;
    const auto minutes = [](std::int64_t amount, std::int64_t limit) {
        return limit > 0 ? Duration(amount * 60'000 / limit) : Duration::zero();
    };
    const Duration work = std::max(minutes(waiting_tokens + more_tokens, tokens_per_minute),
                                   minutes(waiting_calls + more_calls, requests_per_minute));
    return work + std::max(frozen_until - now, Duration::zero());
}

Ledger::Ledger(store::Database& database, const Clock& clock, std::string holder, std::vector<Cap> caps)
    : database_(database), clock_(clock), holder_(std::move(holder)), caps_(std::move(caps)) {}

asio::awaitable<Answer> Ledger::reserve(std::string deployment, Limits limits, Application application) {
    auto work = [this, deployment = std::move(deployment), limits,
                 application = std::move(application)](Connection& connection) mutable -> Result<Answer> {
        const TimePoint now = clock_.now();
        Page page = take(connection, deployment);
        Answer answer;
        answer.capped = keep_to_caps(connection, caps_, deployment, application, now);
        if (answer.capped) return answer;
        const auto parts = tokens_of(application.parts);
        const auto smaller = tokens_of(application.smaller);
        const Ask ask{parts, smaller, application.urgency, application.since};
        answer.verdict = page.admit(limits, now, ask, holder_);
        put(connection, deployment, page);
        if (answer.verdict.kind != Verdict::Kind::granted) return answer;
        const std::size_t count = std::max<std::size_t>(answer.verdict.parts, 1);
        for (std::size_t i = 0; i < count; ++i) {
            const Part& part =
                answer.verdict.parts > 0 ? application.parts[i] : application.smaller[answer.verdict.smaller];
            if (part.micros > 0) spend(connection, day_of(now), deployment, {part.tenant}, part.micros, 0);
        }
        return answer;
    };
    auto answer = co_await database_.write(std::move(work), store::Sync::written, store::Undo::none);
    co_return std::move(*answer);
}

asio::awaitable<void> Ledger::settle(std::string deployment, Limits limits, Reservation reservation,
                                     Ending ending, std::vector<Bill> bills) {
    auto work = [this, deployment = std::move(deployment), limits, reservation, ending,
                 bills = std::move(bills)](Connection& connection) -> Result<void> {
        const TimePoint now = clock_.now();
        Page page = take(connection, deployment);
        page.settle(limits, now, reservation, ending, holder_);
        put(connection, deployment, page);
        // On the day of its reservation: a refund on the next day would not find what it gives back.
        const std::string day = day_of(reservation.at);
        for (const Bill& bill : bills)
            spend(connection, day, deployment, bill, bill.micros - bill.reserved_micros, 1);
        return {};
    };
    auto settled = co_await database_.write(std::move(work), store::Sync::written, store::Undo::none);
    (void)settled;
}

asio::awaitable<void> Ledger::sent(std::string deployment, Reservation reservation, TimePoint at) {
    auto work = [this, deployment = std::move(deployment), reservation,
                 at](Connection& connection) -> Result<void> {
        Page page = take(connection, deployment);
        page.sent(clock_.now(), reservation, at);
        put(connection, deployment, page);
        return {};
    };
    auto noted = co_await database_.write(std::move(work), store::Sync::written, store::Undo::none);
    (void)noted;
}

asio::awaitable<void> Ledger::renew(std::string deployment, std::int64_t waiting_calls,
                                    std::int64_t waiting_tokens, std::optional<Running> running) {
    auto work = [this, deployment = std::move(deployment), waiting_calls, waiting_tokens,
                 running](Connection& connection) -> Result<void> {
        Page page = take(connection, deployment);
        Holder waiting{holder_};
        waiting.waiting_calls = waiting_calls;
        waiting.waiting_tokens = waiting_tokens;
        page.renew(clock_.now(), waiting, running);
        put(connection, deployment, page);
        return {};
    };
    auto renewed = co_await database_.write(std::move(work), store::Sync::written, store::Undo::none);
    (void)renewed;
}

asio::awaitable<void> Ledger::leave(std::string deployment) {
    auto work = [this, deployment = std::move(deployment)](Connection& connection) -> Result<void> {
        Page page = take(connection, deployment);
        page.leave(holder_);
        put(connection, deployment, page);
        return {};
    };
    auto left = co_await database_.write(std::move(work), store::Sync::written, store::Undo::none);
    (void)left;
}

asio::awaitable<PageView> Ledger::view(std::string deployment, Limits limits) {
    auto work = [this, deployment = std::move(deployment), limits](Connection& connection) {
        const TimePoint now = clock_.now();
        PageView view;
        view.deployment = deployment;
        auto& query = connection.prepare("SELECT page FROM quota_page WHERE deployment = ?").bind(deployment);
        Page page = query.step() ? Page::parse(query.text(0)) : Page();
        query.reset();
        page.advance(now);
        view.tokens_per_minute = page.token_limit(limits);
        view.requests_per_minute = page.request_limit(limits);
        view.tokens_used = page.window().tokens();
        view.requests_used = page.window().requests();
        view.reserved = page.reserved();
        view.calls = page.calls();
        for (const Holder& one : page.holders()) {
            view.waiting_calls += one.waiting_calls;
            view.waiting_tokens += one.waiting_tokens;
        }
        view.processes = page.holders().size();
        view.frozen_until = page.frozen_until();
        view.throttled_total = page.throttled_total();
        const std::string today = day_of(now);
        auto& sums = connection
                         .prepare(
                             "SELECT COALESCE(SUM(micros), 0), "
                             "COALESCE(SUM(prompt_tokens + completion_tokens), 0) "
                             "FROM quota_spend WHERE day = ? AND deployment = ?")
                         .bind(today, deployment);
        if (sums.step()) {
            view.micros_today = sums.integer(0);
            view.tokens_today = sums.integer(1);
        }
        sums.reset();
        return view;
    };
    auto view = co_await database_.read(std::move(work));
    co_return view;
}

}  // namespace millrace::quota
