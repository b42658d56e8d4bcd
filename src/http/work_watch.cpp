#include "http/work_watch.hpp"

namespace millrace::http {

void WorkWatch::look(const std::vector<broker::EntityCounts>& counts, TimePoint now, bool held) {
    for (const auto& queue : counts) {
        auto [entry, fresh] = queues_.try_emplace(queue.name);
        Seen& seen = entry->second;
        const std::uint64_t ended = queue.completed_total + queue.dead_lettered_total;
        const std::uint64_t waiting = queue.active + queue.locked;
        const bool was_idle = seen.waiting == 0;
        if (fresh || was_idle || held || ended != seen.ended) seen.progress = now;
        seen.ended = ended;
        seen.waiting = waiting;
    }
}

std::vector<StuckQueue> WorkWatch::stuck(TimePoint now) const {
    std::vector<StuckQueue> found;
    for (const auto& [name, seen] : queues_)
        if (seen.waiting > 0 && now - seen.progress >= limit_)
            found.push_back({name, seen.waiting, now - seen.progress});
    return found;
}

}  // namespace millrace::http
