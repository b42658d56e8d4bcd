#include "app/main.hpp"

#include "app/commands.hpp"
#include "base/nearest.hpp"

#include <CLI/CLI.hpp>

#include <cstdio>
#include <functional>

namespace millrace::app {

namespace {

constexpr int kWrongUsage = 2;

/// The options of all commands, and the command that was chosen.
struct CommandLine {
    ServeOptions serve;
    WorkOptions work;
    DemoOptions demo;
    ClientOptions client;
    IngestOptions ingest;
    SearchOptions search;
    TaskOptions task;
    QueueOptions queue;
    SimulateOptions simulate;
    BatchRunOptions batch;
    ConfigOptions config;
    std::function<int()> chosen;
};

CLI::App* add_command(CLI::App& parent, const std::string& name, const std::string& help, CommandLine& line,
                      std::function<int()> run) {
    CLI::App* command = parent.add_subcommand(name, help);
    command->callback([&line, run = std::move(run)] { line.chosen = run; });
    return command;
}

void add_client_options(CLI::App* command, CommandLine& line) {
    command->add_option("--server", line.client.server,
                        "URL of the server (MILLRACE_URL; http://127.0.0.1:8080)");
    command->add_flag("--json", line.client.json, "print JSON");
}

void add_servers(CLI::App& app, CommandLine& line) {
    CLI::App* demo_command = add_command(app, "demo", "a server with sample documents and three searches",
                                         line, [&line] { return demo(line.demo); });
    demo_command->add_flag("--once", line.demo.once, "exit instead of serving on");
    demo_command->add_option("--data", line.demo.data, "keep the data in this folder");
    demo_command->add_option("--listen", line.demo.listen, "host:port (127.0.0.1:8080, or a free port)");

    CLI::App* serve_command =
        add_command(app, "serve", "everything in one process", line, [&line] { return serve(line.serve); });
    serve_command->add_option("--config", line.serve.config,
                              "configuration file (millrace.toml if there is one)");
    serve_command->add_option("--data", line.serve.data, "folder of the database (./millrace-data)");
    serve_command->add_option("--listen", line.serve.listen, "host:port of HTTP (127.0.0.1:8080)");
    serve_command->add_option("--amqp", line.serve.amqp, "host:port of AMQP (127.0.0.1:5672)");
    serve_command->add_option("--emulator-config", line.serve.emulator_config,
                              "Config.json of Microsoft's Service Bus emulator");

    serve_command->add_option("--workers", line.serve.workers, "off: documents wait for others' workers")
        ->check(CLI::IsMember({"on", "off"}));

    CLI::App* work_command = add_command(app, "work", "workers only, against a remote queue", line,
                                         [&line] { return work(line.work); });
    work_command->add_option("--config", line.work.config,
                             "configuration file (millrace.toml if there is one)");
    work_command->add_option("--data", line.work.data, "folder of the database (./millrace-data)");
    work_command->add_option("--appsettings", line.work.appsettings,
                             "appsettings.json of a .NET worker: AzureServiceBus, AzureOpenAI, AzureSearch");
}

void add_simulate(CLI::App& app, CommandLine& line) {
    SimulateOptions& simulate_options = line.simulate;
    CLI::App* simulate_command =
        add_command(app, "simulate", "an OpenAI-compatible provider with a quota and faults", line,
                    [&line] { return simulate(line.simulate); });
    simulate_command->add_option("--listen", simulate_options.listen, "host:port (127.0.0.1:8090)");
    simulate_command
        ->add_option("--tpm", simulate_options.tokens_per_minute, "tokens per minute; 0: no limit")
        ->check(CLI::NonNegativeNumber);
    simulate_command
        ->add_option("--rpm", simulate_options.requests_per_minute, "requests per minute; 0: no limit")
        ->check(CLI::NonNegativeNumber);
    simulate_command
        ->add_option("--rule", simulate_options.rule, "what counts against the quota: sliding, openai, azure")
        ->check(CLI::IsMember({"sliding", "openai", "azure"}));
    simulate_command
        ->add_option("--window", simulate_options.window,
                     "a minute is: sliding, fixed, bucket; default: as the rule has it")
        ->check(CLI::IsMember({"sliding", "fixed", "bucket"}));
    simulate_command
        ->add_option("--request-window", simulate_options.request_window_seconds,
                     "seconds, 1 to 60, in which --rpm holds as well; azure: 10")
        ->check(CLI::Range(1, 60));
    simulate_command->add_option("--change", simulate_options.changes,
                                 "a quota that changes, e.g. 300s:tpm=50000,10m:rpm=60");
    simulate_command
        ->add_option("--foreign", simulate_options.foreign, "share of the quota that somebody else uses up")
        ->check(CLI::Range(0.0, 1.0));
    simulate_command->add_option("--latency", simulate_options.latency,
                                 "milliseconds before each answer, or a range: 200-2000");
    simulate_command->add_option("--jitter", simulate_options.jitter_ms, "up to this many milliseconds more")
        ->check(CLI::NonNegativeNumber);
    simulate_command->add_option("--fault", simulate_options.faults,
                                 "e.g. 429:0.05,timeout:0.01 or first:2:503");
    simulate_command->add_option("--filter", simulate_options.filtered_word,
                                 "a word that the content filter stops");
    simulate_command->add_option("--decline", simulate_options.declined_word,
                                 "a word whose prompts the model declines");
    simulate_command->add_option("--log", simulate_options.log, "file for a line of JSON on every decision");
    simulate_command->add_option("--key", simulate_options.key, "API key to ask for");
    simulate_command->add_option("--model", simulate_options.model,
                                 "a model to serve beside OpenAI's; it embeds and completes");
    simulate_command->add_option("--dimensions", simulate_options.dimensions, "length of its vectors (1536)")
        ->check(CLI::Range(1, 4096));
    simulate_command->add_option("--seed", simulate_options.seed, "of faults and jitter");
    simulate_command->add_flag("--azure", simulate_options.azure,
                               "answer as Azure OpenAI does on every route");
}

void add_documents(CLI::App& app, CommandLine& line) {
    CLI::App* ingest_command = add_command(app, "ingest", "upload files and folders", line,
                                           [&line] { return ingest(line.client, line.ingest); });
    ingest_command->add_option("PATH", line.ingest.paths, "files and folders")->required();
    ingest_command->add_option("--category", line.ingest.category, "category of the documents");
    ingest_command->add_option("--id-prefix", line.ingest.id_prefix,
                               "ids = this and the path below PATH (absolute path)");
    ingest_command->add_option("--tenant", line.ingest.tenant, "for whom it is done");
    ingest_command
        ->add_option("--priority", line.ingest.priority, "interactive, or batch: it may take its time")
        ->check(CLI::IsMember({"interactive", "batch"}));
    CLI::Option* wait =
        ingest_command->add_flag("--wait", line.ingest.wait, "until each is searchable or has failed");
    ingest_command->add_flag("--dry-run", line.ingest.dry_run, "say what it would cost, accept nothing")
        ->excludes(wait);
    ingest_command->add_option("--parallel", line.ingest.parallel, "files at once (8)")
        ->check(CLI::Range(1, 64));
    add_client_options(ingest_command, line);

    CLI::App* search_command = add_command(app, "search", "ask the documents", line,
                                           [&line] { return search(line.client, line.search); });
    search_command->add_option("QUERY", line.search.words, "words or a question")->required();
    search_command->add_option("--top", line.search.top, "results (5)")->check(CLI::Range(1, 1000));
    search_command->add_option("--mode", line.search.mode, "hybrid, vector or keyword")
        ->check(CLI::IsMember({"hybrid", "vector", "keyword"}));
    search_command->add_option("--category", line.search.category, "only documents of this category");
    search_command
        ->add_option("--per-document", line.search.per_document, "at most this many passages of a document")
        ->check(CLI::Range(1, 1000));
    add_client_options(search_command, line);
}

void add_tasks(CLI::App& app, CommandLine& line) {
    TaskOptions& options = line.task;
    CLI::App* command = add_command(app, "task", "one AI job on a text", line,
                                    [&line] { return task(line.client, line.task); });
    command
        ->add_option("TYPE", options.type,
                     "summarize, classify, entities, sentiment, embed, analyze, or one of [[tasks]]")
        ->required();
    command->add_option("FILE", options.file, "text file; - or none: standard input");
    command->add_option("--document", options.document, "id of a document in place of a file");
    command->add_option("--option", options.options, "NAME=VALUE, e.g. maxWords=50, labels=good,bad");
    command->add_option("--tenant", options.tenant, "for whom it is done");
    command->add_option("--id", options.id, "the same id is worked on once");
    command->add_flag("--wait", options.wait, "until it is done, and print the result");
    command->add_flag("--dry-run", options.dry_run, "say what it would cost, accept nothing");
    add_client_options(command, line);
}

void add_batches(CLI::App& app, CommandLine& line) {
    CLI::App* batch = app.add_subcommand("batch", "files of OpenAI requests")->require_subcommand(1);
    CLI::App* run =
        add_command(*batch, "run", "ask for every line of a file; again after a kill: only the rest", line,
                    [&line] { return batch_run(line.batch); });
    run->add_option("IN", line.batch.input, "requests, one a line, as OpenAI's Batch API takes them")
        ->required();
    run->add_option("--out", line.batch.output, "file of the results")->required();
    run->add_option("--errors", line.batch.errors, "file of what failed (that of --out with .errors)");
    run->add_option("--config", line.batch.config, "configuration file (millrace.toml if there is one)");
    run->add_option("--data", line.batch.data, "folder of the database (./millrace-data)");
    run->add_option("--deployment", line.batch.deployment, "asks this one, whatever model the lines name");
    run->add_flag("--json", line.batch.json, "print JSON");
}

using QueueCommand = int (*)(const ClientOptions&, const QueueOptions&);

CLI::App* add_queue_command(CLI::App& parent, const std::string& name, const std::string& help,
                            CommandLine& line, QueueCommand run, bool named) {
    CLI::App* command =
        add_command(parent, name, help, line, [&line, run] { return run(line.client, line.queue); });
    if (named) command->add_option("QUEUE", line.queue.name, "name of the queue")->required();
    add_client_options(command, line);
    return command;
}

void add_queues(CLI::App& app, CommandLine& line) {
    CLI::App* queue = app.add_subcommand("queue", "what the queues hold")->require_subcommand(1);
    add_queue_command(*queue, "list", "all queues", line, queue_list, false);
    add_queue_command(*queue, "show", "one queue", line, queue_show, true);
    CLI::App* peek = add_queue_command(*queue, "peek", "messages of a queue", line, queue_peek, true);
    peek->add_option("--state", line.queue.state, "active, deferred, scheduled or deadLettered");
    peek->add_option("--limit", line.queue.limit, "messages (20)")->check(CLI::Range(1, 100));

    CLI::App* dead =
        app.add_subcommand("dlq", "dead letters: what failed, and what to do")->require_subcommand(1);
    add_queue_command(*dead, "list", "queues with dead letters", line, dead_letters_list, false);
    CLI::App* show =
        add_queue_command(*dead, "show", "dead letters of a queue and why", line, dead_letters_show, true);
    show->add_option("--reason", line.queue.reason, "only those with this reason");
    show->add_option("--limit", line.queue.limit, "messages (20)")->check(CLI::Range(1, 100));
    CLI::App* redrive =
        add_queue_command(*dead, "redrive", "give them back to work", line, dead_letters_redrive, true);
    redrive->add_option("--rate", line.queue.rate, "at most so many a second, e.g. 10/s");
    CLI::App* drop = add_queue_command(*dead, "drop", "delete them", line, dead_letters_drop, true);
    for (CLI::App* command : {redrive, drop}) {
        command->add_option("--reason", line.queue.reason, "only those with this reason");
        command->add_option("--message-id", line.queue.message_id, "only this one");
        command->add_flag("--dry-run", line.queue.dry_run,
                          "say how many and what it would cost, change nothing");
    }
}

void add_quota(CLI::App& app, CommandLine& line) {
    CLI::App* command = add_command(app, "quota", "what each deployment allows, and how much of it is used",
                                    line, [&line] { return quota(line.client); });
    add_client_options(command, line);
}

void add_config(CLI::App& app, CommandLine& line) {
    CLI::App* config = app.add_subcommand("config", "the configuration")->require_subcommand(1);
    struct Row {
        const char* name;
        const char* help;
        int (*run)(const ConfigOptions&);
    };
    const Row rows[] = {{"check", "is it right", config_check},
                        {"print", "what is in force", config_print},
                        {"reference", "every key, as Markdown", config_reference}};
    for (const Row& row : rows) {
        CLI::App* command = add_command(*config, row.name, row.help, line,
                                        [&line, run = row.run] { return run(line.config); });
        command->add_option("--config", line.config.config,
                            "configuration file (millrace.toml if there is one)");
        command->add_flag("--json", line.config.json, "print JSON");
    }
}

/// The command that a wrong first word most likely meant.
std::string command_hint(const CLI::App& app, int argc, char** argv) {
    if (argc < 2 || argv[1][0] == '-') return {};
    std::vector<std::string> names;
    for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; }))
        names.push_back(command->get_name());
    if (std::find(names.begin(), names.end(), argv[1]) != names.end()) return {};
    const std::vector<std::string_view> known(names.begin(), names.end());
    return "there is no command \"" + one_line(argv[1]) + "\"" + hint(argv[1], known);
}

int wrong_usage(const CLI::App& app, const CLI::ParseError& error, int argc, char** argv) {
    const std::string meant = command_hint(app, argc, argv);
    fail((meant.empty() ? std::string(error.what()) : meant) + "; see millrace --help");
    return kWrongUsage;
}

}  // namespace

int run(int argc, char** argv) {
    CommandLine line;
    CLI::App app(
        "Millrace takes AI work off the request path: documents in, safe on disk, searchable soon after.",
        "millrace");
    app.set_version_flag("--version", "millrace " MILLRACE_VERSION);
    app.require_subcommand(1);
    add_servers(app, line);
    add_simulate(app, line);
    add_documents(app, line);
    add_tasks(app, line);
    add_queues(app, line);
    add_quota(app, line);
    add_batches(app, line);
    add_config(app, line);
    try {
        app.parse(argc, argv);
    } catch (const CLI::Success& asked) {
        return app.exit(asked);
    } catch (const CLI::ParseError& error) {
        return wrong_usage(app, error, argc, argv);
    }
    try {
        return line.chosen();
    } catch (const std::exception& error) {
        return fail(error.what());
    }
}

}  // namespace millrace::app
