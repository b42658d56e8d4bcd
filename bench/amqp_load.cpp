// What connections to the AMQP server cost, and what busy, idle and hostile ones do to a pair of honest
// clients.
#include "amqp/message.hpp"
#include "bench/support/amqp_peer.hpp"
#include "bench/support/process.hpp"
#include "bench/support/program.hpp"
#include "bench/support/samples.hpp"

#include <CLI/CLI.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include <sys/resource.h>

#include <atomic>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <future>
#include <random>
#include <thread>

namespace {

using namespace millrace;
using namespace millrace::bench;
namespace json = boost::json;
using Peers = std::vector<std::shared_ptr<AmqpPeer>>;
using SteadyClock = std::chrono::steady_clock;

struct Settings {
    std::string server = "build/release/millrace";
    std::string directory = "build/bench/amqp-load";
    std::string json = "build/bench/amqp_load.json";
    double seconds = 4;
    std::string only;    ///< one phase by its name
    double scale = 1;  ///< of the numbers of peers
};

std::string message_of(std::size_t bytes) {
    broker::Message message;
    message.body = std::string(bytes, 'x');
    return amqp::write_message(message);
}

const std::string& opening() {
    static const std::string bytes = [] {
        amqp::Open open;
        open.container_id = "hostile";
        amqp::Begin begin;
        begin.incoming_window = 1000;
        return std::string("AMQP\0\1\0\0", 8) + amqp_frame(open) + amqp_frame(begin);
    }();
    return bytes;
}

/// An honest sender and an honest receiver: one message at a time, from hand to hand.
class Pair {
  public:
    Pair(asio::io_context& io, unsigned short port)
        : io_(io),
          sends_(std::make_shared<AmqpPeer>(io, port)),
          receives_(std::make_shared<AmqpPeer>(io, port)) {
        sends_->on_event = [this](amqp::Event& event) { on_sender(event); };
        receives_->on_event = [this](amqp::Event& event) { on_receiver(event); };
        receives_->speak();
        sends_->speak();
    }
    ~Pair() {
        sends_->cut();
        receives_->cut();
    }

    /// Microseconds from send to receipt.
    std::vector<double> measure(double seconds) {
        micros_.clear();
        io_.run_for(std::chrono::microseconds(static_cast<std::int64_t>(seconds * 1e6)));
        return micros_;
    }

  private:
    void on_sender(amqp::Event& event) {
        if (std::holds_alternative<amqp::event::Opened>(event)) {
            link_ = sends_->engine->attach(sends_->engine->begin(), sender_to("pair", "pair"));
        } else if (std::holds_alternative<amqp::event::CreditChanged>(event) && !begun_) {
            begun_ = true;
            next();
        } else if (std::holds_alternative<amqp::event::StateChanged>(event)) {
            stored_ = true;
            next();
        }
    }
    void on_receiver(amqp::Event& event) {
        amqp::Connection& engine = *receives_->engine;
        if (std::holds_alternative<amqp::event::Opened>(event)) {
            engine.attach(engine.begin(), receiver_from("pair", "pair"));
        } else if (const auto* answered = std::get_if<amqp::event::LinkAnswered>(&event)) {
            engine.grant(answered->link, 1000);
        } else if (const auto* arrived = std::get_if<amqp::event::Arrived>(&event)) {
            const auto time = SteadyClock::now() - sent_at_;
            micros_.push_back(std::chrono::duration<double, std::micro>(time).count());
            engine.tell(arrived->link, arrived->delivery.id, amqp::Accepted{}, true);
            if (engine.granted(arrived->link) < 500) engine.grant(arrived->link, 1000);
            arrived_ = true;
            next();
        }
    }
    void next() {
        if (!arrived_ || !stored_) return;
        arrived_ = stored_ = false;
        sent_at_ = SteadyClock::now();
        sends_->engine->send(link_, std::to_string(number_++), 0, message_, false);
        sends_->flush();
    }

