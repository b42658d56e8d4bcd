// millrace simulate: a provider to rehearse with.
#include "app/commands.hpp"
#include "app/configuration.hpp"
#include "app/lifetime.hpp"
#include "app/places.hpp"
#include "app/run_to_end.hpp"
#include "http/simulator.hpp"
#include "text/tokens.hpp"

#include <boost/asio/io_context.hpp>

#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <functional>
#include <map>
#include <memory>

namespace millrace::app {

namespace {

using Counters = std::map<std::string, std::shared_ptr<const text::TokenCounter>, std::less<>>;

/// Counts by the models' own ranks, where they are on this machine.
std::function<std::size_t(std::string_view, std::string_view)> token_counter() {
    auto counters = std::make_shared<Counters>();
    for (const std::string encoding : {"cl100k_base", "o200k_base"}) {
        const std::string file = encoding + ".tiktoken";
        const auto folder = find_asset(file);
        if (!folder) continue;
        const auto counter = text::TokenCounter::load(encoding, *folder / file);
        if (counter) counters->emplace(encoding, *counter);
    }
    return [counters](std::string_view model, std::string_view text) {
        const auto found = counters->find(text::encoding_for_model(model));
        return found == counters->end() ? text::estimate_tokens(text) : found->second->count(text);
    };
}

/// "200" or "200-2000", in milliseconds, as the least and what comes on top.
Result<std::pair<Duration, Duration>> parse_latency(const std::string& text) {
    const std::size_t dash = text.find('-');
    std::int64_t least = 0, most = 0;
    const char* const end = text.data() + text.size();
    const char* const middle = dash == std::string::npos ? end : text.data() + dash;
    const auto first = std::from_chars(text.data(), middle, least);
    bool good = first.ec == std::errc() && first.ptr == middle;
    most = least;
    if (good && middle != end) {
        const auto second = std::from_chars(middle + 1, end, most);
        good = second.ec == std::errc() && second.ptr == end;
    }
    if (!good || least < 0 || most < least || most > 3'600'000)
        return Error{Errc::invalid_input, "--latency: '" + text + "' is neither MS nor MS-MS"};
    return std::pair(Duration(least), Duration(most - least));
}

Result<http::QuotaOptions> quota_options(const SimulateOptions& options) {
    const auto rule = http::parse_quota_rule(options.rule);
    if (!rule) return Error{rule.error().code, "--rule: " + rule.error().detail};
    const auto window = http::parse_window_kind(options.window);
    if (!window) return Error{window.error().code, "--window: " + window.error().detail};
    auto changes = http::parse_quota_changes(options.changes);
    if (!changes) return Error{changes.error().code, "--change: " + changes.error().detail};
    http::QuotaOptions quota;
    quota.rule = *rule;
    quota.window = *window;
    quota.request_window = std::chrono::seconds(options.request_window_seconds);
    quota.tokens_per_minute = options.tokens_per_minute;
    quota.requests_per_minute = options.requests_per_minute;
    quota.changes = std::move(*changes);
    quota.foreign = options.foreign;
    return quota;
}

/// Appends each line to `path` at once, so that it is there when the simulator is killed.
Result<std::function<void(const std::string&)>> make_log(const std::string& path) {
    if (path.empty()) return std::function<void(const std::string&)>();
    const std::shared_ptr<std::FILE> file(std::fopen(path.c_str(), "ae"), [](std::FILE* opened) {
        if (opened) std::fclose(opened);
    });
    if (!file) return Error{Errc::invalid_input, "--log: " + path + ": " + std::strerror(errno)};
    return std::function<void(const std::string&)>([file](const std::string& line) {
        std::fwrite(line.data(), 1, line.size(), file.get());
        std::fflush(file.get());
    });
}

Result<http::SimulatorOptions> simulator_options(const SimulateOptions& options) {
    auto quota = quota_options(options);
    if (!quota) return quota.error();
    const auto latency = parse_latency(options.latency);
    if (!latency) return latency.error();
    auto log = make_log(options.log);
    if (!log) return log.error();
    http::SimulatorOptions made;
    made.key = options.key;
    made.model = options.model;
    made.dimensions = static_cast<std::size_t>(options.dimensions);
    made.quota = std::move(*quota);
    made.latency = latency->first;
    made.latency_jitter = latency->second + Duration(options.jitter_ms);
    made.faults = options.faults;
    made.seed = options.seed;
    made.azure = options.azure;
    made.filtered_word = options.filtered_word;
    made.declined_word = options.declined_word;
    made.count_tokens = token_counter();
    made.log = std::move(*log);
    return made;
}

asio::awaitable<void> run_until_signal(asio::io_context& io, SimulateOptions options, int& exit_code) {
    StopSignal stop(io.get_executor());
    SystemClock clock;
    auto wanted = simulator_options(options);
    if (!wanted) {
        exit_code = fail(wanted.error().detail);
        co_return;
    }
    auto simulator = http::Simulator::make(clock, std::move(*wanted));
    const auto address = parse_address(options.listen);
    if (!simulator || !address) {
        exit_code = fail(!simulator ? simulator.error().detail : "--listen: " + address.error().detail);
        co_return;
    }
    http::ServerOptions server_options;
    server_options.address = address->host;
    server_options.port = address->port;
    auto server = http::Server::start(io.get_executor(), std::move(server_options), (*simulator)->handler());
    if (!server) {
        exit_code = fail(server.error().detail);
        co_return;
    }
    std::printf("simulating an OpenAI-compatible provider on http://%s:%u/v1\n", address->host.c_str(),
                static_cast<unsigned>((*server)->port()));
    std::fflush(stdout);
    (void)co_await stop.wait();
    co_await (*server)->stop(std::chrono::seconds(2));
    const auto& stats = (*simulator)->stats();
    std::printf("%s calls, %s answered, %s tokens, %s throttled, %s faults\n",
                count_text(stats.calls).c_str(), count_text(stats.answered).c_str(),
                count_text(stats.tokens).c_str(), count_text(stats.throttled).c_str(),
                count_text(stats.faults).c_str());
}

}  // namespace

int simulate(const SimulateOptions& options) {
    asio::io_context io(1);
    int exit_code = 0;
    run_to_end(io, run_until_signal(io, options, exit_code));
    return exit_code;
}

}  // namespace millrace::app
