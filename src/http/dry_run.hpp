// What all dry runs have in common. Only for http/api*.cpp.
#pragma once

#include "http/api_routes.hpp"
#include "work/estimate.hpp"

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include <memory>
#include <optional>

namespace millrace::http {

/// How long one dry run may read documents or dead letters.
inline constexpr Duration kDryRunTimeMax = std::chrono::seconds(20);

/// `?dryRun=` of a request, false if it is absent; 400 if it is neither true nor false.
Checked<bool> dry_run_asked(const Request& request);

/// A place among the dry runs, of whatever kind, until it is destroyed. None while there are as many as the
/// CPU pool and the database can bear beside their work.
std::shared_ptr<void> enter_dry_run(const Context& context);
/// over_limit: there was no place; and that as an answer, 429.
Error dry_runs_error();
Response dry_runs_are_many();

/// How long work will take, in seconds; none where no limit of its deployments is known.
struct Timing {
    std::optional<double> backlog = {};  ///< until what waits now is done
    std::optional<double> done = {};     ///< until the work is, which comes behind that

    boost::json::value backlog_json() const;
    boost::json::value done_json() const;
};
/// Of work with `loads`, at the limits that hold now. That of the deployment that takes longest.
asio::awaitable<Timing> timing_of(Context context, work::Loads loads);
/// Adds `backlogSeconds` and `secondsUntilDone`.
void add_timing(boost::json::object& view, const Timing& timing);

}  // namespace millrace::http
