#include "app/state.hpp"

#include <thread>

namespace millrace::app {

namespace {

unsigned cpu_threads(const ServerSettings& settings) {
    if (settings.cpu_threads > 0) return static_cast<unsigned>(settings.cpu_threads);
    const unsigned cores = std::thread::hardware_concurrency();
    return cores > 1 ? cores - 1 : 1;
}

}  // namespace

Result<State> open_state(asio::any_io_executor io, const Configuration& configuration) {
    store::Database::Options options;
    options.directory = configuration.server.data_dir;
    options.readers = static_cast<unsigned>(configuration.store.readers);
    auto database = store::Database::open(std::move(io), options);
    if (!database) return database.error();
    State state;
    state.database = std::move(*database);
    state.blobs = std::make_unique<store::Blobs>(options.directory / "blobs");
    state.pool = std::make_unique<CpuPool>(cpu_threads(configuration.server));
    return state;
}

}  // namespace millrace::app
