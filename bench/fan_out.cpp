// A fan-out over messages beside the sum of its calls, for growing numbers of pieces: is it linear?
#include "work/fan_out.hpp"
#include "bench/support/folder.hpp"
#include "bench/support/program.hpp"
#include "broker/broker.hpp"
#include "store/database.hpp"
#include "work/handover.hpp"
#include "work/processor.hpp"

#include <CLI/CLI.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include <cstdio>
#include <fstream>
#include <optional>

namespace {

using namespace millrace;
namespace asio = boost::asio;
namespace json = boost::json;
using Seconds = std::chrono::duration<double>;

struct Settings {
    std::vector<std::size_t> pieces{1'000, 10'000, 40'000};
    std::size_t concurrency = 64;
    int call_ms = 50;
    int rounds = 3;
    std::string json = "build/bench/fan_out.json";
};

/// One fan-out of `pieces` calls on a new database.
class Run {
  public:
    Run(const Settings& settings, const std::filesystem::path& folder, std::size_t pieces)
        : settings_(settings), pieces_(pieces), folder_(folder) {}

    /// From the message that spreads to the join; in seconds.
    double seconds() {
        double took = 0;
        asio::co_spawn(io_, all(took), [](std::exception_ptr failure) {
            if (failure) std::rethrow_exception(failure);
        });
        io_.run();
        return took;
    }

  private:
    asio::awaitable<void> all(double& took) {
        database_ = std::move(store::Database::open(io_.get_executor(), {folder_}).value());
        auto opening = broker::Broker::open(*database_, clock_, {});
        broker_ = std::move((co_await std::move(opening)).value());
        for (const char* queue : {"start", "pieces", "joins"}) {
            const broker::EntityOptions defaults;
            auto put = co_await broker_->put_entity(queue, defaults);
            put.value();
        }
        broker_->start();
        handover_.emplace(*database_, *database_, *broker_);
        auto handed = co_await handover_->start();
        handed.value();
        fan_out_.emplace(*database_, clock_);
        serve("start", spreading(), 1);
        serve("pieces", calling(), settings_.concurrency);
        serve("joins", joining(), 1);
        std::vector<broker::Message> first(1);
        const auto begin = std::chrono::steady_clock::now();
        auto sent = co_await broker_->send("start", std::move(first));
        sent.value();
        while (!joined_) co_await done_.wait();
        took = Seconds(std::chrono::steady_clock::now() - begin).count();
        for (auto& processor : processors_) co_await processor->stop(std::chrono::seconds(10));
        co_await broker_->stop();
        database_->stop();
    }

    void serve(const std::string& queue, work::Handler handler, std::size_t concurrency) {
        work::ProcessorOptions options;
        options.queue = queue;
        options.concurrency = concurrency;
        work::Complete complete = [this](broker::LockRef lock, work::Done done) {
            return handover_->complete_with(std::move(lock), std::move(done));
        };
        processors_.push_back(std::make_unique<work::Processor>(io_.get_executor(), *broker_, clock_,
                                                                std::move(complete), std::move(options),
                                                                std::move(handler)));
        processors_.back()->start();
    }

    work::Handler spreading() {
        return [this](broker::Delivery) -> asio::awaitable<work::Outcome> {
            work::FanOutPlan plan;
            plan.id = "job";
            plan.queue = "pieces";
            plan.join_queue = "joins";
            for (std::size_t i = 0; i < pieces_; ++i) plan.bodies.push_back(std::to_string(i));
            co_return fan_out_->spread(std::move(plan));
        };
    }

    work::Handler calling() {
        work::FanOut::PieceWork call = [this](work::Piece,
                                              std::string body) -> asio::awaitable<Result<std::string>> {
            co_await clock_.sleep_for(Duration(settings_.call_ms));
            co_return body;
        };
        return fan_out_->piece_handler(std::move(call));
    }

    work::Handler joining() {
        work::FanOut::JoinWork join = [this](std::string, std::vector<std::string> results,
                                             std::string) -> asio::awaitable<work::Outcome> {
            if (results.size() != pieces_) throw std::runtime_error("results are missing");
            joined_ = true;
            done_.notify();
            co_return work::Done{};
        };
        return fan_out_->join_handler(std::move(join));
    }

    const Settings& settings_;
    std::size_t pieces_;
    std::filesystem::path folder_;
    asio::io_context io_{1};
    SystemClock clock_;
    Signal done_{io_.get_executor()};
    bool joined_ = false;
    std::unique_ptr<store::Database> database_;
    std::unique_ptr<broker::Broker> broker_;
    std::optional<work::Handover> handover_;
    std::optional<work::FanOut> fan_out_;
    std::vector<std::unique_ptr<work::Processor>> processors_;
};

int run(const Settings& settings) {
    std::printf("calls of %d ms, %zu at once\n%10s %12s %16s %14s %18s\n", settings.call_ms,
                settings.concurrency, "pieces", "seconds", "sum of calls s", "seconds/ideal",
                "us a piece beside");
    json::array rows;
    std::vector<double> besides;
    for (const std::size_t pieces : settings.pieces) {
        double best = 1e9;
        for (int round = 0; round < settings.rounds; ++round) {
            const bench::BenchFolder folder;
            best = std::min(best, Run(settings, folder.path(), pieces).seconds());
        }
        const double sum = static_cast<double>(pieces) * settings.call_ms / 1000;
        const double ideal = sum / static_cast<double>(settings.concurrency);
        const double beside = (best - ideal) / static_cast<double>(pieces) * 1e6;
        std::printf("%10zu %12.2f %16.1f %14.2f %18.0f\n", pieces, best, sum, best / ideal, beside);
        besides.push_back(beside);
        rows.push_back({{"pieces", pieces}, {"seconds", best}, {"sum_of_calls", sum}, {"ideal", ideal}});
    }
    std::ofstream(settings.json) << json::serialize(rows) << "\n";
    // Noise of the shortest run counts most.
    const bool linear = besides.back() <= 2 * std::max(besides.front(), 20.0);
    std::printf("%s\n", linear ? "linear" : "NOT linear");
    return linear ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
    Settings settings;
    CLI::App app("a fan-out over messages beside the sum of its calls");
    app.add_option("--pieces", settings.pieces);
    app.add_option("--concurrency", settings.concurrency);
    app.add_option("--call-ms", settings.call_ms);
    app.add_option("--rounds", settings.rounds);
    app.add_option("--json", settings.json);
    CLI11_PARSE(app, argc, argv);
    return millrace::bench::run_program("fan_out", [&] { return run(settings); });
}
