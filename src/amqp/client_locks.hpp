// The deliveries that a client has been given and not settled yet.
#pragma once

#include "amqp/client_receiver.hpp"

#include <algorithm>
#include <functional>

namespace millrace::amqp {

struct ClientLock {
    std::string entity;
    std::weak_ptr<ReceiverLink> link;  ///< it came over; gone, or none for a deferred message
    std::uint32_t delivery = 0;
    bool deferred = false;  ///< received by number: no link knows it
    Uuid session;           ///< token of the session it belongs to; nil: none
    TimePoint locked_until{};  ///< of a message of a session: what it was when it came
    bool busy = false;      ///< it is being settled, or waits for its time
    std::optional<broker::Message> copy;  ///< where a dead letter is a message sent from here
};

class ClientLocks {
  public:
    /// Whether the session of a token lives. Its messages are locked as long as it is, which is renewed apart
    /// from them.
    using SessionLives = std::function<bool(const Uuid&)>;

    explicit ClientLocks(SessionLives session_lives = {}) : session_lives_(std::move(session_lives)) {}

    void add(const Uuid& token, ClientLock lock, TimePoint now) {
        if (locks_.size() >= next_prune_) prune(now);
        locks_.insert_or_assign(token, std::move(lock));
    }
    ClientLock* find(const Uuid& token) {
        const auto found = locks_.find(token);
        return found == locks_.end() ? nullptr : &found->second;
    }
    /// The link that `token` can be settled over now. None: it is not known, or busy, or its link has ended,
    /// and then it is forgotten: a queue that knows no tokens has given the message back.
    std::shared_ptr<ReceiverLink> open_link(const Uuid& token) {
        const ClientLock* lock = find(token);
        if (lock == nullptr || lock->busy) return nullptr;
        auto link = lock->link.lock();
        if (link && link->is_open()) return link;
        erase(token);
        return nullptr;
    }
    void erase(const Uuid& token) { locks_.erase(token); }
    std::size_t size() const noexcept { return locks_.size(); }

  private:
    bool is_over(const ClientLock& lock, TimePoint now) const {
        if (lock.busy || lock.locked_until >= now) return false;
        return lock.session.is_nil() || !session_lives_ || !session_lives_(lock.session);
    }

    /// Forgets those that ran out: their settlement would be refused by the queue as well.
    void prune(TimePoint now) {
        for (auto one = locks_.begin(); one != locks_.end();) {
            ClientLock& lock = one->second;
            const bool over = is_over(lock, now);
            if (over) {
                if (const auto link = lock.link.lock()) link->settle_at_once(lock.delivery, Released{});
            }
            one = over ? locks_.erase(one) : std::next(one);
        }
        next_prune_ = std::max(kPruneMin, locks_.size() * 2);
    }

    static constexpr std::size_t kPruneMin = 1000;
    SessionLives session_lives_;
    std::unordered_map<Uuid, ClientLock> locks_;
    std::size_t next_prune_ = kPruneMin;
};

/// While it lives, nobody else settles the delivery behind `token`.
class BusyLock {
  public:
    BusyLock(ClientLocks& locks, const Uuid& token) : locks_(locks), token_(token) {
        if (ClientLock* lock = locks_.find(token_)) lock->busy = true;
    }
    ~BusyLock() {
        if (ClientLock* lock = locks_.find(token_)) lock->busy = false;
    }
    BusyLock(const BusyLock&) = delete;

  private:
    ClientLocks& locks_;
    Uuid token_;
};

}  // namespace millrace::amqp
