// Databases of every engine, for tests that hold for all of them.
#pragma once

#include "store/database.hpp"
#include "tests/support/postgres_server.hpp"
#include "tests/support/temporary_directory.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <string>

namespace millrace::test {

enum class Engine { sqlite, postgres };

inline std::string engine_name(const testing::TestParamInfo<Engine>& info) {
    return info.param == Engine::sqlite ? "Sqlite" : "Postgres";
}

/// Instantiates the cases of a fixture that is a testing::TestWithParam<Engine>.
#define MILLRACE_ON_EVERY_ENGINE(Fixture) \
    INSTANTIATE_TEST_SUITE_P(             \
        Engines, Fixture, testing::Values(test::Engine::sqlite, test::Engine::postgres), test::engine_name)

/// An empty database of one engine, gone with the test.
class DatabasePlace {
  public:
    explicit DatabasePlace(Engine engine) {
        if (engine == Engine::postgres) name_ = PostgresServer::shared().create_database();
    }
    ~DatabasePlace() {
        if (!name_.empty()) PostgresServer::shared().drop_database(name_);
    }
    DatabasePlace(const DatabasePlace&) = delete;

    bool shared() const { return !name_.empty(); }
    /// The database's name on PostgreSQL.
    const std::string& name() const { return name_; }
    const std::filesystem::path& directory() const { return directory_.path(); }

    Result<std::unique_ptr<store::Database>> open(boost::asio::any_io_executor io) const {
        if (name_.empty()) return store::Database::open(std::move(io), {directory_.path()});
        store::Database::PostgresOptions options;
        options.connection_string = PostgresServer::shared().target(name_);
        return store::Database::connect(std::move(io), std::move(options));
    }

  private:
    TemporaryDirectory directory_;
    std::string name_;
};

}  // namespace millrace::test