    asio::io_context& io_;
    std::shared_ptr<AmqpPeer> sends_, receives_;
    const std::string message_ = message_of(256);
    amqp::LinkId link_ = 0;
    bool begun_ = false, arrived_ = true, stored_ = true;
    SteadyClock::time_point sent_at_;
    std::uint64_t number_ = 0;
    std::vector<double> micros_;
};

/// The server, and the peers of the phase.
class Load {
  public:
    explicit Load(const Settings& settings) : settings_(settings), port_(free_port()) {
        std::filesystem::remove_all(settings.directory);
        std::filesystem::create_directories(settings.directory);
        const std::string config = settings.directory + "/entities.json";
        json::array queues;
        for (const char* name : {"pair", "idle", "slow", "busy0", "busy1", "busy2", "busy3", "busy4"})
            queues.push_back(json::object{{"Name", name}});
        const json::object space{{"Name", "bench"}, {"Queues", queues}};
        std::ofstream(config) << json::serialize(
            json::object{{"UserConfig", json::object{{"Namespaces", json::array{space}}}}});
        process_.start({settings.server, "serve", "--data", settings.directory + "/data", "--listen",
                        "127.0.0.1:" + std::to_string(free_port()), "--amqp",
                        "127.0.0.1:" + std::to_string(port_), "--emulator-config", config},
                       settings.directory + "/log");
        wait_for_port();
        pair_ = std::make_unique<Pair>(io_, port_);
        pair_->measure(1);  // warm
    }
    ~Load() {
        pair_.reset();
        io_.run_for(std::chrono::milliseconds(50));
        guard_.reset();
        crowd_.stop();
        thread_.join();
    }

    struct Phase {
        const char* name;
        void (Load::*begin)();
        void (Load::*go_on)() = nullptr;  ///< a second later
    };

    json::object run(const Phase& phase) {
        const auto before = pair_->measure(settings_.seconds);
        const double rss_before = rss_mib();
        aside(phase.begin);
        io_.run_for(std::chrono::seconds(1));
        if (phase.go_on != nullptr) aside(phase.go_on);
        io_.run_for(std::chrono::seconds(3));
        double rss = rss_mib();
        const auto during = pair_->measure(settings_.seconds);
        rss = std::max(rss, rss_mib());
        aside(&Load::end_phase);
        const std::size_t peers = peers_.size();
        std::size_t ended = 0;
        for (const auto& peer : peers_) ended += peer->was_ended() ? 1 : 0;
        return report(phase.name, peers, ended, before, during, rss_before, rss);
    }

