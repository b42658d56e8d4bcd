// The sessions of one entity: who holds them, and which messages of theirs are ready.
#pragma once

#include "broker/slots.hpp"

#include <cstdint>
#include <deque>
#include <list>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::broker {

struct Receiver;

/// One session. Times are milliseconds since 1970.
struct Session {
    std::string id;
    std::set<std::int64_t> ready;       ///< numbers of its ready messages
    std::set<std::int64_t> locked;      ///< numbers of those that its holder received
    std::set<std::int64_t> postponed;  ///< those that come after one of these wait for it, to stay in order
    std::uint64_t messages = 0;  ///< in any state
    std::uint64_t nonce = 0;  ///< the secret half of the session lock's token; 0: not locked
    std::int64_t locked_until = 0;
    std::list<Receiver*> receivers;  ///< receives that wait, in order
    std::int64_t listed = -1;  ///< its key among the available ones, -1: not there

    /// Where the numbers of messages in `phase` are kept; null: nowhere.
    std::set<std::int64_t>* numbers_in(Phase phase) {
        if (phase == Phase::ready) return &ready;
        if (phase == Phase::locked) return &locked;
        return phase == Phase::postponed ? &postponed : nullptr;
    }
    /// The message to be handed out next.
    std::optional<std::int64_t> first_ready() const {
        if (ready.empty() || (!postponed.empty() && *postponed.begin() < *ready.begin())) return std::nullopt;
        return *ready.begin();
    }
};

/// Sessions by number (1, 2, …) and by id. A session exists while it has a message, a lock or a waiting
/// receive.
class Sessions {
  public:
    /// The number of session `id`, which is made if it does not exist.
    std::uint32_t intern(std::string_view id);
    std::optional<std::uint32_t> find(std::string_view id) const;
    /// The first ids, at most `most`, of those that have messages, in order; behind `after` if it is set.
    std::vector<std::string> ids(const std::optional<std::string>& after, std::size_t most) const;
    Session& operator[](std::uint32_t number) { return table_[number - 1]; }
    /// True if `number` is in use.
    bool contains(std::uint32_t number) const {
        return number >= 1 && number <= table_.size() && in_use_[number - 1];
    }

    /// To be called after every change of `ready` or `nonce`: lists the session as available or not, and
    /// frees its number if nothing keeps it.
    void update(std::uint32_t number);
    /// The unlocked session whose first ready message is the oldest; 0: none.
    std::uint32_t next_available() const { return available_.empty() ? 0 : available_.begin()->second; }

  private:
    std::deque<Session> table_;
    std::vector<bool> in_use_;
    std::vector<std::uint32_t> free_;
    std::map<std::string_view, std::uint32_t> numbers_;
    std::set<std::pair<std::int64_t, std::uint32_t>> available_;
};

}  // namespace millrace::broker
