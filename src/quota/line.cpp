#include "quota/line.hpp"

#include <algorithm>
#include <queue>

namespace millrace::quota {

double Line::weight_of(const std::string& tenant) const {
    const auto found = weights_.find(tenant);
    return found == weights_.end() || found->second <= 0 ? 1.0 : found->second;
}

void Line::add(Item item) {
    const auto urgency = static_cast<std::size_t>(item->urgency);
    Tenants& tenants = tenants_[urgency];
    const auto [tenant, fresh] = tenants.try_emplace(item->part.tenant);
    if (fresh) tenant->second.taken = level_[urgency];
    size_ += 1;
    tokens_ += item->part.tokens;
    tenant->second.items.push_back(std::move(item));
}

bool Line::remove(const Item& item) {
    Tenants& tenants = tenants_of(item->urgency);
    const auto tenant = tenants.find(item->part.tenant);
    if (tenant == tenants.end()) return false;
    auto& items = tenant->second.items;
    const auto found = std::find(items.begin(), items.end(), item);
    if (found == items.end()) return false;
    items.erase(found);
    if (items.empty()) tenants.erase(tenant);
    size_ -= 1;
    tokens_ -= item->part.tokens;
    return true;
}

void Line::take(const Item& item) {
    Tenants& tenants = tenants_of(item->urgency);
    const auto tenant = tenants.find(item->part.tenant);
    if (tenant == tenants.end()) return;
    double& level = level_[static_cast<std::size_t>(item->urgency)];
    // A call without tokens takes a turn all the same.
    const auto tokens = static_cast<double>(std::max<std::int64_t>(item->part.tokens, 1));
    level = std::max(level, tenant->second.taken);
    tenant->second.taken += tokens / weight_of(item->part.tenant);
    remove(item);
}

std::size_t Line::size_of(const std::string& tenant) const {
    std::size_t size = 0;
    for (const Tenants& tenants : tenants_) {
        const auto found = tenants.find(tenant);
        if (found != tenants.end()) size += found->second.items.size();
    }
    return size;
}

std::vector<Line::Item> Line::first(std::size_t count) const {
    struct Turn {
        double taken;
        const Tenant* tenant;
        double weight;
        std::size_t next;
        TimePoint since;
        bool operator<(const Turn& other) const {
            return taken != other.taken ? taken > other.taken : since > other.since;
        }
    };
    std::vector<Item> order;
    for (const Tenants& tenants : tenants_) {
        std::priority_queue<Turn> turns;
        for (const auto& [name, tenant] : tenants)
            turns.push({tenant.taken, &tenant, weight_of(name), 0, tenant.items.front()->since});
        while (!turns.empty() && order.size() < count) {
            Turn turn = turns.top();
            turns.pop();
            const Item& item = turn.tenant->items[turn.next];
            order.push_back(item);
            turn.taken += static_cast<double>(std::max<std::int64_t>(item->part.tokens, 1)) / turn.weight;
            turn.next += 1;
            if (turn.next == turn.tenant->items.size()) continue;
            turn.since = turn.tenant->items[turn.next]->since;
            turns.push(turn);
        }
    }
    return order;
}

}  // namespace millrace::quota
