#include "broker/guards.hpp"

#include <boost/asio/this_coro.hpp>

namespace millrace::broker {

using asio::awaitable;

namespace {

Error session_lost() {
    return Error{Errc::conflict, "the session's lock is lost: it ran out, or the session was released"};
}

/// Ids of sessions whose state was set since `since`, in order.
std::vector<std::string> ids_with_state(store::Connection& connection, std::int64_t entity,
                                        std::int64_t since, const std::optional<std::string>& after,
                                        std::size_t most) {
    constexpr auto kRowsMax = static_cast<std::size_t>(std::numeric_limits<std::int64_t>::max());
    auto& select = connection.prepare(
        after ? "SELECT session_id FROM session_state WHERE entity=? AND changed>=? AND session_id>? "
                "ORDER BY session_id LIMIT ?"
              : "SELECT session_id FROM session_state WHERE entity=? AND changed>=? "
                "ORDER BY session_id LIMIT ?");
    const auto rows = static_cast<std::int64_t>(std::min(most, kRowsMax));
    if (after)
        select.bind(entity, since, *after, rows);
    else
        select.bind(entity, since, rows);
    std::vector<std::string> ids;
    while (select.step()) ids.push_back(select.string(0));
    return ids;
}

}  // namespace

/// The session that `token` holds now; null if it does not.
Session* Engine::session_of(EntityState& entity, const Uuid& token) const {
    const std::int64_t number = number_of(token);
    if (number < 1 || number > std::numeric_limits<std::uint32_t>::max()) return nullptr;
    if (!entity.sessions.contains(static_cast<std::uint32_t>(number))) return nullptr;
    Session& session = entity.sessions[static_cast<std::uint32_t>(number)];
    const bool holds = session.nonce != 0 && session.nonce == nonce_of(token) && session.locked_until > now();
    return holds ? &session : nullptr;
}

SessionLock Engine::lock_session(EntityState& entity, std::uint32_t number) {
    Session& session = entity.sessions[number];
    session.nonce = random_nonce() | 1;  // 0 means not locked
    session.locked_until = now() + entity.options.lock_time.count();
    entity.sessions.update(number);
    entity.add_session_lock(number, session.locked_until);
    arm(session.locked_until);
    return {entity.name, session.id, make_token(number, session.nonce), from_millis(session.locked_until)};
}

awaitable<Result<SessionLock>> Engine::accept_session(std::string name, std::optional<std::string> session_id,
                                                      Duration wait) {
    const Operation operation(*this);
    auto opened = open(name);
    if (!opened) co_return opened.error();
    const Entity entity = *opened;
    if (!entity->options.requires_session)
        co_return Error{Errc::invalid_input, "\"" + name + "\" has no sessions"};
    if (auto receivable = check_receivable(*entity); !receivable) co_return receivable.error();
    touch(*entity);
    if (session_id) {
        if (session_id->size() > limits::session_id_chars_max * 4) {
            co_return Error{Errc::invalid_input, "the session id is longer than 128 characters"};
        }
        const std::uint32_t number = entity->sessions.intern(*session_id);
        if (entity->sessions[number].nonce != 0) {
            co_return Error{Errc::over_limit,
                            "session \"" + *session_id + "\" is locked by another receiver"};
        }
        co_return lock_session(*entity, number);
    }
    const std::uint32_t available = entity->sessions.next_available();
    if (available != 0) co_return lock_session(*entity, available);
    if (wait > Duration::zero()) {
        Accepter accepter(*this, entity, wait);
        co_await accepter.served.wait();
        const auto state = co_await asio::this_coro::cancellation_state;
        const bool cancelled = state.cancelled() != asio::cancellation_type::none;
        if (accepter.failure) co_return *accepter.failure;
        if (accepter.lock && !cancelled) co_return *std::exchange(accepter.lock, std::nullopt);
    }
    co_return Error{Errc::unavailable, "no session of \"" + name + "\" has messages and is unlocked"};
}

Result<TimePoint> Engine::renew_session(const SessionLock& lock) {
    auto entity = open(lock.entity);
    if (!entity) return entity.error();
    Session* session = session_of(**entity, lock.token);
    if (session == nullptr) return session_lost();
    touch(**entity);
    const auto number = static_cast<std::uint32_t>(number_of(lock.token));
    session->locked_until = now() + (*entity)->options.lock_time.count();
    (*entity)->add_session_lock(number, session->locked_until);
    arm(session->locked_until);
    return from_millis(session->locked_until);
}

/// Unlocks a session whose time is over; what was in flight goes back or has used up its deliveries.
std::vector<Engine::Doomed> Engine::lose_session(const Entity& entity, std::uint32_t number) {
    Session& session = entity->sessions[number];
    if (session.nonce == 0) return {};
    session.nonce = 0;
    while (!session.receivers.empty()) {
        Receiver& receiver = *session.receivers.front();
        receiver.failure = session_lost();
        receiver.served.notify();
        receiver.unlink();
    }
    std::vector<Doomed> doomed;
    const std::vector<std::int64_t> in_flight(session.locked.begin(), session.locked.end());
    for (const std::int64_t sequence : in_flight) end_lock(entity, sequence, doomed);
    entity->sessions.update(number);
    dispatch(entity, number);
    return doomed;
}

awaitable<void> Engine::release_session(SessionLock lock) {
    const Operation operation(*this);
    auto opened = open(lock.entity);
    if (!opened) co_return;
    const Entity entity = *opened;
    Session* session = session_of(*entity, lock.token);
    if (session == nullptr) co_return;
    const auto number = static_cast<std::uint32_t>(number_of(lock.token));
    std::vector<std::pair<std::int64_t, int>> counts;
    for (const std::int64_t sequence : session->locked) {
        Slot& slot = *entity->slots.find(sequence);
        slot.deliveries -= 1;
        counts.emplace_back(slot.id, slot.deliveries);
    }
    std::vector<Doomed> doomed = lose_session(entity, number);
    if (counts.empty()) co_return;
    auto work = [counts = std::move(counts)](store::Connection& connection) {
        for (const auto& [id, count] : counts) rows::set_deliveries(connection, id, count, std::nullopt);
        return true;
    };
    try {
        co_await database_.write(std::move(work), store::Sync::written, store::Undo::none);
    } catch (const MachineError&) {
        // After a crash the delivery counts; the session is released all the same.
    }
    co_await bury_or_retry(entity, std::move(doomed));
}

/// Gives back a lock that its receiver never got.
void Engine::return_session(const Entity& entity, const SessionLock& lock) {
    const Session* session = session_of(*entity, lock.token);
    if (session != nullptr) lose_session(entity, static_cast<std::uint32_t>(number_of(lock.token)));
}

Result<void> Engine::check_session(const SessionLock& lock) const {
    auto entity = open(lock.entity);
    if (!entity) return entity.error();
    if (session_of(**entity, lock.token) == nullptr) return session_lost();
    return {};
}

awaitable<Result<std::optional<std::string>>> Engine::session_state(SessionLock lock) {
    const Operation operation(*this);
    auto entity = open(lock.entity);
    if (!entity) co_return entity.error();
    const Session* session = session_of(**entity, lock.token);
    if (session == nullptr) co_return session_lost();
    auto work = [id = (*entity)->id, session_id = session->id](store::Connection& connection) {
        std::optional<std::string> state;
        auto& select = connection.prepare("SELECT state FROM session_state WHERE entity=? AND session_id=?");
        select.bind(id, session_id);
        if (select.step()) state = select.string(0);
        select.reset();
        return state;
    };
    auto state = co_await database_.read(std::move(work));
    co_return std::move(state);
}

awaitable<Result<std::vector<std::string>>> Engine::sessions(std::string name,
                                                             std::optional<TimePoint> state_since,
                                                             std::size_t skip, std::size_t top) {
    const Operation operation(*this);
    auto opened = open(name);
    if (!opened) co_return opened.error();
    const Entity entity = *opened;
    if (!entity->options.requires_session)
        co_return Error{Errc::invalid_input, "\"" + entity->name + "\" has no sessions"};
    const std::int64_t since =
        state_since ? to_millis(*state_since) : std::numeric_limits<std::int64_t>::min();
    const auto after = entity->listed.end_of(since, skip);
    const std::size_t left = after ? 0 : skip;
    const std::size_t most = left + top;
    auto work = [id = entity->id, since, after, most](store::Connection& connection) {
        return ids_with_state(connection, id, since, after, most);
    };
    const auto stored = co_await database_.read(std::move(work));
    const auto known = state_since ? std::vector<std::string>() : entity->sessions.ids(after, most);
    std::vector<std::string> page;
    std::set_union(stored.begin(), stored.end(), known.begin(), known.end(), std::back_inserter(page));
    page.resize(std::min(page.size(), most));
    page.erase(page.begin(), page.begin() + static_cast<std::ptrdiff_t>(std::min(page.size(), left)));
    if (!page.empty()) entity->listed.remember(since, skip + page.size(), page.back());
    co_return page;
}

awaitable<Result<void>> Engine::set_session_state(SessionLock lock, std::optional<std::string> state) {
    const Operation operation(*this);
    auto entity = open(lock.entity);
    if (!entity) co_return entity.error();
    const Session* session = session_of(**entity, lock.token);
    if (session == nullptr) co_return session_lost();
    if (state && state->size() > options_.message_bytes_max) {
        co_return Error{Errc::invalid_input, "the session state is larger than " +
                                                 std::to_string(options_.message_bytes_max) + " bytes"};
    }
    auto work = [id = (*entity)->id, session_id = session->id, state = std::move(state),
                 time = now()](store::Connection& connection) {
        if (state) {
            connection
                .prepare(
                    "INSERT OR REPLACE INTO session_state(entity,session_id,state,changed) VALUES(?,?,?,?)")
                .bind(id, session_id, store::Blob{*state}, time)
                .run();
        } else {
            connection.prepare("DELETE FROM session_state WHERE entity=? AND session_id=?")
                .bind(id, session_id)
                .run();
        }
        return true;
    };
    co_await database_.write(std::move(work), store::Sync::durable, store::Undo::none);
    co_return Result<void>();
}

}  // namespace millrace::broker