    void none() {}
    void busy() {
        for (int i = 0; i < count(200); ++i) {
            auto peer = add();
            AmqpPeer* const raw = peer.get();
            raw->on_event = [this, raw, i](amqp::Event& event) { on_busy(*raw, i, event); };
            raw->speak();
        }
    }
    void idle_on_one() { idle(1, count(2000)); }
    void idle_spread() { idle(count(1000), 3); }
    void no_credit() { idle(count(200), 10); }
    void slow_readers() {
        fill_slow();
        for (int i = 0; i < count(50); ++i) {
            auto peer = add();
            AmqpPeer* const raw = peer.get();
            raw->on_event = [raw](amqp::Event& event) {
                amqp::Connection& engine = *raw->engine;
                if (std::holds_alternative<amqp::event::Opened>(event))
                    engine.attach(engine.begin(), receiver_from("slow", "slow"));
                if (const auto* answered = std::get_if<amqp::event::LinkAnswered>(&event)) {
                    engine.grant(answered->link, 10'000);
                    raw->reads(false);
                }
            };
            raw->speak();
        }
    }
    void half_open() {
        for (int i = 0; i < count(300); ++i) {
            add()->write_raw("");
            add()->write_raw(std::string("AMQP\3\1\0\0", 8));
            add()->write_raw(opening());
        }
    }
    void garbage() {
        std::mt19937 random(1);
        for (int i = 0; i < count(500); ++i) {
            std::string bytes = i % 3 > 0 ? opening() : std::string();
            for (int at = 0; at < 20'000; ++at) bytes.push_back(static_cast<char>(random()));
            if (i % 3 == 0) bytes[0] = 'A';
            add()->write_raw(std::move(bytes));
        }
    }
    void giants() {
        for (int i = 0; i < count(100); ++i) {
            std::string bytes = opening();
            for (std::uint32_t handle = 0; handle < 20; ++handle) {
                amqp::Attach attach = sender_to("idle", "giant " + std::to_string(handle));
                attach.handle = handle;
                attach.initial_delivery_count = 0;
                bytes += amqp_frame(attach);
            }
            add()->write_raw(std::move(bytes));
        }
    }
    void end_no_message() {
        const std::string part(60'000, 'x');
        std::string bytes;
        for (std::uint32_t piece = 0; piece < 260; ++piece) {
            amqp::Transfer transfer;
            transfer.handle = piece % 20;
            transfer.delivery_id = piece % 20;
            transfer.delivery_tag = "t";
            transfer.more = true;
            bytes += amqp_frame(transfer, part);
        }
        for (const auto& peer : peers_) peer->write_more(bytes);
    }

    double rss_mib() const {
        std::ifstream file("/proc/" + std::to_string(process_.pid()) + "/statm");
        double size = 0, resident = 0;
        file >> size >> resident;
        return resident * 4096 / (1024 * 1024);
    }

  private:
    /// Runs `work` where the crowd lives.
    void aside(void (Load::*work)()) {
        std::promise<void> done;
        asio::post(crowd_, [&] {
            (this->*work)();
            done.set_value();
        });
        done.get_future().get();
    }
    int count(int full) const { return std::max(1, static_cast<int>(full * settings_.scale)); }

    std::shared_ptr<AmqpPeer> add() {
        peers_.push_back(std::make_shared<AmqpPeer>(crowd_, port_));
        return peers_.back();
    }
    void wait_for_port() {
        for (int i = 0; i < 200; ++i) {
            asio::ip::tcp::socket probe(io_);
            boost::system::error_code error;
            probe.connect({asio::ip::address_v4::loopback(), port_}, error);
            if (!error) return;
            ::usleep(50'000);
        }
        throw std::runtime_error("the server does not listen; see " + settings_.directory + "/log");
    }
    void idle(int connections, int links) {
        for (int i = 0; i < connections; ++i) {
            auto peer = add();
            AmqpPeer* const raw = peer.get();
            raw->on_event = [this, raw, links](amqp::Event& event) {
                if (std::holds_alternative<amqp::event::LinkAnswered>(event)) links_ += 1;
                if (!std::holds_alternative<amqp::event::Opened>(event)) return;
                const amqp::SessionId session = raw->engine->begin();
                for (int link = 0; link < links; ++link) {
                    const std::string name = "idle " + std::to_string(link);
                    raw->engine->attach(
                        session, link % 2 == 0 ? receiver_from("idle", name) : sender_to("idle", name));
                }
            };
            raw->speak();
        }
    }
    /// Five senders and five receivers, each sender one message every half second.
    void on_busy(AmqpPeer& peer, int number, amqp::Event& event) {
        amqp::Connection& engine = *peer.engine;
        if (std::holds_alternative<amqp::event::Opened>(event)) {
            const amqp::SessionId session = engine.begin();
            for (int i = 0; i < 5; ++i) {
                const std::string queue = "busy" + std::to_string(i);
                engine.attach(session, sender_to(queue, "s" + std::to_string(i)));
                engine.attach(session, receiver_from(queue, "r" + std::to_string(i)));
            }
        } else if (const auto* answered = std::get_if<amqp::event::LinkAnswered>(&event)) {
            links_ += 1;
            if (!answered->attach.receiver) return engine.grant(answered->link, 20);
            asio::co_spawn(crowd_, send_often(peers_[static_cast<std::size_t>(number)], answered->link),
                           asio::detached);
        } else if (const auto* arrived = std::get_if<amqp::event::Arrived>(&event)) {
            moved_ += 1;
            engine.tell(arrived->link, arrived->delivery.id, amqp::Accepted{}, true);
            if (engine.granted(arrived->link) < 10) engine.grant(arrived->link, 20);
        }
    }
    asio::awaitable<void> send_often(std::shared_ptr<AmqpPeer> peer, amqp::LinkId link) {
        static const std::string message = message_of(1024);
        asio::steady_timer timer(crowd_);
        for (std::uint64_t i = 0; !phase_ends_; ++i) {
            peer->engine->send(link, std::to_string(i), 0, message, false);
            peer->flush();
            timer.expires_after(std::chrono::milliseconds(400 + random_() % 200));
            co_await timer.async_wait(asio::use_awaitable);
        }
    }
    /// 320 MiB wait for the slow readers.
    void fill_slow() {
        asio::io_context io;
        auto peer = std::make_shared<AmqpPeer>(io, port_);
        AmqpPeer* const raw = peer.get();
        const std::string message = message_of(32 * 1024);
        std::size_t sent = 0, stored = 0;
        amqp::LinkId link = 0;
        raw->on_event = [&](amqp::Event& event) {
            if (std::holds_alternative<amqp::event::Opened>(event))
                link = raw->engine->attach(raw->engine->begin(), sender_to("slow", "fill"));
            if (std::holds_alternative<amqp::event::StateChanged>(event)) stored += 1;
            while (link != 0 && sent < 10'000 && sent < stored + 200 && raw->engine->credit(link) > 0)
                raw->engine->send(link, std::to_string(sent++), 0, message, false);
        };
        raw->speak();
        while (stored < 10'000) {
            if (io.run_one_for(std::chrono::seconds(30)) == 0) throw std::runtime_error("no messages");
        }
        raw->cut();
        io.run_for(std::chrono::milliseconds(100));
    }
    void end_phase() {
        phase_ends_ = true;
        for (const auto& peer : peers_) peer->cut();
    }
    json::object report(const char* name, std::size_t peers, std::size_t ended,
                        const std::vector<double>& before, const std::vector<double>& during,
                        double rss_before, double rss) {
        const double p50 = quantile(before, 0.5), p99 = quantile(before, 0.99);
        const double during_p50 = quantile(during, 0.5), during_p99 = quantile(during, 0.99);
        const double each = peers == 0 ? 0 : (rss - rss_before) * 1024 / static_cast<double>(peers);
        std::printf("%-14s %6zu %6zu %6zu  %7.1f %7.1f %8.1f  %7.0f %7.0f  %7.0f %7.0f  %5.2f %5.2f\n", name,
                    peers, links_.load(), ended, rss_before, rss, each, p50, p99, during_p50, during_p99,
                    during_p50 / p50, during_p99 / p99);
        std::fflush(stdout);
        return {{"phase", name},
                {"peers", peers},
                {"links", links_.load()},
                {"ended_by_server", ended},
                {"messages", moved_.load()},
                {"rss_before_mib", rss_before},
                {"rss_mib", rss},
                {"kib_per_peer", each},
                {"p50_before_micros", p50},
                {"p99_before_micros", p99},
                {"p50_micros", during_p50},
                {"p99_micros", during_p99}};
    }

    const Settings settings_;
    asio::io_context io_;
    unsigned short port_;
    Process process_;
    std::unique_ptr<Pair> pair_;
    /// The others have a thread of their own.
    asio::io_context crowd_;
    asio::executor_work_guard<asio::io_context::executor_type> guard_ = asio::make_work_guard(crowd_);
    std::thread thread_{[this] { crowd_.run(); }};
    Peers peers_;
    std::atomic<std::size_t> links_ = 0;
    std::atomic<std::uint64_t> moved_ = 0;
    bool phase_ends_ = false;
    std::mt19937 random_{1};
};

constexpr Load::Phase kPhases[] = {
    {"nothing", &Load::none},
    {"idle, one", &Load::idle_on_one},
    {"idle, spread", &Load::idle_spread},
    {"no credit", &Load::no_credit},
    {"half-open", &Load::half_open},
    {"garbage", &Load::garbage},
    {"busy", &Load::busy},
    {"slow readers", &Load::slow_readers},
    {"unfinished", &Load::giants, &Load::end_no_message},
};

int run(const Settings& settings) {
    rlimit files{};
    ::getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &files);
    std::printf("%-14s %6s %6s %6s  %7s %7s %8s  %15s  %15s  %11s\n", "phase", "peers", "links", "ended",
                "MiB", "MiB in", "KiB each", "p50/p99 us", "during", "ratio");
    json::array phases;
    for (const Load::Phase& phase : kPhases) {
        if (!settings.only.empty() && settings.only != phase.name) continue;
        Load load(settings);
        phases.push_back(load.run(phase));
    }
    std::filesystem::create_directories(std::filesystem::path(settings.json).parent_path());
    std::ofstream(settings.json) << json::serialize(
                                        json::object{{"benchmark", "amqp_load"}, {"phases", phases}})
                                 << "\n";
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    Settings settings;
    CLI::App app("What connections to the AMQP server cost and do to others");
    app.add_option("--server", settings.server, "the millrace program");
    app.add_option("--dir", settings.directory, "where its data goes, on the disk that is measured");
    app.add_option("--json", settings.json, "where the result goes");
    app.add_option("--seconds", settings.seconds, "of each measurement");
    app.add_option("--scale", settings.scale, "of the numbers of peers");
    app.add_option("--only", settings.only, "one phase, by its name");
    CLI11_PARSE(app, argc, argv);
    return run_program("amqp_load", [&] { return run(settings); });
}
