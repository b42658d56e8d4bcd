// Work that is wider than one worker: a message for each piece, and one more when the last piece is done.
#pragma once

#include "store/database.hpp"
#include "work/outcome.hpp"
#include "work/tasks.hpp"

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::work {

/// Message properties of a piece: which fan-out it belongs to and its number, from 0; and of its join.
inline constexpr char kFanOutProperty[] = "millrace-fan-out";
inline constexpr char kPieceProperty[] = "millrace-piece";
inline constexpr char kJoinProperty[] = "millrace-join";

/// One piece of a fan-out.
struct Piece {
    std::string fan_out;
    std::int64_t number = 0;
};

/// What is to be spread.
struct FanOutPlan {
    std::string
        id;  ///< the same whenever this is planned again, e.g. of the message it comes from; 1–100 bytes
    std::vector<std::string> bodies;  ///< one message each, in the order in which the join reads the results
    std::string queue = queue::tasks;  ///< that the pieces go to
    std::string join_queue;  ///< that the join's message goes to
    std::string join_body;  ///< of that message
};

/// Spreads pieces over a queue and joins their results: any number of workers, processes and restarts, each
/// piece counted once. Whoever brings the last piece sends the join's message. A piece costs one row and one
/// update of a counter; the join reads every result once, in order. All calls on the I/O thread.
class FanOut {
  public:
    /// `database` and `clock` outlive it.
    FanOut(store::Database& database, const Clock& clock) : database_(database), clock_(clock) {}

    /// The end of the message that spreads: it is completed together with the pieces' messages, so that all
    /// of them are sent, once. Nothing is done for a plan whose id is known.
    Done spread(FanOutPlan plan) const;

    /// Which piece `message` is, if it is one, and of which fan-out it is the join.
    static std::optional<Piece> piece_of(const broker::Message& message);
    static std::optional<std::string> join_of(const broker::Message& message);

    /// True if `piece` has its result, or if its fan-out was joined and forgotten: there is nothing to do.
    asio::awaitable<bool> is_done(Piece piece);
    /// Stores the result of `piece` unless it has one. Answers the end of its message, with the join's
    /// message if this was the last piece; again so where that end was lost and the same `bringer` comes
    /// again.
    asio::awaitable<Result<Done>> finish(Piece piece, std::string result, std::string bringer);
    /// What tells the message of `delivery` from a copy of it.
    static std::string bringer_of(const broker::Delivery& delivery);

    /// The results of all pieces, in order, in one pass. not_found: no such fan-out, or it was forgotten;
    /// unavailable: pieces are missing.
    asio::awaitable<Result<std::vector<std::string>>> results(std::string id);
    /// Removes all rows of a fan-out; for the transaction that completes its join.
    static Result<void> forget(store::Connection& connection, std::string_view id);

    using PieceWork = std::function<asio::awaitable<Result<std::string>>(Piece piece, std::string body)>;
    using JoinWork = std::function<asio::awaitable<Outcome>(std::string id, std::vector<std::string> results,
                                                            std::string body)>;
    /// Handlers for the two queues. `work` runs for a piece until it has answered once; unavailable and
    /// over_limit are tried again, other errors are dead letters, and a redriven piece goes on where it was.
    /// `join` runs once for a fan-out unless it fails: with its `Done` the fan-out is forgotten. `this`
    /// outlives them.
    Handler piece_handler(PieceWork work);
    Handler join_handler(JoinWork join);

  private:
    asio::awaitable<Outcome> run_piece(PieceWork work, broker::Delivery delivery);
    asio::awaitable<Outcome> run_join(JoinWork join, broker::Delivery delivery);

    store::Database& database_;
    const Clock& clock_;
};

}  // namespace millrace::work
