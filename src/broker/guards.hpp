// What an operation under way holds; each puts things back if the operation does not succeed.
#pragma once

#include "broker/engine.hpp"

#include <boost/container/small_vector.hpp>

#include <deque>

namespace millrace::broker {

/// Runs `undo` at the end of its block unless it was released before.
template <class F>
class OnFailure {
  public:
    explicit OnFailure(F undo) : undo_(std::move(undo)) {}
    ~OnFailure() {
        if (armed_) undo_();
    }
    OnFailure(const OnFailure&) = delete;
    void release() { armed_ = false; }

  private:
    F undo_;
    bool armed_ = true;
};

class Engine::Operation {
  public:
    explicit Operation(Engine& engine) : engine_(engine) { engine_.operations_ += 1; }
    ~Operation() {
        engine_.operations_ -= 1;
        if (engine_.operations_ == 0) engine_.idle_.notify();
    }
    Operation(const Operation&) = delete;

  private:
    Engine& engine_;
};

class Engine::Taken {
  public:
    Taken(Engine& engine, Entity entity, std::uint32_t session)
        : engine_(&engine),
          entity_(std::move(entity)),
          session_(session),
          session_nonce_(session == 0 ? 0 : entity_->sessions[session].nonce) {}
    Taken(Taken&& other) noexcept
        : sequences(std::move(other.sequences)),
          engine_(other.engine_),
          entity_(std::move(other.entity_)),
          session_(other.session_),
          session_nonce_(other.session_nonce_) {
        other.sequences.clear();
    }
    ~Taken();

    EntityState& entity() const { return *entity_; }
    const Entity& shared_entity() const { return entity_; }
    std::uint32_t session() const { return session_; }
    /// False if the session's lock was lost in the meantime.
    bool session_holds() const;

    std::vector<std::int64_t> sequences;  ///< their slots are busy

  private:
    Engine* engine_;
    Entity entity_;
    std::uint32_t session_;
    std::uint64_t session_nonce_;
};

class Engine::Held {
  public:
    Held(Engine& engine, Entity entity, std::int64_t sequence, Slot& slot);
    Held(Held&& other) noexcept
        : engine_(other.engine_),
          entity_(std::move(other.entity_)),
          sequence_(other.sequence_),
          slot_(other.slot_),
          session_nonce_(other.session_nonce_) {
        other.slot_ = nullptr;
    }
    ~Held();

    EntityState& entity() const { return *entity_; }
    const Entity& shared_entity() const { return entity_; }
    std::int64_t sequence() const { return sequence_; }
    Slot& slot() const { return *slot_; }
    /// The message is settled: it is the caller's to say what becomes of its busy slot.
    void release() { slot_ = nullptr; }

  private:
    Engine* engine_;
    Entity entity_;
    std::int64_t sequence_;
    Slot* slot_;
    std::uint64_t session_nonce_;
};

class Engine::Plan {
  public:
    explicit Plan(Engine& engine)
        : engine_(engine), now_(engine.now()), first_duplicate_(engine.next_duplicate_) {}
    ~Plan();
    Plan(const Plan&) = delete;

    /// Routes `message`, which must be checked, into `entity`; answers its number, 0 for a duplicate. The
    /// rows are in `inserts` then; numbers, bytes and ids are taken. Sets `pending` when the fate of an equal
    /// message id is open: then give the plan up, wait for `stored_` and make it again.
    std::int64_t route(const Entity& entity, const Message& message, std::size_t index, const Origin& origin);
    /// As `route` for a message that `entity` holds or held: no duplicate detection, and it is due.
    std::int64_t pass_on(const Entity& entity, const Message& message, std::size_t index,
                         const Origin& origin);
    /// over_limit if an entity that gets something has more bytes than it may, those not counted that leave
    /// it in the same transaction, or takes nothing now.
    Result<void> check_quotas(const Leaving& leaving) const;
    /// Adds what must be stored beside the messages. Call once, before `inserts` is moved away.
    void finish();
    /// The inserts are stored: the messages, handed back here, are there.
    void commit(std::vector<Message> messages);

    bool pending = false;
    rows::Inserts inserts;

  private:
    friend class Engine;
    struct Arrival {
        Entity entity;
        std::int64_t sequence;
        Slot slot;
        bool scheduled;
        std::size_t message;  ///< which of the messages
        Origin origin;
        std::string lane = {};  ///< of a fair queue
    };
    struct Step {
        const Message& message;
        std::size_t index;
        Origin origin;
        int hops;
        bool due;  ///< whatever its schedule says
        /// The message's own, or that of a topic it has passed if shorter.
        std::optional<Duration> time_to_live;
        std::size_t body_bytes;
        std::optional<std::size_t> changed;  ///< which of `copies_` `message` is
    };
    bool waits(const Step& step) const;
    bool is_held_back(const Entity& entity, const Step& step) const;

    std::int64_t enter(const Entity& entity, Step step);
    void forward(const Entity& entity, std::int64_t sequence, Step step);
    void distribute(const Entity& topic, std::int64_t sequence, const Step& step);
    void bury(const Entity& entity, Step step, const char* reason, const std::string& description);
    void place(const Entity& entity, std::int64_t sequence, const Step& step, const std::string& properties);
    void remember_contents(std::vector<Message> messages);
    void settle_remembered(bool stored);
    bool is_duplicate(const Entity& entity, const Message& message);

    Engine& engine_;
    std::int64_t now_;
    std::int64_t first_duplicate_;
    // One message to one place is what most are.
    boost::container::small_vector<Arrival, 1> arrivals_;
    std::deque<Message> copies_;  ///< those that rules have changed, without bodies
    sql::Budget budget_{};  ///< of the message under way, for the rules of all topics that it passes
    Entity refused_;  ///< would have got something and takes nothing now
    std::vector<std::pair<Entity, std::string>> remembered_;
    /// The numbers that this plan took, in order.
    boost::container::small_vector<std::pair<Entity, std::int64_t>, 1> numbers_;
    std::vector<std::pair<Entity, std::int64_t>> reserved_;
    bool committed_ = false;
};

/// A receive that waits: in the entity's or the session's line from its creation until it is served or given
/// up.
struct Receiver {
    Receiver(Engine& engine, Entity entity, std::uint32_t session, const ReceiveOptions& options);
    ~Receiver();
    Receiver(const Receiver&) = delete;

    /// Leaves the line.
    void unlink();

    Engine& engine;
    Entity entity;
    std::uint32_t session;
    Engine::Wish wish;
    Signal served;
    Engine::Taken taken;
    std::optional<Error> failure;

  private:
    std::list<Receiver*>& line();

    bool linked_ = true;
    std::list<Receiver*>::iterator place_;
    std::multimap<std::int64_t, Receiver*>::iterator deadline_;
};

/// A wait for the next available session.
struct Accepter {
    Accepter(Engine& engine, Entity entity, Duration wait);
    ~Accepter();
    Accepter(const Accepter&) = delete;

    void unlink();

    Engine& engine;
    Entity entity;
    Signal served;
    std::optional<SessionLock> lock;
    std::optional<Error> failure;

  private:
    bool linked_ = true;
    std::list<Accepter*>::iterator place_;
    std::multimap<std::int64_t, Accepter*>::iterator deadline_;
};

}  // namespace millrace::broker
