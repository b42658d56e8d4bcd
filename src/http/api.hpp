// The product's HTTP interface: routes, callers' keys, metrics of requests. What each route does is in
// api_*.cpp.
#pragma once

#include "base/async.hpp"
#include "base/sas.hpp"
#include "batch/batches.hpp"
#include "broker/broker.hpp"
#include "http/server.hpp"
#include "index/index.hpp"
#include "provider/provider.hpp"
#include "quota/ledger.hpp"
#include "store/database.hpp"
#include "telemetry/metrics.hpp"
#include "work/documents.hpp"
#include "work/tasks.hpp"

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace millrace::http {

/// Everything that the interface answers from. All of it must outlive the Api.
struct ApiParts {
    store::Database& database;
    broker::Broker& broker;
    provider::Provider& provider;   ///< embeds queries
    index::Index& index;
    work::Documents& documents;
    work::Operations& operations;
    CpuPool& pool;
    telemetry::Metrics& metrics;
    Clock& clock;
    store::Database* shared = nullptr;   ///< where documents and operations are, if not in `database`
    work::Tasks* tasks = nullptr;  ///< null: tasks are not taken here
    batch::Files* files = nullptr;      ///< null: the routes of files and batches answer 404
    batch::Batches* batches = nullptr;  ///< null exactly where `files` is
};

struct ApiOptions {
    std::vector<std::string> api_keys;          ///< empty: no key is asked for
    std::vector<std::string> host_names;  ///< of this server beside localhost and addresses, where none is
    AccessKeys access_keys;  ///< for administration; where there are API keys, none of these means no token
    std::vector<std::string> worked_queues;  ///< queues with a worker: health watches these
    /// True while work waits for a model that is down: then it is not stuck. Empty: never.
    std::function<bool()> work_is_held;
    /// What GET /v1/quota shows; empty: no deployment has a quota.
    std::function<asio::awaitable<std::vector<quota::PageView>>()> quota;
    /// Nothing where a task can be worked on as far as its own words tell, and what it would cost; both there
    /// if tasks are taken.
    std::function<Result<void>(const work::NewTask&)> check_task;
    std::function<asio::awaitable<Result<work::TaskEstimate>>(work::NewTask)> estimate_task;
    /// What a document would cost; there if documents are worked on.
    std::function<asio::awaitable<work::DocumentEstimate>(work::NewDocument)> estimate_document;
    /// What a dead letter would cost if it were worked on again, by name of its queue; none where no handler
    /// of this program works on the queue.
    std::map<std::string, std::function<asio::awaitable<work::LetterEstimate>(broker::Message)>>
        estimate_letter;
    /// What waits for each deployment before `quota` sees it; may be empty.
    std::function<asio::awaitable<work::Backlog>()> backlog;
    index::Fusion fusion = index::Fusion::score;
    double keyword_weight = 0.7;
    Duration stuck_after = std::chrono::minutes(5);
};

/// Answers requests. All calls on the I/O thread.
class Api {
  public:
    Api(asio::any_io_executor io, ApiParts parts, ApiOptions options);
    ~Api();
    Api(const Api&) = delete;

    /// The function for `Server::start`; valid as long as this Api.
    Handler handler();
    /// For `Spool::bytes_max`: uploads of callers that may make them go to a file.
    std::optional<std::size_t> upload_bytes_max(const Request& head) const;

    /// Begins to look after stuck work. `stop` ends that and redrives under way; a second stop is harmless.
    void start();
    void stop();

    /// What /readyz answers: false at first and while draining.
    void set_ready(bool ready) noexcept;
    /// Called before metrics are served, to bring in what other parts count.
    void on_collect(std::function<void(telemetry::Metrics&)> collect);

    struct State;

  private:
    std::shared_ptr<State> state_;
};

}  // namespace millrace::http
