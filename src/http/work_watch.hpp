// Tells work that is slow from work that is stuck.
#pragma once

#include "broker/entity.hpp"

#include <map>
#include <string>
#include <vector>

namespace millrace::http {

/// A queue on which nothing has ended for too long although something waits.
struct StuckQueue {
    std::string name;
    std::uint64_t waiting = 0;   ///< ready or locked
    Duration since{};            ///< without progress
};

/// Looks at the counts of worked queues again and again. A queue makes progress when a message is completed
/// or dead-lettered; it is stuck when it holds ready or locked messages and has made none for `limit`.
class WorkWatch {
  public:
    explicit WorkWatch(Duration limit) : limit_(limit) {}

    /// Takes in what `counts` say at `now`. Call it every few seconds, and before `stuck`. `held`: work waits
    /// for a model that is down, which is no fault of this process.
    void look(const std::vector<broker::EntityCounts>& counts, TimePoint now, bool held = false);
    std::vector<StuckQueue> stuck(TimePoint now) const;

  private:
    struct Seen {
        std::uint64_t ended = 0;  ///< completed and dead-lettered since the start of the process
        std::uint64_t waiting = 0;
        TimePoint progress{};  ///< last change of `ended`, or when work was first seen to wait
    };

    Duration limit_;
    std::map<std::string, Seen> queues_;
};

}  // namespace millrace::http
