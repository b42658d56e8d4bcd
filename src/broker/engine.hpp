// The parts of the broker's inside that its source files share.
#pragma once

#include "base/async.hpp"
#include "broker/broker.hpp"
#include "broker/entity_state.hpp"
#include "broker/recent.hpp"
#include "broker/rows.hpp"

#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace millrace::store {
struct FullFile;
}

namespace millrace::broker {

using Entity = std::shared_ptr<EntityState>;

/// Why a message whose body can't be read is a dead letter.
inline constexpr char kDamagedBody[] = "DamagedBody";

/// An error answer, its cause in one line.
Error no_such_entity(std::string_view name);
Error lock_lost();
/// Where a subscription's path goes on after its topic's name; npos if it is no such path.
std::size_t topic_length(std::string_view path);

/// Lock tokens hold the number of what they lock and a random half; together nobody can guess them.
Uuid make_token(std::int64_t number, std::uint64_t nonce);
std::int64_t number_of(const Uuid& token);
std::uint64_t nonce_of(const Uuid& token);
std::uint64_t random_nonce();

/// Checks what a sender wrote against the limits of Service Bus and fills in a message id.
Result<void> check_message(Message& message, std::size_t bytes_max);

/// The broker itself; its functions are those of `Broker`, which says what they do. Only on the I/O thread;
/// the lambdas that it gives to the database hold plain data.
class Engine {
  public:
    Engine(store::Database& database, Clock& clock, Broker::Options options, asio::any_io_executor io);
    ~Engine();

    asio::awaitable<Result<void>> load();

    asio::awaitable<Result<void>> put_entity(std::string name, EntityOptions options);
    asio::awaitable<Result<void>> create_subscription(std::string path, EntityOptions options, Rule rule);
    asio::awaitable<Result<void>> put_rule(std::string subscription, Rule rule, bool replace);
    asio::awaitable<Result<void>> remove_rule(std::string subscription, std::string rule);
    Result<std::vector<Rule>> rules(std::string_view subscription) const;
    Result<EntityStatus> status(std::string_view name) const;
    asio::awaitable<Result<void>> remove_entity(std::string name);
    std::size_t message_bytes_max() const noexcept { return options_.message_bytes_max; }
    Result<EntityCounts> counts(std::string_view name) const;
    std::vector<EntityCounts> counts() const;

    using With = std::function<Result<void>(store::Connection&)>;
    asio::awaitable<Result<std::vector<std::int64_t>>> send(std::string name, std::vector<Message>& messages,
                                                            With with);
    asio::awaitable<Result<std::vector<std::int64_t>>> send_with(std::string name,
                                                                 std::vector<Message> messages, With with);
    asio::awaitable<Result<void>> cancel_scheduled(std::string name, std::vector<std::int64_t> sequences);
    asio::awaitable<Result<std::vector<Delivery>>> receive(std::string name, ReceiveOptions options);
    asio::awaitable<Result<std::vector<Delivery>>> receive_deferred(std::string name,
                                                                    std::vector<std::int64_t> sequences,
                                                                    ReceiveOptions options);
    asio::awaitable<Result<std::vector<Delivery>>> peek(std::string name, PeekOptions options);

    Result<TimePoint> renew(const LockRef& lock);
    asio::awaitable<Result<void>> complete(LockRef lock);
    asio::awaitable<std::vector<Result<void>>> complete_each(std::vector<LockRef> locks);
    asio::awaitable<Result<void>> complete_with(LockRef lock,
                                                std::vector<std::pair<std::string, Message>> follow_ups,
                                                With with);
    asio::awaitable<Result<void>> abandon(LockRef lock, Properties properties);
    asio::awaitable<Result<void>> defer(LockRef lock, Properties properties);
    asio::awaitable<Result<void>> dead_letter(LockRef lock, std::string reason, std::string description,
                                              Properties properties);
    asio::awaitable<Result<void>> postpone(LockRef lock, Duration delay, bool spends_delivery);

    asio::awaitable<Result<SessionLock>> accept_session(std::string name,
                                                        std::optional<std::string> session_id, Duration wait);
    Result<TimePoint> renew_session(const SessionLock& lock);
    asio::awaitable<void> release_session(SessionLock lock);
    Result<void> check_session(const SessionLock& lock) const;
    asio::awaitable<Result<std::optional<std::string>>> session_state(SessionLock lock);
    asio::awaitable<Result<void>> set_session_state(SessionLock lock, std::optional<std::string> state);

    asio::awaitable<Result<RedriveResult>> redrive(std::string name, DeadLetterFilter filter,
                                                   double per_second, bool dry_run);
    asio::awaitable<Result<std::uint64_t>> drop_dead_letters(std::string name, DeadLetterFilter filter);
    asio::awaitable<Result<std::uint64_t>> purge(std::string name);
    asio::awaitable<Result<std::uint64_t>> delete_messages(std::string name, std::size_t messages_max,
                                                           TimePoint older_than, Uuid session);
    asio::awaitable<Result<std::vector<std::string>>> sessions(std::string name,
                                                               std::optional<TimePoint> state_since,
                                                               std::size_t skip, std::size_t top);

