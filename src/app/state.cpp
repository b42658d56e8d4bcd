#include "app/state.hpp"

#include <thread>

namespace millrace::app {

namespace {

unsigned cpu_threads(const ServerSettings& settings) {
    if (settings.cpu_threads > 0) return static_cast<unsigned>(settings.cpu_threads);
    const unsigned cores = std::thread::hardware_concurrency();
    return cores > 1 ? cores - 1 : 1;
}

Result<std::unique_ptr<store::Database>> connect(asio::any_io_executor io, const StoreSettings& settings) {
    if (settings.connection_string.empty())
        return Error{Errc::invalid_input,
                     "where is PostgreSQL? set MILLRACE_STORE__CONNECTION_STRING, or [store] "
                     "connection_string_file = \"PATH\""};
    store::Database::PostgresOptions options;
    options.connection_string = settings.connection_string;
    options.connections = static_cast<unsigned>(settings.connections);
    auto database = store::Database::connect(std::move(io), std::move(options));
    if (!database) return Error{database.error().code, "store: " + database.error().detail};
    return database;
}

}  // namespace

Result<State> open_state(asio::any_io_executor io, const Configuration& configuration) {
    store::Database::Options options;
    options.directory = configuration.server.data_dir;
    options.readers = static_cast<unsigned>(configuration.store.readers);
    auto database = store::Database::open(io, options);
    if (!database) return database.error();
    State state;
    state.database = std::move(*database);
    if (configuration.store.engine == "postgres") {
        auto shared = connect(std::move(io), configuration.store);
        if (!shared) return shared.error();
        state.shared = std::move(*shared);
    }
    state.blobs = std::make_unique<store::Blobs>(options.directory / "blobs");
    state.pool = std::make_unique<CpuPool>(cpu_threads(configuration.server));
    return state;
}

}  // namespace millrace::app
