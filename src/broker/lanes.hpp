// Tenants of one queue take turns: their ready messages, tenant by tenant.
#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>

namespace millrace::broker {

/// Lanes of a queue whose option `fair` is set: one for each session id, which is the tenant. A lane exists
/// while it has a message; those with a ready one take turns.
class Lanes {
  public:
    void add(std::int64_t sequence, std::string_view lane);
    void remove(std::int64_t sequence);
    void set_ready(std::int64_t sequence, bool ready);

    /// The oldest ready message of the lane whose turn it is.
    std::optional<std::int64_t> first_ready() const;
    /// The message was handed out: its lane's next turn comes after those of all others.
    void took(std::int64_t sequence);

  private:
    struct Lane {
        std::set<std::int64_t> ready;
        std::uint64_t messages = 0;
        std::list<Lane*>::iterator turn;  ///< while something is ready
    };
    using Table = std::map<std::string, Lane, std::less<>>;

    Lane* lane_of(std::int64_t sequence);

    Table lanes_;
    std::unordered_map<std::int64_t, Table::iterator> lane_of_;
    std::list<Lane*> turns_;
};

}  // namespace millrace::broker
