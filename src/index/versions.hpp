// Which searches see which versions of documents: a number line of index states, kept right across
// rolled-back commits.
#pragma once

#include <atomic>
#include <cstdint>
#include <limits>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

namespace millrace::index {

/// A state of the index. Each publish and remove makes the next one, in its own transaction; a search reads
/// the number in its snapshot of the database and sees the versions born at or before it that die after it.
using Stamp = std::uint64_t;
inline constexpr Stamp kNever = std::numeric_limits<Stamp>::max();

/// No category named: one of any category fits.
inline constexpr std::uint32_t kAnyCategory = std::numeric_limits<std::uint32_t>::max();

/// One version of a document as vector search knows it.
struct VersionState {
    std::atomic<Stamp> born = kNever;
    std::atomic<Stamp> died = 0;
    std::int64_t id = 0;            ///< row of table `version`
    std::uint32_t category = 0;

    /// True if a search of `state` sees it. `died` is read first: where an object is used again its birth is
    /// set to never before its death is, so nobody sees it in between.
    bool visible(Stamp state) const noexcept {
        return died.load(std::memory_order_acquire) > state && born.load(std::memory_order_acquire) <= state;
    }
};

/// All versions that have vectors in memory.
///
/// Any thread. The objects are never freed, only used again, so that a scan may look at one at any time.
class Versions {
  public:
    /// `newest`: the stamp in the database.
    explicit Versions(Stamp newest) : newest_(newest) {}

    /// A version seen by nobody yet.
    VersionState* create(std::int64_t id, std::uint32_t category);
    /// Gives the object back. No search that sees it runs any more.
    void recycle(VersionState* version);

    /// Makes `version` seen by all, at start-up.
    void load(VersionState* version);

    /// Start of a command that changes the index: `stored` is the stamp in the database as the command sees
    /// it. Changes with a higher one were rolled back and are taken back here. Answers a stamp that was never
    /// used.
    Stamp begin(Stamp stored);
    /// Last act of the command: from `stamp` on `born` (may be null) is seen and the versions `dead` are not.
    /// No search notices before the transaction is committed, for none has such a stamp.
    void change(Stamp stamp, VersionState* born, const std::vector<std::int64_t>& dead);
    /// The command's transaction ended: takes the change back if it was not committed. A change may also be
    /// taken back by `begin` before the one who made it knows.
    void settle(Stamp stamp, bool committed);

    /// Forgets `id`, once it is dead; null if it has no vectors in memory.
    VersionState* take(std::int64_t id);

  private:
    struct Change {
        Stamp stamp;
        VersionState* born;
        std::vector<VersionState*> dead;
    };

    void undo_locked(const Change& change);

    std::mutex mutex_;
    Stamp newest_;
    std::vector<Change> pending_;
    std::unordered_map<std::int64_t, VersionState*> by_id_;
    std::vector<std::unique_ptr<VersionState>> objects_;
    std::vector<VersionState*> unused_;
};

}  // namespace millrace::index
