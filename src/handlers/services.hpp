// What the handlers work with, and what every one of them does around its own work.
#pragma once

#include "base/async.hpp"
#include "base/task_group.hpp"
#include "index/index.hpp"
#include "provider/provider.hpp"
#include "quota/spend.hpp"
#include "store/blobs.hpp"
#include "store/database.hpp"
#include "text/tokens.hpp"
#include "work/documents.hpp"
#include "work/outcome.hpp"

#include <functional>
#include <memory>
#include <random>
#include <string>

namespace millrace::handlers {

namespace asio = boost::asio;

struct TaskParts;

/// What the handlers report to telemetry; every function may be empty.
struct Observer {
    std::function<void(const std::string& category, Duration since_accepted)> document_processed;
    std::function<void(const std::string& reason, const std::string& status)> document_failed;
    std::function<void(const std::string& category, double seconds)> embedding_took;
    std::function<void(const std::string& stage, double seconds)> stage_took;
    std::function<void(const std::string& type, bool succeeded)> task_ended;
};

/// Owned by `app`; outlives every handler. All on the I/O thread.
struct Services {
    TaskGroup& tasks;  ///< for what may follow after a handler has answered
    store::Database& database;
    store::Blobs& blobs;
    CpuPool& pool;
    Clock& clock;
    index::Index& index;
    provider::Provider& provider;
    work::Documents& documents;
    work::Operations& operations;
    /// Counts tokens for chunking; none: estimated from characters.
    std::shared_ptr<const text::TokenCounter> tokens;
    Observer observer;
    std::minstd_rand random{std::random_device{}()};
    /// Of the handler of tasks; null: none runs here.
    const TaskParts* task_parts = nullptr;
    std::string deployment = {};  ///< name of `provider`'s
    quota::Price price = {};      ///< of that

    double jitter() { return std::uniform_real_distribution<double>(0, 1)(random); }
    std::string model_key() const {
        const auto& model = provider.model();
        return model.name + "/" + std::to_string(model.dimensions);
    }
};

/// One delivery of the pipeline and the version it is about.
struct Job {
    broker::Delivery delivery;
    work::VersionRef version;
};

/// The work of one stage on a version that is still the newest.
using Stage = std::function<asio::awaitable<work::Outcome>(Services&, Job)>;

/// What becomes of a message that another producer has put into the queue.
enum class Adoption {
    by_resending,  ///< it goes back into the queue as a message of the pipeline, in one transaction
    in_place,      ///< it is worked on as it is: its queue is not of this database
};

/// A handler around `stage`: drops work for versions that were superseded or deleted, notes failed attempts
/// and final failures in the operation, and wakes those who wait for it. What a failed version staged stays:
/// a redrive goes on from there without paying again.
work::Handler make_stage_handler(Services& services, std::string name, Stage stage,
                                 Adoption adoption = Adoption::by_resending);

/// On whose behalf a call for `message` is made.
provider::CallContext context_for(const broker::Message& message);

/// True if `version` is still the newest of its document.
asio::awaitable<bool> is_newest(Services& services, work::VersionRef version);

/// Ends work for a version that is not the newest any more: nothing of it stays.
asio::awaitable<work::Outcome> drop(Services& services, work::VersionRef version);
/// The staged passages of a version are not there: dropped if it is not the newest any more, else a dead
/// letter.
asio::awaitable<work::Outcome> gone(Services& services, work::VersionRef version);
/// Adds what a failed delivery has cost all the same.
asio::awaitable<void> note_tokens(Services& services, work::VersionRef version, provider::Usage usage);

/// Notes the end of one branch. In a transaction: `finish` answers whether the version is ready now and which
/// blobs it needs no more; `after` is for when that is durable.
struct Finish {
    bool ready = false;
    std::vector<std::string> blobs;
};
Finish finish_part(store::Connection& connection, const work::VersionRef& version, work::Part part,
                   TimePoint now);
void after_finish(Services& services, const work::VersionRef& version, const std::string& category,
                  const Finish& finish);

/// Puts `bytes` into the blob store on the CPU pool; answers the name.
asio::awaitable<std::string> put_blob(Services& services, std::string bytes);
/// The blob's bytes. not_found: it is gone.
asio::awaitable<Result<std::string>> get_blob(Services& services, std::string name);

}  // namespace millrace::handlers
