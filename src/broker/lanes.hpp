// Tenants of one queue take turns: their ready messages, tenant by tenant.
#pragma once

#include "broker/message_source.hpp"

#include <cstdint>
#include <list>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>

namespace millrace::broker {

/// What the name of a lane begins with whose messages may wait while others are ready.
inline constexpr std::string_view kBatchLane = "batch/";

/// Lanes of a queue whose option `fair` is set: one for each session id, which is the tenant, with
/// `kBatchLane` before it for work that may take its time. A lane exists while it has a message; those with a
/// ready one take turns, batch lanes while no other has one.
class Lanes {
  public:
    void add(std::int64_t sequence, std::string_view lane);
    void remove(std::int64_t sequence);
    void set_ready(std::int64_t sequence, bool ready);

    /// The oldest ready message of the lane whose turn it is.
    std::optional<std::int64_t> first_ready(LaneKind kind = LaneKind::all) const;
    /// The message was handed out: its lane's next turn comes after those of all others.
    void took(std::int64_t sequence);

  private:
    struct Lane {
        std::set<std::int64_t> ready;
        std::uint64_t messages = 0;
        bool batch = false;
        std::list<Lane*>::iterator turn;  ///< while something is ready
    };
    using Table = std::map<std::string, Lane, std::less<>>;

    Lane* lane_of(std::int64_t sequence);
    std::list<Lane*>& turns_of(const Lane& lane) { return turns_[lane.batch ? 1 : 0]; }

    Table lanes_;
    std::unordered_map<std::int64_t, Table::iterator> lane_of_;
    std::list<Lane*> turns_[2];  ///< of batch lanes: the second
};

}  // namespace millrace::broker
