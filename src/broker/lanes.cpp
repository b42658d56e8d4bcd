#include "broker/lanes.hpp"

namespace millrace::broker {

void Lanes::add(std::int64_t sequence, std::string_view lane) {
    auto at = lanes_.find(lane);
    if (at == lanes_.end()) {
        at = lanes_.emplace(std::string(lane), Lane()).first;
        at->second.batch = lane.starts_with(kBatchLane);
    }
    at->second.messages += 1;
    lane_of_.emplace(sequence, at);
}

Lanes::Lane* Lanes::lane_of(std::int64_t sequence) {
    const auto found = lane_of_.find(sequence);
    return found == lane_of_.end() ? nullptr : &found->second->second;
}

void Lanes::remove(std::int64_t sequence) {
    const auto found = lane_of_.find(sequence);
    if (found == lane_of_.end()) return;
    set_ready(sequence, false);
    const auto lane = found->second;
    lane_of_.erase(found);
    lane->second.messages -= 1;
    if (lane->second.messages == 0) lanes_.erase(lane);
}

void Lanes::set_ready(std::int64_t sequence, bool ready) {
    Lane* const lane = lane_of(sequence);
    if (lane == nullptr) return;
    const bool had = !lane->ready.empty();
    ready ? lane->ready.insert(sequence).second : lane->ready.erase(sequence) > 0;
    const bool has = !lane->ready.empty();
    auto& turns = turns_of(*lane);
    if (has && !had) lane->turn = turns.insert(turns.end(), lane);
    if (had && !has) turns.erase(lane->turn);
}

std::optional<std::int64_t> Lanes::first_ready(LaneKind kind) const {
    const auto& [interactive, batch] = turns_;
    if (kind != LaneKind::batch && !interactive.empty()) return *interactive.front()->ready.begin();
    if (kind != LaneKind::interactive && !batch.empty()) return *batch.front()->ready.begin();
    return std::nullopt;
}

void Lanes::took(std::int64_t sequence) {
    Lane* const lane = lane_of(sequence);
    if (lane == nullptr || lane->ready.empty()) return;
    auto& turns = turns_of(*lane);
    turns.splice(turns.end(), turns, lane->turn);
}

}  // namespace millrace::broker
