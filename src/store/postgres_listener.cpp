#include "store/postgres_listener.hpp"

#include "telemetry/log.hpp"

#include <boost/asio/post.hpp>

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

namespace millrace::store {

/// Touched on the I/O thread only; outlives the listener while something is posted there.
struct PostgresListener::Shared {
    Database::Heard heard;
};

PostgresListener::PostgresListener(boost::asio::any_io_executor io, PostgresTarget target,
                                   std::stop_token stopped)
    : io_(std::move(io)),
      stopped_(stopped),
      connection_(std::move(target)),
      pause_(std::move(stopped)),
      wake_(::eventfd(0, EFD_CLOEXEC)),
      shared_(std::make_shared<Shared>()) {
    if (wake_ < 0) throw MachineError("database: eventfd failed");
}

PostgresListener::~PostgresListener() {
    shared_->heard = nullptr;
    (void)::eventfd_write(wake_, 1);
    if (thread_.joinable()) thread_.join();
    ::close(wake_);
}

void PostgresListener::listen(Database::Heard heard) {
    shared_->heard = std::move(heard);
    if (!shared_->heard || thread_.joinable() || stopped_.stop_requested()) return;
    thread_ = std::thread([this] {
        ::pthread_setname_np(::pthread_self(), "store-listener");
        run();
    });
}

void PostgresListener::run() {
    bool told = false;
    while (!stopped_.stop_requested()) {
        try {
            pause_.wait();
            if (stopped_.stop_requested()) return;
            connection_.open();
            connection_.execute(std::string("LISTEN ") + postgres::kChannel);
            pause_.succeeded();
            told = false;
            tell("");
            while (!stopped_.stop_requested()) hear();
        } catch (const std::exception& broken) {
            pause_.failed();
            if (!told) telemetry::log_warning("listen for changes", "database", broken.what());
            told = true;
        }
    }
}

void PostgresListener::hear() {
    for (std::string& subject : connection_.notifications()) tell(std::move(subject));
    pollfd files[2] = {{connection_.socket(), POLLIN, 0}, {wake_, POLLIN, 0}};
    (void)::poll(files, 2, -1);
}

void PostgresListener::tell(std::string subject) {
    boost::asio::post(io_, [shared = shared_, subject = std::move(subject)] {
        if (shared->heard) shared->heard(subject);
    });
}

}  // namespace millrace::store