    asio::awaitable<void> tick();
    void start();
    asio::awaitable<void> stop();

  private:
    friend struct Receiver;
    friend struct Accepter;

    /// What a receiver takes of what is ready.
    struct Wish {
        std::size_t messages_max = 1;
        std::size_t bytes_max = SIZE_MAX;
        LaneKind lanes = LaneKind::all;
    };
    /// Counts an operation under way; `stop` waits for all of them.
    class Operation;
    /// Messages taken for one receiver; those still in it when it ends go back.
    class Taken;
    /// A locked message that is being settled; locked again if the settlement does not succeed.
    class Held;
    /// Messages on their way in; nothing of it has happened if it ends without `commit`.
    class Plan;
    /// A message that is to be dead-lettered; its slot is busy.
    struct Doomed {
        std::int64_t sequence = 0;
        std::string reason;
        std::string description;
        Properties properties;
    };
    /// What a transaction takes out of an account while it brings other messages in.
    struct Leaving {
        static constexpr std::uint64_t kWhatComes = UINT64_MAX;  ///< it goes round and needs no more room
        const Account* account = nullptr;
        std::uint64_t bytes = 0;
    };
    /// How `transfer` treats a message.
    struct Passage {
        /// It was in the target before: no duplicate detection, no hop. Otherwise it comes as from a sender.
        bool returns = false;
        Properties properties;  ///< to be merged into its own
        std::string dead_letter_source;
    };

    std::int64_t now() const { return to_millis(clock_.now()); }

    // catalogue.cpp
    Entity find(std::string_view name) const;
    Result<Entity> open(std::string_view name) const;
    Entity add(std::int64_t id, const std::string& name, const EntityOptions& options);
    void link(const Entity& entity);
    Result<Entity> dead_letters_of(std::string_view name) const;
    Result<void> check_target(const std::string& name, const std::string& target) const;
    Result<void> check_place(const std::string& name, const EntityOptions& options) const;
    asio::awaitable<Result<void>> create(std::string name, EntityOptions options,
                                         std::optional<CompiledRule> rule);
    asio::awaitable<Result<void>> change(Entity entity, EntityOptions options);
    static std::vector<Entity> family(const Entity& entity);
    asio::awaitable<void> delete_rows(std::vector<std::int64_t> ids);

    // subscription_rules.cpp
    Result<Entity> open_subscription(std::string_view name) const;
    asio::awaitable<Result<void>> load_rules();

    // activity.cpp
    EntityStatus status_of(const EntityState& entity) const;
    Result<void> check_receivable(const EntityState& entity) const;
    void end_disabled_waits(EntityState& entity);
    void touch(EntityState& entity);
    asio::awaitable<void> store_accesses(std::int64_t due);
    asio::awaitable<void> remove_idle();
    bool is_in_use(const EntityState& entity) const;

    // load.cpp
    struct Scanned;
    static std::vector<Scanned> scan(store::Connection& connection, std::int64_t after);
    asio::awaitable<Result<void>> load_messages();
    asio::awaitable<void> load_duplicates();
    asio::awaitable<void> store_sequences();
    void restore(EntityState& entity, const Scanned& row);
    asio::awaitable<void> bury_exhausted();

    // routing.cpp
    void arrive(Plan& plan);
    static std::optional<rows::NextSequence> reserve_numbers(const EntityState& entity, std::int64_t last);

    // send.cpp
    static Result<void> check_target(const EntityState& entity, Message& message);
    asio::awaitable<Result<std::vector<Message>>> store(Plan& plan, With with);

    // queueing.cpp
    std::vector<std::int64_t> take(EntityState& entity, std::uint32_t session, const Wish& wish);
    void give_back(EntityState& entity, std::int64_t sequence);
    void end_lock(const Entity& entity, std::int64_t sequence, std::vector<Doomed>& doomed);
    void dispatch(const Entity& entity, std::uint32_t session);
    void fail_waiting(EntityState& entity, const Error& why);
    void arm(std::int64_t when);

    // receive.cpp
    asio::awaitable<Result<std::vector<Delivery>>> hand_out(Taken taken, ReceiveMode mode);
    asio::awaitable<void> undo_hand_out(Taken taken);
    using Contents = std::vector<std::unique_ptr<Content>>;
    std::vector<Delivery> deliver(Taken& taken, bool remove, Contents& contents);
    void lock(Delivery& delivery, const Taken& taken, std::int64_t sequence, Content& content);
    static void fill(Delivery& delivery, const EntityState& entity, std::int64_t sequence, const Slot& slot,
                     Content& content);
    Result<std::uint32_t> session_for(EntityState& entity, const Uuid& token);

    // settle.cpp
    Result<Held> hold(const LockRef& lock);
    void finish(Held& held);
    static void grow(EntityState& entity, Slot& slot, std::int64_t bytes);
    asio::awaitable<Result<void>> bury_held(Held held, Doomed doomed);
    asio::awaitable<Result<void>> merge_properties(const Held& held, Properties properties,
                                                   std::optional<State> state);

