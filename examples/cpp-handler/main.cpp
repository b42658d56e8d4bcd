// Counts the words of texts, as wide as there are texts: one message spreads the work, one for each text does
// it, one joins the counts. Kill it at any moment and start it again: it goes on where it was.
//
//     cpp_handler [DATA_DIR]
#include "base/clock.hpp"
#include "broker/broker.hpp"
#include "store/database.hpp"
#include "work/fan_out.hpp"
#include "work/processor.hpp"
#include "work/steps.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>

#include <cstdio>
#include <filesystem>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

namespace {

using namespace millrace;
namespace asio = boost::asio;

std::size_t count_words(const std::string& text) {
    std::istringstream in(text);
    std::size_t count = 0;
    for (std::string word; in >> word;) ++count;
    return count;
}

/// Three queues in one database, and the handlers that serve them.
class WordCounter {
  public:
    WordCounter(asio::io_context& io, store::Database& database, broker::Broker& broker)
        : io_(io),
          database_(database),
          broker_(broker),
          fan_out_(database, clock_),
          done_(io.get_executor()) {}

    asio::awaitable<void> run() {
        const broker::EntityOptions options;
        for (const char* queue : {"texts", "counts", "totals"}) co_await broker_.put_entity(queue, options);
        serve("texts", [this](broker::Delivery delivery) { return spread(std::move(delivery)); });
        serve("counts", fan_out_.piece_handler([this](work::Piece piece, std::string text) {
            return count(std::move(piece), std::move(text));
        }));
        serve("totals", fan_out_.join_handler([this](auto, std::vector<std::string> counts, auto) {
            return total(std::move(counts));
        }));
        std::vector<broker::Message> messages(1);
        messages[0].message_id = "the-texts";
        messages[0].body = "to be or not to be|that is the question|whether tis nobler in the mind to suffer";
        auto sending = broker_.send("texts", std::move(messages));
        const auto sent = co_await std::move(sending);
        if (!sent) std::fprintf(stderr, "send: %s\n", sent.error().detail.c_str());
        co_await done_.wait();
        for (auto& processor : processors_) co_await processor->stop(std::chrono::seconds(5));
    }

  private:
    /// Outcome: a message for each text, sent together with the completion of this one.
    asio::awaitable<work::Outcome> spread(broker::Delivery delivery) {
        work::FanOutPlan plan;
        plan.id = delivery.message.message_id;
        plan.queue = "counts";
        plan.join_queue = "totals";
        std::istringstream in(delivery.message.body);
        for (std::string text; std::getline(in, text, '|');) plan.bodies.push_back(text);
        co_return fan_out_.spread(std::move(plan));
    }

    /// A step runs once for its message for ever: whatever costs money belongs into one.
    asio::awaitable<Result<std::string>> count(work::Piece piece, std::string text) {
        work::Steps steps(database_, clock_, piece.fan_out + "/" + std::to_string(piece.number));
        work::Steps::Work expensive = [&text]() -> asio::awaitable<Result<std::string>> {
            co_return std::to_string(count_words(text));
        };
        std::string name = "count";
        auto counted = co_await steps.run(std::move(name), std::move(expensive));
        co_return counted;
    }

    asio::awaitable<work::Outcome> total(std::vector<std::string> counts) {
        std::size_t sum = 0;
        for (const std::string& one : counts) sum += std::stoul(one);
        work::Done done;
        done.then = [this, sum, texts = counts.size()] {
            std::printf("%zu texts have %zu words\n", texts, sum);
            done_.notify();
        };
        co_return done;
    }

    void serve(std::string queue, work::Handler handler) {
        work::ProcessorOptions options;
        options.queue = std::move(queue);
        work::Complete complete = [this](broker::LockRef lock, work::Done done) {
            std::vector<std::pair<std::string, broker::Message>> next;
            for (auto& one : done.follow_ups) next.emplace_back(one.entity, std::move(one.message));
            return broker_.complete_with(std::move(lock), std::move(next), std::move(done.with));
        };
        processors_.push_back(std::make_unique<work::Processor>(io_.get_executor(), broker_, clock_, complete,
                                                                options, std::move(handler)));
        processors_.back()->start();
    }

    asio::io_context& io_;
    store::Database& database_;
    broker::Broker& broker_;
    SystemClock clock_;
    work::FanOut fan_out_;
    Signal done_;
    std::vector<std::unique_ptr<work::Processor>> processors_;
};

asio::awaitable<void> run(asio::io_context& io, store::Database& database, int& exit_code) {
    SystemClock clock;
    const broker::Broker::Options options;
    auto broker = co_await broker::Broker::open(database, clock, options);
    if (!broker) {
        std::fprintf(stderr, "queues: %s\n", broker.error().detail.c_str());
        co_return;
    }
    (*broker)->start();
    WordCounter counter(io, database, **broker);
    co_await counter.run();
    co_await (*broker)->stop();
    exit_code = 0;
}

}  // namespace

int main(int argc, char** argv) {
    asio::io_context io(1);
    store::Database::Options options;
    options.directory = argc > 1 ? argv[1] : std::filesystem::temp_directory_path() / "millrace-cpp-handler";
    auto database = store::Database::open(io.get_executor(), options);
    if (!database) {
        std::fprintf(stderr, "database: %s\n", database.error().detail.c_str());
        return 1;
    }
    int exit_code = 1;
    asio::co_spawn(io, run(io, **database, exit_code), asio::detached);
    io.run();
    (*database)->stop();
    return exit_code;
}
