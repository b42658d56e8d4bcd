// millrace batch run: OpenAI batch lines under the quota, resumable.
#include "app/batch_runner.hpp"
#include "app/commands.hpp"
#include "app/lifetime.hpp"
#include "app/progress.hpp"

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include <cstdio>

namespace millrace::app {

namespace json = boost::json;

namespace {

constexpr std::size_t kListed = 20;

void print_problems(const BatchRunner& runner, const std::string& input) {
    const auto& problems = runner.problems();
    for (std::size_t i = 0; i < problems.size() && i < kListed; ++i) {
        const std::string place =
            problems[i].line > 0 ? input + ":" + std::to_string(problems[i].line) : input;
        std::fprintf(stderr, "%s: %s: %s\n", place.c_str(), problems[i].code.c_str(),
                     one_line(problems[i].message).c_str());
    }
}

void update(Progress& progress, const BatchRunner& runner) {
    const batch::RunCounts& counts = runner.counts();
    progress.row(0).done = static_cast<std::uint64_t>(counts.completed + counts.failed);
    progress.row(0).failed = static_cast<std::uint64_t>(counts.failed);
    progress.show();
}

void print_summary(const BatchRunner& runner, const BatchRunOptions& options, double seconds) {
    const batch::RunCounts& counts = runner.counts();
    if (options.json) {
        const json::object body{{"lines", runner.lines()},
                                {"completed", counts.completed},
                                {"failed", counts.failed},
                                {"deployment", runner.deployment()},
                                {"output", options.output},
                                {"errors", options.errors},
                                {"promptTokens", counts.usage.prompt_tokens},
                                {"completionTokens", counts.usage.completion_tokens},
                                {"seconds", seconds}};
        std::puts(json::serialize(body).c_str());
        return;
    }
    std::string line =
        counted(static_cast<std::uint64_t>(counts.completed), "result") + " in " + options.output;
    if (counts.failed > 0)
        line +=
            "; " + counted(static_cast<std::uint64_t>(counts.failed), "failure") + " in " + options.errors;
    const auto tokens =
        static_cast<std::uint64_t>(counts.usage.prompt_tokens + counts.usage.completion_tokens);
    std::puts((line + "; " + count_text(tokens) + " tokens, " + time_text(seconds)).c_str());
}

/// Interrupts the run at the first signal.
asio::awaitable<void> watch_signals(std::shared_ptr<StopSignal> stop, BatchRunner* runner) {
    const bool asked = co_await stop->wait();
    if (asked) co_await runner->interrupt();
}

asio::awaitable<Result<int>> run_lines(BatchRunner& runner, const BatchRunOptions& options) {
    auto started = co_await runner.start();
    if (!started) co_return started.error();
    if (!runner.problems().empty()) {
        print_problems(runner, options.input);
        co_return Error{Errc::invalid_input,
                        counted(static_cast<std::uint64_t>(runner.problems_total()), "problem") + " in " +
                            options.input + "; nothing was sent"};
    }
    for (const std::string& notice : runner.notices())
        std::fprintf(stderr, "millrace: %s\n", one_line(notice).c_str());
    const auto start = std::chrono::steady_clock::now();
    const asio::any_io_executor io = co_await asio::this_coro::executor;
    const auto stop = std::make_shared<StopSignal>(io);
    spawn(io, watch_signals(stop, &runner));
    Terminal terminal = Terminal::detect();
    if (options.json) terminal.moving = false;
    Result<batch::RunEnd> end = batch::RunEnd::stopped;
    {
        std::vector<ProgressRow> rows = {
            {"answered", "lines", 0, static_cast<std::uint64_t>(runner.lines())}};
        Progress progress(terminal, options.json ? stderr : stdout, std::move(rows));
        std::function<void()> tell = [&progress, &runner] { update(progress, runner); };
        update(progress, runner);
        auto running = runner.run(std::move(tell));
        end = co_await std::move(running);
        update(progress, runner);
    }
    stop->cancel();
    if (!end) co_return end.error();
    const std::chrono::duration<double> time = std::chrono::steady_clock::now() - start;
    print_summary(runner, options, time.count());
    if (*end != batch::RunEnd::complete)
        co_return Error{Errc::unavailable, "interrupted; run it again and only the rest is sent"};
    co_return runner.counts().failed > 0 ? 1 : 0;
}

asio::awaitable<void> run_all(asio::io_context& io, const Configuration& configuration,
                              const BatchRunOptions& options, int& exit_code) {
    SystemClock clock;
    BatchRunner runner(io.get_executor(), clock, configuration,
                       {options.input, options.output, options.errors, options.deployment});
    std::exception_ptr broken;
    try {
        auto running = run_lines(runner, options);
        const auto outcome = co_await std::move(running);
        exit_code = outcome ? *outcome : fail(outcome.error().detail);
    } catch (...) {
        broken = std::current_exception();
    }
    co_await runner.stop();
    if (broken) std::rethrow_exception(broken);
}

}  // namespace

int batch_run(const BatchRunOptions& given) {
    BatchRunOptions options = given;
    if (options.errors.empty()) options.errors = options.output + ".errors";
    Environment environment = process_environment();
    if (!options.data.empty()) environment["MILLRACE_SERVER__DATA_DIR"] = options.data;
    const std::optional<std::filesystem::path> file =
        options.config.empty() ? std::nullopt : std::optional<std::filesystem::path>(options.config);
    const LoadedConfiguration loaded = load_configuration(file, environment);
    if (!loaded.problems.empty()) return fail(first_problem(loaded).detail);
    configure_log(loaded.configuration.telemetry);
    survive_file_size_limit();
    asio::io_context io(1);
    int exit_code = 1;
    run_to_end(io, run_all(io, loaded.configuration, options, exit_code));
    // Nothing failed: nobody looks for an empty file.
    std::error_code ignored;
    if (std::filesystem::file_size(options.errors, ignored) == 0)
        std::filesystem::remove(options.errors, ignored);
    return exit_code;
}

}  // namespace millrace::app
