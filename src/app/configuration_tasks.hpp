// [[tasks]]: kinds of tasks as they are configured.
#pragma once

#include "app/configuration.hpp"
#include "handlers/task_types.hpp"

#include <string>
#include <vector>

namespace millrace::app {

/// Every kind of task of `configuration`, the built-in ones with them. Adds to `problems` as
/// TaskCatalogue::make.
handlers::TaskCatalogue task_catalogue(const Configuration& configuration,
                                       std::vector<std::string>& problems);

/// Adds a line for everything that is wrong with [[tasks]]: as above, and deployments that there are none of.
/// A schema in a file that was not read yet is not looked at.
void check_tasks(const Configuration& configuration, std::vector<std::string>& problems);

}  // namespace millrace::app
