// Calls that wait for a deployment, in the order in which they may go.
#pragma once

#include "quota/ledger.hpp"

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace millrace::quota {

/// One piece of work that waits.
struct Waiter {
    Part part;
    Urgency urgency = Urgency::interactive;
    std::size_t count = 1;  ///< inputs of it in a request
    bool packs = false;  ///< may share a request with others that do, and that have the same `pack`
    std::uint64_t pack = 0;
    TimePoint since{};  ///< since when it waits; the epoch: since it enters
};

/// Who waits. Interactive work goes first; then tenants take turns by what they have taken so far, divided by
/// their weight; one tenant's work goes in order. No clock, no threads.
class Line {
  public:
    using Item = std::shared_ptr<Waiter>;

    /// `weights`: of tenants, 1 where none is given.
    explicit Line(std::map<std::string, double> weights = {}) : weights_(std::move(weights)) {}

    void add(Item item);
    /// True if it was there.
    bool remove(const Item& item);
    /// `item` may go: it leaves the line, and its tenant has taken its tokens.
    void take(const Item& item);

    /// The first `count` at most, in the order in which they would go.
    std::vector<Item> first(std::size_t count) const;

    bool empty() const noexcept { return size_ == 0; }
    std::size_t size() const noexcept { return size_; }
    std::int64_t tokens() const noexcept { return tokens_; }
    std::size_t size_of(const std::string& tenant) const;

  private:
    struct Tenant {
        std::deque<Item> items;
        double taken = 0;  ///< tokens / weight
    };
    using Tenants = std::map<std::string, Tenant>;

    Tenants& tenants_of(Urgency urgency) { return tenants_[static_cast<std::size_t>(urgency)]; }
    double weight_of(const std::string& tenant) const;

    std::map<std::string, double> weights_;
    Tenants tenants_[2];
    double level_[2] = {0, 0};  ///< what the last one to go had taken: who comes anew begins there
    std::size_t size_ = 0;
    std::int64_t tokens_ = 0;
};

}  // namespace millrace::quota
