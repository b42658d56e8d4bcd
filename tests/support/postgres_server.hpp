// A PostgreSQL server of the test program's own: in a temporary directory, on a Unix socket, ended with it.
#pragma once

#include "store/postgres.hpp"
#include "tests/support/process.hpp"
#include "tests/support/temporary_directory.hpp"

#include <pwd.h>
#include <unistd.h>

#include <charconv>
#include <filesystem>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

namespace millrace::test {

class PostgresServer {
  public:
    /// The program's server, started by the first who asks. Throws where PostgreSQL is not installed.
    static PostgresServer& shared() {
        static PostgresServer server;
        return server;
    }

    ~PostgresServer() { stop(); }
    PostgresServer(const PostgresServer&) = delete;

    /// Connection string of `database`.
    std::string target(const std::string& database) const {
        return "host=" + directory_.path().string() + " port=5432 user=postgres dbname=" + database;
    }

    /// Makes an empty database and answers its name.
    std::string create_database() {
        const std::string name = "t" + std::to_string(++databases_);
        execute("CREATE DATABASE " + name + " TEMPLATE template0");
        return name;
    }
    void drop_database(const std::string& name) { execute("DROP DATABASE " + name + " WITH (FORCE)"); }

    /// Ends all connections to `database`; they are gone when this returns.
    void end_connections(const std::string& database) {
        execute("SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname='" + database +
                "'");
    }

    /// Runs statements as the owner of the server.
    void execute(const std::string& sql, const std::string& database = "postgres") {
        store::PostgresConnection connection(store::PostgresTarget{target(database)});
        connection.open();
        connection.execute(sql);
    }
    std::int64_t integer(const std::string& sql, const std::string& database) {
        store::PostgresConnection connection(store::PostgresTarget{target(database)});
        connection.open();
        return connection.integer(sql);
    }

    void start() {
        std::vector<std::string> command = as_user();
        const std::vector<std::string> arguments = {
            programs_ / "postgres", "-D", data(),      "-k", directory_.path(),      "-c",
            "listen_addresses=",    "-c", "fsync=off", "-c", "log_min_messages=log", "-c",
            "log_checkpoints=off"};
        command.insert(command.end(), arguments.begin(), arguments.end());
        process_ = std::make_unique<Process>(command, environment());
        if (!process_->wait_for_error("ready to accept connections"))
            throw std::runtime_error("PostgreSQL did not start: " + process_->err);
    }

    /// Ends the server and every connection to it.
    void stop() {
        if (!process_) return;
        process_->signal(SIGINT);
        process_->wait();
        process_.reset();
    }

  private:
    PostgresServer() : programs_(find_programs()) {
        namespace fs = std::filesystem;
        if (::geteuid() == 0) {
            const passwd* user = ::getpwnam("postgres");
            if (user == nullptr) user = ::getpwnam("nobody");
            if (user == nullptr) throw std::runtime_error("no user to run PostgreSQL as");
            user_ = std::to_string(user->pw_uid);
            group_ = std::to_string(user->pw_gid);
            if (::chown(directory_.path().c_str(), user->pw_uid, user->pw_gid) != 0)
                throw std::runtime_error("chown " + directory_.path().string());
        }
        std::vector<std::string> command = as_user();
        const std::vector<std::string> arguments = {
            programs_ / "initdb", "-D", data(), "-U", "postgres", "-A", "trust", "-E", "UTF8",
            "--locale=C.UTF-8",   "-N"};
        command.insert(command.end(), arguments.begin(), arguments.end());
        const Finished made = run_program(command, environment());
        if (made.code != 0) throw std::runtime_error("initdb: " + made.err + made.out);
        start();
    }

    std::string data() const { return directory_.path() / "data"; }
    static Process::Environment environment() { return {{"LC_ALL", "C.UTF-8"}, {"TZ", "UTC"}}; }

    /// The newest of Debian's versions.
    static std::filesystem::path find_programs() {
        namespace fs = std::filesystem;
        std::optional<fs::path> found;
        int newest = 14;
        std::error_code absent;
        for (const auto& entry : fs::directory_iterator("/usr/lib/postgresql", absent)) {
            const std::string name = entry.path().filename();
            int version = 0;
            std::from_chars(name.data(), name.data() + name.size(), version);
            if (version <= newest || !fs::exists(entry.path() / "bin" / "initdb")) continue;
            newest = version;
            found = entry.path() / "bin";
        }
        if (!found)
            throw std::runtime_error(
                "PostgreSQL 15 or later is not installed in /usr/lib/postgresql; ./dev test installs it, or: "
                "apt-get install postgresql");
        return *found;
    }

    /// PostgreSQL doesn't run as root; and it ends when the test program does, however that ends.
    std::vector<std::string> as_user() const {
        std::vector<std::string> command = {"/usr/bin/setpriv"};
        if (!user_.empty())
            command.insert(command.end(), {"--reuid", user_, "--regid", group_, "--clear-groups"});
        command.insert(command.end(), {"--pdeathsig", "INT", "--"});
        return command;
    }

    TemporaryDirectory directory_;
    std::filesystem::path programs_;
    std::string user_;
    std::string group_;
    std::unique_ptr<Process> process_;
    int databases_ = 0;
};

}  // namespace millrace::test
