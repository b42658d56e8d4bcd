// Hears what the processes on one database tell each other: a thread with a connection that LISTENs.
#pragma once

#include "store/database.hpp"
#include "store/pause.hpp"
#include "store/postgres.hpp"

#include <memory>
#include <thread>

namespace millrace::store {

class PostgresListener {
  public:
    /// Does not connect before the first `listen`.
    PostgresListener(boost::asio::any_io_executor io, PostgresTarget target, std::stop_token stopped);
    /// Waits for the thread; the stop must have been requested.
    ~PostgresListener();

    /// As Database::listen.
    void listen(Database::Heard heard);

  private:
    struct Shared;
    void run();
    void hear();
    void tell(std::string subject);

    boost::asio::any_io_executor io_;
    std::stop_token stopped_;
    PostgresConnection connection_;
    Pause pause_;
    int wake_ = -1;   ///< readable once stopped
    std::shared_ptr<Shared> shared_;
    std::thread thread_;
};

}  // namespace millrace::store