    // dead_letters.cpp
    static Doomed exhausted_letter(EntityState& entity, std::int64_t sequence);
    asio::awaitable<Result<void>> bury(Entity entity, std::vector<Doomed> doomed);
    asio::awaitable<void> bury_here(Entity entity, std::vector<Doomed> doomed);
    asio::awaitable<Result<void>> transfer(Entity from, std::int64_t sequence, Entity to, Passage passage);
    Slot& move_slot(EntityState& from, std::int64_t sequence, EntityState& to, std::int64_t new_sequence);
    asio::awaitable<void> remove_all(Entity entity, std::vector<std::int64_t> sequences);

    // redrive.cpp
    struct Matching {
        std::vector<std::int64_t> sequences;
        std::int64_t next = 0;  ///< where to go on; 0: nothing is left
    };
    asio::awaitable<Matching> matching(Entity queue, std::int64_t from, const DeadLetterFilter& filter);
    static bool is_ready(const EntityState& queue, std::int64_t sequence);
    /// Returns at `until`, or when the engine begins to stop.
    asio::awaitable<void> sleep_unless_stopped(TimePoint until);
    asio::awaitable<void> remove_busy(Entity entity, const std::vector<std::int64_t>& sequences);
    void restore_phase(const Entity& entity, std::int64_t sequence, Phase phase);

    // values.cpp
    asio::awaitable<Result<void>> keep_values(const std::map<std::int64_t, store::FullFile>& needed);
    /// Files of large bodies that have become full are looked through soon.
    void notice_filled_values();
    bool take_sweep();
    asio::awaitable<void> sweep_values();
    asio::awaitable<void> free_value_files();
    asio::awaitable<void> move_values_together();
    std::int64_t live_bytes() const;

    // timing.cpp
    asio::awaitable<void> run();
    asio::awaitable<void> do_due();
    /// Runs `work` beside the caller; it counts as an operation from now on.
    void run_apart(asio::awaitable<void> work);
    static asio::awaitable<void> counted(std::unique_ptr<Operation> operation, asio::awaitable<void> work);
    asio::awaitable<void> until_rearmed(std::int64_t armed);
    asio::awaitable<void> forward_ready(Entity entity);
    void end_waits(std::int64_t now);
    asio::awaitable<void> tick_entity(Entity entity);
    asio::awaitable<void> expire_locks(Entity entity);
    asio::awaitable<void> expire_sessions(Entity entity);
    asio::awaitable<void> fire_timers(Entity entity);
    asio::awaitable<Result<void>> activate(Entity entity, std::vector<std::int64_t> sequences);
    asio::awaitable<void> expire_messages(Entity entity);
    asio::awaitable<void> trim_duplicates(Entity entity);
    asio::awaitable<void> bury_or_retry(Entity entity, std::vector<Doomed> doomed);
    asio::awaitable<void> bury_damaged(Entity entity, std::int64_t sequence, std::string why);
    void retry_later(EntityState& entity, const std::vector<std::int64_t>& sequences);
    void lock_for_nobody(EntityState& entity, std::int64_t sequence, Slot& slot, std::int64_t until);
    std::int64_t next_due();

    // session_locks.cpp
    Session* session_of(EntityState& entity, const Uuid& token) const;
    SessionLock lock_session(EntityState& entity, std::uint32_t number);
    std::vector<Doomed> lose_session(const Entity& entity, std::uint32_t number);
    void return_session(const Entity& entity, const SessionLock& lock);

    struct NameHash {
        using is_transparent = void;
        std::size_t operator()(std::string_view name) const noexcept;
    };
    struct NameEqual {
        using is_transparent = void;
        bool operator()(std::string_view a, std::string_view b) const noexcept;
    };

    store::Database& database_;
    Clock& clock_;
    Broker::Options options_;
    asio::any_io_executor io_;

    std::unordered_map<std::string, Entity, NameHash, NameEqual> entities_;
    std::unordered_set<std::string, NameHash, NameEqual> creating_;
    std::int64_t next_entity_ = 1;
    std::int64_t next_message_ = 1;  ///< row id
    std::int64_t next_duplicate_ = 1;  ///< row id
    Recent recent_;
    std::multimap<std::int64_t, Receiver*> receive_deadlines_;
    std::multimap<std::int64_t, Accepter*> accept_deadlines_;

    Signal stored_;  ///< a send has ended: those that wait for the fate of its message ids look again
    Signal idle_;  ///< no operation is under way
    Signal rearm_;  ///< something is due earlier than `armed_`
    std::int64_t armed_ = Slot::kForEver;
    std::int64_t sweep_due_ = Slot::kForEver;
    std::int64_t swept_ = 0;
    bool sweeping_ = false;
    std::uint64_t filled_seen_ = 0;  ///< of the files of large bodies
    std::size_t operations_ = 0;
    bool ticking_ = false;
    bool running_ = false;
    bool stopping_ = false;
};

}  // namespace millrace::broker
