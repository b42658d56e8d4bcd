#include "app/batch_runner.hpp"

#include "app/batch_targets.hpp"
#include "app/model.hpp"
#include "app/state.hpp"
#include "base/deep_json.hpp"
#include "base/ids.hpp"
#include "telemetry/metrics.hpp"

#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>

namespace millrace::app {

namespace json = boost::json;

namespace {

constexpr std::int64_t kLinesMax = 100'000'000;  // eight bytes each while they are checked

/// What an input is known by: its results carry it.
struct InputFacts {
    std::string run;
    std::string endpoint;
};

/// Reads all of it: results of another input, or of one that was changed, are not taken for its own.
Result<InputFacts> look_at(const std::string& path) {
    auto reader = batch::LineReader::open(path);
    if (!reader) return reader.error();
    InputFacts facts;
    std::string digest;
    batch::Line line;
    while ((*reader)->next(line)) {
        digest = sha256(digest + line.text);
        if (!facts.endpoint.empty() || line.too_long) continue;
        boost::system::error_code bad;
        const json::value value = json::parse(line.text, bad, {}, kDeepJson);
        const json::object* object = bad ? nullptr : value.if_object();
        const json::value* url = object == nullptr ? nullptr : object->if_contains("url");
        if (url != nullptr && url->is_string()) facts.endpoint = batch::normal_endpoint(url->get_string());
    }
    facts.run = sha256_hex(digest).substr(0, 16);
    return facts;
}

Error at(const std::string& file, const Error& error) {
    const bool other = error.code == Errc::corrupt;
    return {error.code, other ? error.detail +
                                    "; it has results of another input, or the input was changed: "
                                    "choose another name than " +
                                    file + ", or remove it"
                              : error.detail};
}

}  // namespace

/// In the order in which it is built; destroyed in the opposite order.
class BatchRunner::Parts {
  public:
    Parts(asio::any_io_executor executor, Clock& time, Configuration loaded, BatchRunnerOptions chosen)
        : io(std::move(executor)),
          clock(time),
          configuration(std::move(loaded)),
          options(std::move(chosen)) {}

    asio::awaitable<Result<void>> start() {
        auto opened = open_state(io, configuration);
        if (!opened) co_return opened.error();
        state = std::move(*opened);
        const ModelsBase base{state.records(), *state.pool, clock, metrics};
        auto made = Models::make(io, configuration, base);
        if (!made) co_return made.error();
        models = std::move(*made);
        targets = batch_targets(*models, configuration);
        auto checked = co_await check();
        if (!checked || !validation.problems.empty()) co_return checked;
        target = batch::find_target(targets, validation.deployment);
        if (const auto model = models->find(target->name); model && !(*model)->notice.empty())
            notices.push_back((*model)->notice);
        batch::RunPaths paths{options.input, options.output, options.errors};
        batch::RunOptions run_options;
        run_options.id = facts.run;
        run_options.endpoint = facts.endpoint;
        run_options.stop_when_refused = true;
        auto opening =
            batch::Run::open(io, *state.pool, clock, *target, std::move(paths), std::move(run_options));
        auto ready = co_await std::move(opening);
        if (!ready) co_return at(options.output, ready.error());
        run = std::move(*ready);
        co_return Result<void>();
    }

    asio::awaitable<Result<void>> check() {
        if (!options.deployment.empty()) {
            const auto model = models->find(options.deployment);
            if (!model) co_return Error{model.error().code, "--deployment: " + model.error().detail};
        }
        auto look = [path = options.input] { return std::optional<Result<InputFacts>>(look_at(path)); };
        auto looked = co_await state.pool->run(std::move(look));
        if (!*looked) co_return looked->error();
        facts = **looked;
        if (facts.endpoint.empty()) facts.endpoint = "/v1/embeddings";
        batch::ValidateOptions how;
        how.endpoint = facts.endpoint;
        how.deployment = options.deployment;
        how.deployment_wins = !options.deployment.empty();
        how.lines_max = kLinesMax;
        auto read = [this, how] {
            return std::optional<Result<batch::Validation>>(batch::validate(options.input, targets, how));
        };
        auto validated = co_await state.pool->run(std::move(read));
        if (!*validated) co_return validated->error();
        validation = std::move(**validated);
        co_return Result<void>();
    }

    asio::awaitable<void> stop() {
        if (models) co_await models->stop_waiting();
        run.reset();
        if (state.pool) state.pool->stop();
        if (models) co_await models->stop();
        state.stop_databases();
    }

    asio::any_io_executor io;
    Clock& clock;
    Configuration configuration;
    BatchRunnerOptions options;
    telemetry::Metrics metrics;
    State state;
    std::unique_ptr<Models> models;
    batch::Targets targets;
    InputFacts facts;
    batch::Validation validation;
    const batch::Target* target = nullptr;
    std::unique_ptr<batch::Run> run;
    batch::RunCounts none;
    std::vector<std::string> notices;
};

BatchRunner::BatchRunner(asio::any_io_executor io, Clock& clock, Configuration configuration,
                         BatchRunnerOptions options)
    : parts_(std::make_unique<Parts>(std::move(io), clock, std::move(configuration), std::move(options))) {}

BatchRunner::~BatchRunner() = default;

asio::awaitable<Result<void>> BatchRunner::start() { return parts_->start(); }

const std::vector<batch::LineProblem>& BatchRunner::problems() const noexcept {
    return parts_->validation.problems;
}
std::int64_t BatchRunner::problems_total() const noexcept { return parts_->validation.problems_total; }
std::int64_t BatchRunner::lines() const noexcept { return parts_->validation.lines; }
const std::string& BatchRunner::deployment() const noexcept { return parts_->validation.deployment; }
const std::vector<std::string>& BatchRunner::notices() const noexcept { return parts_->notices; }

const batch::RunCounts& BatchRunner::counts() const noexcept {
    return parts_->run ? parts_->run->counts() : parts_->none;
}

asio::awaitable<Result<batch::RunEnd>> BatchRunner::run(std::function<void()> tell) {
    parts_->run->on_progress(std::move(tell));
    const batch::RunEnd end = co_await parts_->run->execute();
    parts_->run->on_progress({});
    if (end == batch::RunEnd::refused)
        co_return Error{Errc::invalid_input,
                        parts_->run->refusal() + "; check the deployment's key and run again"};
    co_return end;
}

asio::awaitable<void> BatchRunner::interrupt() {
    if (parts_->run) parts_->run->stop(std::chrono::seconds(parts_->configuration.server.drain_seconds));
    if (parts_->models) co_await parts_->models->stop_waiting();
}

asio::awaitable<void> BatchRunner::stop() { return parts_->stop(); }

}  // namespace millrace::app
