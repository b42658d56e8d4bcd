#include "index/versions.hpp"

#include <algorithm>

namespace millrace::index {

VersionState* Versions::create(std::int64_t id, std::uint32_t category) {
    const std::scoped_lock guard(mutex_);
    if (unused_.empty()) {
        objects_.push_back(std::make_unique<VersionState>());
        unused_.push_back(objects_.back().get());
    }
    VersionState* version = unused_.back();
    unused_.pop_back();
    version->id = id;
    version->category = category;
    version->died = kNever;
    return version;
}

void Versions::recycle(VersionState* version) {
    const std::scoped_lock guard(mutex_);
    version->born = kNever;
    unused_.push_back(version);
}

void Versions::load(VersionState* version) {
    const std::scoped_lock guard(mutex_);
    version->born = 0;
    by_id_[version->id] = version;
}

Stamp Versions::begin(Stamp stored) {
    const std::scoped_lock guard(mutex_);
    std::erase_if(pending_, [&](const Change& change) {
        if (change.stamp > stored) undo_locked(change);
        return change.stamp > stored;
    });
    newest_ = std::max(newest_, stored) + 1;
    return newest_;
}

void Versions::change(Stamp stamp, VersionState* born, const std::vector<std::int64_t>& dead) {
    const std::scoped_lock guard(mutex_);
    Change change{stamp, born, {}};
    for (const std::int64_t id : dead) {
        const auto found = by_id_.find(id);
        if (found == by_id_.end()) continue;
        found->second->died = stamp;
        change.dead.push_back(found->second);
    }
    if (born != nullptr) {
        born->born = stamp;
        by_id_[born->id] = born;
    }
    pending_.push_back(std::move(change));
}

void Versions::settle(Stamp stamp, bool committed) {
    const std::scoped_lock guard(mutex_);
    std::erase_if(pending_, [&](const Change& change) {
        if (change.stamp == stamp && !committed) undo_locked(change);
        return change.stamp == stamp;
    });
}

void Versions::undo_locked(const Change& change) {
    for (VersionState* version : change.dead) version->died = kNever;
    if (change.born == nullptr) return;
    change.born->born = kNever;
    by_id_.erase(change.born->id);
}

VersionState* Versions::take(std::int64_t id) {
    const std::scoped_lock guard(mutex_);
    const auto found = by_id_.find(id);
    if (found == by_id_.end()) return nullptr;
    VersionState* version = found->second;
    by_id_.erase(found);
    return version;
}

}  // namespace millrace::index
