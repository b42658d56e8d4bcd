#include "work/fan_out.hpp"

#include "broker/body.hpp"

namespace millrace::work {

namespace {

constexpr Duration kPause = std::chrono::seconds(1);

/// Where a fan-out stands.
struct Group {
    std::int64_t total = 0;
    std::int64_t done = 0;
    std::string join_queue;
    std::string join_body;
    std::string last;  ///< who brought the last piece
};

std::optional<Group> find_group(store::Connection& connection, std::string_view id) {
    auto& row = connection.prepare("SELECT total, done, join_queue, join_body, last FROM fan_out WHERE id=?")
                    .bind(id);
    if (!row.step()) return std::nullopt;
    Group group{row.integer(0), row.integer(1), row.string(2), row.string(3), row.string(4)};
    row.reset();
    return group;
}

bool has_result(store::Connection& connection, const Piece& piece) {
    auto& row = connection.prepare("SELECT 1 FROM fan_out_piece WHERE fan_out=? AND piece=?")
                    .bind(piece.fan_out, piece.number);
    const bool found = row.step();
    row.reset();
    return found;
}

/// Stores a result and answers where its fan-out stands now; nothing if that is forgotten.
std::optional<Group> add_result(store::Connection& connection, const Piece& piece, std::string_view result,
                                std::string_view bringer) {
    connection
        .prepare(
            "INSERT INTO fan_out_piece (fan_out, piece, result) SELECT id, ?, ? FROM fan_out WHERE id=? ON "
            "CONFLICT DO NOTHING")
        .bind(piece.number, result, piece.fan_out)
        .run();
    if (connection.changes() == 1)
        connection
            .prepare(
                "UPDATE fan_out SET last=CASE WHEN done+1=total THEN ? ELSE last END, done=done+1 WHERE id=?")
            .bind(bringer, piece.fan_out)
            .run();
    return find_group(connection, piece.fan_out);
}

FollowUp join_message(const std::string& id, Group group) {
    FollowUp join;
    join.entity = std::move(group.join_queue);
    join.message.message_id = id + "/join";
    join.message.subject = id;
    join.message.properties[kJoinProperty] = id;
    join.message.body = std::move(group.join_body);
    return join;
}

Outcome outcome_of(const Error& error, int delivery_count) {
    if (error.code == Errc::unavailable || error.code == Errc::over_limit)
        return RetryAfter{backoff(delivery_count + 1, 0.5), error.detail, error.code == Errc::unavailable};
    return DeadLetter{error.code == Errc::over_limit ? reason::input_too_large : reason::malformed_payload,
                      error.detail};
}

}  // namespace

Done FanOut::spread(FanOutPlan plan) const {
    Done done;
    for (std::size_t i = 0; i < plan.bodies.size(); ++i) {
        FollowUp piece;
        piece.entity = plan.queue;
        piece.message.message_id = plan.id + "/" + std::to_string(i);
        piece.message.subject = plan.id;
        piece.message.properties[kFanOutProperty] = plan.id;
        piece.message.properties[kPieceProperty] = static_cast<std::int64_t>(i);
        piece.message.body = std::move(plan.bodies[i]);
        done.follow_ups.push_back(std::move(piece));
    }
    const auto total = static_cast<std::int64_t>(plan.bodies.size());
    if (plan.bodies.empty()) {
        const Group group{0, 0, plan.join_queue, plan.join_body, ""};
        done.follow_ups.push_back(join_message(plan.id, group));
    }
    done.with = [total, id = std::move(plan.id), queue = std::move(plan.join_queue),
                 body = std::move(plan.join_body),
                 now = clock_.now()](store::Connection& connection) -> Result<void> {
        connection
            .prepare(
                "INSERT INTO fan_out (id, total, join_queue, join_body, created) VALUES (?, ?, ?, ?, ?) ON "
                "CONFLICT DO NOTHING")
            .bind(id, total, queue, body, to_millis(now))
            .run();
        return {};
    };
    return done;
}

std::optional<Piece> FanOut::piece_of(const broker::Message& message) {
    const auto id = message.properties.find(kFanOutProperty);
    const auto number = message.properties.find(kPieceProperty);
    if (id == message.properties.end() || number == message.properties.end()) return std::nullopt;
    const auto* name = std::get_if<std::string>(&id->second);
    const auto* count = std::get_if<std::int64_t>(&number->second);
    if (name == nullptr || count == nullptr) return std::nullopt;
    return Piece{*name, *count};
}

std::optional<std::string> FanOut::join_of(const broker::Message& message) {
    const auto id = message.properties.find(kJoinProperty);
    if (id == message.properties.end()) return std::nullopt;
    const auto* name = std::get_if<std::string>(&id->second);
    return name == nullptr ? std::nullopt : std::optional<std::string>(*name);
}

std::string FanOut::bringer_of(const broker::Delivery& delivery) {
    return delivery.message.message_id + "#" + std::to_string(delivery.enqueued_sequence);
}

asio::awaitable<bool> FanOut::is_done(Piece piece) {
    auto look_up = [&piece](store::Connection& connection) {
        return has_result(connection, piece) || !find_group(connection, piece.fan_out);
    };
    co_return co_await database_.read(std::move(look_up));
}

asio::awaitable<Result<Done>> FanOut::finish(Piece piece, std::string result, std::string bringer) {
    auto work = [piece, bringer,
                 result = std::move(result)](store::Connection& connection) -> Result<std::optional<Group>> {
        return add_result(connection, piece, result, bringer);
    };
    auto group = co_await database_.write(std::move(work));
    if (!group) co_return group.error();
    Done done;
    if (*group && (*group)->done == (*group)->total && (*group)->last == bringer)
        done.follow_ups.push_back(join_message(piece.fan_out, std::move(**group)));
    co_return done;
}

asio::awaitable<Result<std::vector<std::string>>> FanOut::results(std::string id) {
    auto look_up = [&id](store::Connection& connection)
        -> std::optional<std::pair<std::int64_t, std::vector<std::string>>> {
        const auto group = find_group(connection, id);
        if (!group) return std::nullopt;
        std::vector<std::string> results;
        results.reserve(static_cast<std::size_t>(group->total));
        auto& rows =
            connection.prepare("SELECT result FROM fan_out_piece WHERE fan_out=? ORDER BY piece").bind(id);
        while (rows.step()) results.push_back(rows.string(0));
        return std::pair(group->total, std::move(results));
    };
    auto found = co_await database_.read(std::move(look_up));
    if (!found) co_return Error{Errc::not_found, "no fan-out \"" + id + "\" is under way"};
    const auto missing = found->first - static_cast<std::int64_t>(found->second.size());
    if (missing > 0) co_return Error{Errc::unavailable, std::to_string(missing) + " pieces are not done yet"};
    co_return std::move(found->second);
}

Result<void> FanOut::forget(store::Connection& connection, std::string_view id) {
    connection.prepare("DELETE FROM fan_out_piece WHERE fan_out=?").bind(id).run();
    connection.prepare("DELETE FROM fan_out WHERE id=?").bind(id).run();
    return {};
}

Handler FanOut::piece_handler(PieceWork work) {
    return [this, work = std::move(work)](broker::Delivery delivery) {
        return run_piece(work, std::move(delivery));
    };
}

Handler FanOut::join_handler(JoinWork join) {
    return [this, join = std::move(join)](broker::Delivery delivery) {
        return run_join(join, std::move(delivery));
    };
}

asio::awaitable<Outcome> FanOut::run_piece(PieceWork work, broker::Delivery delivery) {
    const auto piece = piece_of(delivery.message);
    if (!piece) co_return DeadLetter{reason::malformed_payload, "the message is no piece of a fan-out"};
    auto body = broker::plain_body(delivery.message);
    if (!body) co_return DeadLetter{reason::malformed_payload, body.error().detail};
    std::string bringer = bringer_of(delivery);
    const bool done_before = co_await is_done(*piece);
    std::string text;
    if (!done_before) {
        auto result = co_await work(*piece, std::move(*body));
        if (!result) co_return outcome_of(result.error(), delivery.delivery_count);
        text = std::move(*result);
    }
    auto done = co_await finish(*piece, std::move(text), std::move(bringer));
    if (!done) co_return outcome_of(done.error(), delivery.delivery_count);
    co_return std::move(*done);
}

asio::awaitable<Outcome> FanOut::run_join(JoinWork join, broker::Delivery delivery) {
    const auto id = join_of(delivery.message);
    if (!id) co_return DeadLetter{reason::malformed_payload, "the message is no join of a fan-out"};
    auto body = broker::plain_body(delivery.message);
    if (!body) co_return DeadLetter{reason::malformed_payload, body.error().detail};
    auto collected = co_await results(*id);
    if (!collected && collected.error().code == Errc::not_found) co_return Done{};
    if (!collected) co_return RetryAfter{kPause, collected.error().detail, false};
    auto outcome = co_await join(*id, std::move(*collected), std::move(*body));
    if (auto* done = std::get_if<Done>(&outcome)) {
        done->with = [id = *id, with = std::move(done->with)](store::Connection& connection) -> Result<void> {
            if (with) {
                auto written = with(connection);
                if (!written) return written;
            }
            return forget(connection, id);
        };
    }
    co_return outcome;
}

}  // namespace millrace::work
