// The commands. Each returns its exit code: 0 done, 1 failed; what went wrong is one line on standard error.
#pragma once

#include "app/client.hpp"
#include "app/terminal.hpp"

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace millrace::app {

struct ServeOptions {
    std::string config;
    std::string data;
    std::string listen;
    std::string amqp;
    std::string emulator_config;
    std::string workers;  ///< "on", "off" or "" for what is configured
};
int serve(const ServeOptions& options);

struct WorkOptions {
    std::string config;
    std::string data;
    std::string appsettings;
};
int work(const WorkOptions& options);

struct DemoOptions {
    bool once = false;
    std::string data;      ///< empty: a temporary folder that goes away at the end
    std::string listen;    ///< empty: 127.0.0.1:8080, or a free port if that is taken
};
int demo(const DemoOptions& options);

/// What the commands that talk to a server have in common.
struct ClientOptions {
    std::string server;
    bool json = false;
};

int quota(const ClientOptions& client);

struct IngestOptions {
    std::vector<std::string> paths;
    std::string category;
    std::string id_prefix;
    std::string tenant;
    std::string priority;  ///< "interactive", "batch" or ""
    bool wait = false;
    bool dry_run = false;
    std::size_t parallel = 8;
};
int ingest(const ClientOptions& client, const IngestOptions& options);

struct BatchRunOptions {
    std::string input;
    std::string output;
    std::string errors;  ///< empty: `output` with ".errors" behind it
    std::string config;
    std::string data;
    std::string deployment;
    bool json = false;
};
int batch_run(const BatchRunOptions& options);

struct SearchOptions {
    std::vector<std::string> words;
    std::int64_t top = 5;
    std::string mode;
    std::string category;
    std::int64_t per_document = 0;
};
int search(const ClientOptions& client, const SearchOptions& options);

struct TaskOptions {
    std::string type;
    std::string file;      ///< "" or "-": standard input
    std::string document;  ///< in place of a file
    std::vector<std::string> options;  ///< K=V
    std::string tenant;
    std::string id;
    bool wait = false;
    bool dry_run = false;
};
int task(const ClientOptions& client, const TaskOptions& options);
/// Asks until the task `id` with `operation` has ended; answers it as GET /v1/tasks/{id} does.
asio::awaitable<Result<boost::json::value>> await_task(Client& client, std::string id, std::string operation);

struct QueueOptions {
    std::string name;
    std::string state;
    std::int64_t limit = 20;
    std::string reason;
    std::string message_id;
    std::string rate;       ///< "10/s" or "10"
    bool dry_run = false;
};
int queue_list(const ClientOptions& client, const QueueOptions& options);
int queue_show(const ClientOptions& client, const QueueOptions& options);
int queue_peek(const ClientOptions& client, const QueueOptions& options);
int dead_letters_list(const ClientOptions& client, const QueueOptions& options);
int dead_letters_show(const ClientOptions& client, const QueueOptions& options);
int dead_letters_redrive(const ClientOptions& client, const QueueOptions& options);
int dead_letters_drop(const ClientOptions& client, const QueueOptions& options);

struct SimulateOptions {
    std::string listen = "127.0.0.1:8090";
    std::int64_t tokens_per_minute = 0;
    std::int64_t requests_per_minute = 0;
    std::string rule = "sliding";
    std::string window;
    std::int64_t request_window_seconds = 0;
    std::string changes;
    double foreign = 0;
    std::string latency = "0";   ///< milliseconds, or a range of them
    std::int64_t jitter_ms = 0;
    std::string faults;
    std::string filtered_word;
    std::string declined_word;
    std::string log;   ///< file
    std::string key;
    std::string model;
    std::int64_t dimensions = 1536;
    std::uint64_t seed = 1;
    bool azure = false;
};
int simulate(const SimulateOptions& options);

struct ConfigOptions {
    std::string config;
    bool json = false;
};
int config_check(const ConfigOptions& options);
int config_print(const ConfigOptions& options);
int config_reference(const ConfigOptions& options);

/// Prints "millrace: why" on standard error; answers 1.
int fail(std::string_view why);

/// Runs `work` with a client for `options` on an I/O context of its own and answers its exit code.
int with_client(const ClientOptions& options,
                const std::function<asio::awaitable<Result<int>>(Client&)>& work);

}  // namespace millrace::app
