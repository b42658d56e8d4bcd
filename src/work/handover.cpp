#include "work/handover.hpp"

#include "base/ids.hpp"
#include "broker/codec.hpp"
#include "telemetry/log.hpp"

#include <memory>

namespace millrace::work {

namespace {

using Names = std::vector<std::string>;

void put(store::Connection& connection, const std::string& owner, const std::string& hand,
         const std::string& entity, const broker::Message& message) {
    std::optional<std::int64_t> scheduled;
    if (message.scheduled_at) scheduled = to_millis(*message.scheduled_at);
    const std::string properties = broker::encode_properties(message, broker::Origin());
    connection
        .prepare(
            "INSERT INTO outbox (owner, hand, entity, message_id, session_id, scheduled, properties, body) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)")
        .bind(owner, hand, entity, message.message_id, message.session_id, scheduled, store::Blob{properties},
              store::Blob{message.body})
        .run();
}

broker::Message take(store::Statement& row) {
    broker::Message message;
    message.message_id = row.string(0);
    if (!row.is_null(1)) message.session_id = row.string(1);
    if (!row.is_null(2)) message.scheduled_at = from_millis(row.integer(2));
    broker::Origin none;
    (void)broker::decode_properties(row.text(3), message, none).has_error();
    message.body = row.string(4);
    return message;
}

void remove_hands(store::Connection& connection, std::string_view sql, const Names& hands) {
    for (const std::string& hand : hands) connection.prepare(sql).bind(hand).run();
}

void append(Names& to, Names from) {
    to.insert(to.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
}

constexpr std::string_view kEmptyOutbox = "DELETE FROM outbox WHERE hand=?";
constexpr std::string_view kForget = "DELETE FROM handed_over WHERE hand=?";

}  // namespace

asio::awaitable<Result<void>> Handover::start() {
    if (one_database()) co_return Result<void>();
    auto ask = [](store::Connection& connection) {
        auto& row = connection.prepare("SELECT id FROM installation");
        return row.step() ? row.string(0) : std::string();
    };
    owner_ = co_await local_.read(std::move(ask));
    auto list = [](store::Connection& connection) {
        Names hands;
        auto& rows = connection.prepare("SELECT hand FROM handed_over");
        while (rows.step()) hands.push_back(rows.string(0));
        return hands;
    };
    // Those that were sent: their outbox rows, if any are left, must not be sent again.
    sent_ = co_await local_.read(std::move(list));
    co_return co_await drain();
}

// The queue itself is asked after the rows are stored, when it is too late to refuse.
Result<void> Handover::check_room(const Hand& hand) const {
    const auto counts = broker_.counts(hand.entity);
    if (!counts) return counts.error();
    const std::uint64_t bytes_max = counts->options.bytes_max;
    if (bytes_max == 0) return {};
    std::uint64_t bytes = counts->bytes;
    for (const auto& message : hand.messages) {
        bytes += message.message_id.size() + message.body.size();
        bytes += broker::encode_properties(message, broker::Origin()).size();
        if (message.session_id) bytes += message.session_id->size();
    }
    if (bytes <= bytes_max) return {};
    return Error{Errc::over_limit, "entity \"" + hand.entity + "\" is full: it may hold " +
                                       std::to_string(bytes_max) + " bytes; try again later"};
}

asio::awaitable<Result<void>> Handover::send_with(std::string entity, std::vector<broker::Message> messages,
                                                  Rows rows) {
    if (one_database()) {
        auto sent = co_await broker_.send_with(std::move(entity), std::move(messages), std::move(rows));
        if (!sent) co_return sent.error();
        co_return Result<void>();
    }
    auto hand = std::make_shared<Hand>(Hand{to_hex(random_uuid()), std::move(entity), std::move(messages)});
    for (auto& message : hand->messages)
        if (message.message_id.empty()) message.message_id = to_hex(random_uuid());
    if (auto room = check_room(*hand); !room) co_return room.error();
    const std::shared_ptr<void> end = begin(hand->name);
    // The rows of earlier hands go in the same transaction.
    Names done = std::exchange(sent_, {});
    auto work = [hand, rows = std::move(rows), done,
                 owner = owner_](store::Connection& connection) -> Result<void> {
        if (rows) {
            auto written = rows(connection);
            if (!written) return written;
        }
        for (const auto& message : hand->messages) put(connection, owner, hand->name, hand->entity, message);
        remove_hands(connection, kEmptyOutbox, done);
        return {};
    };
    Result<void> stored;
    try {
        stored = co_await state_.write(std::move(work));
    } catch (...) {
        append(sent_, std::move(done));
        throw;
    }
    append(stored ? tidied_ : sent_, std::move(done));
    if (!stored) co_return stored;
    // From here on it is accepted: what can't be sent now is sent by `drain`.
    try {
        const auto sent = co_await hand_over(std::move(*hand));
        if (!sent) telemetry::log_warning("send later", "outbox", sent.error().detail);
    } catch (const MachineError& broken) {
        telemetry::log_warning("send later", "outbox", broken.what());
    }
    co_return Result<void>();
}

asio::awaitable<Result<void>> Handover::hand_over(Hand hand) {
    Names forget = std::exchange(tidied_, {});
    Rows note = [name = hand.name, forget](store::Connection& connection) -> Result<void> {
        connection.prepare("INSERT INTO handed_over (hand) VALUES (?)").bind(name).run();
        remove_hands(connection, kForget, forget);
        return {};
    };
    const std::string name = hand.name;
    bool sent = false;
    const std::shared_ptr<void> end(nullptr, [&](void*) {
        if (!sent) append(tidied_, std::move(forget));
    });
    auto answer =
        co_await broker_.send_with(std::move(hand.entity), std::move(hand.messages), std::move(note));
    if (!answer) co_return answer.error();
    sent = true;
    sent_.push_back(name);
    co_return Result<void>();
}

asio::awaitable<Result<void>> Handover::complete_with(broker::LockRef lock, Done done) {
    std::vector<std::pair<std::string, broker::Message>> follow_ups;
    for (auto& next : done.follow_ups)
        follow_ups.emplace_back(std::move(next.entity), std::move(next.message));
    if (!one_database() && done.with) {
        Rows rows = std::exchange(done.with, nullptr);
        auto written = co_await state_.write(std::move(rows));
        if (!written) co_return written;
    }
    co_return co_await broker_.complete_with(std::move(lock), std::move(follow_ups), std::move(done.with));
}

asio::awaitable<Result<void>> Handover::tidy() {
    Names done = std::exchange(sent_, {});
    auto empty = [done](store::Connection& connection) -> Result<void> {
        remove_hands(connection, kEmptyOutbox, done);
        return {};
    };
    Result<void> emptied;
    try {
        if (!done.empty()) emptied = co_await state_.write(std::move(empty));
    } catch (...) {
        append(sent_, std::move(done));
        throw;
    }
    append(emptied ? tidied_ : sent_, std::move(done));
    Names forget = std::exchange(tidied_, {});
    if (forget.empty()) co_return emptied;
    auto forget_them = [forget](store::Connection& connection) -> Result<void> {
        remove_hands(connection, kForget, forget);
        return {};
    };
    co_return co_await local_.write(std::move(forget_them));
}

asio::awaitable<std::vector<Handover::Hand>> Handover::waiting() {
    auto look_up = [owner = owner_](store::Connection& connection) {
        std::vector<Hand> hands;
        auto& rows = connection.prepare(
            "SELECT message_id, session_id, scheduled, properties, body, hand, entity FROM outbox WHERE "
            "owner=? ORDER BY id");
        rows.bind(owner);
        while (rows.step()) {
            const std::string name = rows.string(5);
            if (hands.empty() || hands.back().name != name) hands.push_back({name, rows.string(6), {}});
            hands.back().messages.push_back(take(rows));
        }
        return hands;
    };
    co_return co_await state_.read(std::move(look_up));
}

std::shared_ptr<void> Handover::begin(std::string name) {
    under_way_.insert(name);
    return std::shared_ptr<void>(nullptr, [this, name = std::move(name)](void*) {
        if (draining_)
            ended_.push_back(name);
        else
            under_way_.erase(name);
    });
}

asio::awaitable<Result<void>> Handover::drain() {
    if (one_database() || draining_) co_return Result<void>();
    // What ends meanwhile counts as under way: what is looked up may be older.
    draining_ = true;
    const std::shared_ptr<void> end(nullptr, [this](void*) {
        draining_ = false;
        for (const std::string& name : std::exchange(ended_, {})) under_way_.erase(name);
    });
    auto tidied = co_await tidy();
    if (!tidied) co_return tidied;
    std::vector<Hand> hands = co_await waiting();
    for (Hand& hand : hands) {
        if (under_way_.contains(hand.name)) continue;
        const auto handed = co_await hand_over(std::move(hand));
        if (!handed) co_return handed.error();
    }
    co_return Result<void>();
}

}  // namespace millrace::work
