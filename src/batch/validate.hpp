// An input is read whole before anything is paid for.
#pragma once

#include "batch/request_line.hpp"
#include "batch/target.hpp"

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace millrace::batch {

struct ValidateOptions {
    std::string endpoint;          ///< a normal one
    std::string deployment;        ///< for lines that name no model; "": they are wrong
    bool deployment_wins = false;  ///< for all lines, whatever they name
    std::int64_t lines_max = limits::batch_lines_max;
    bool estimates = false;  ///< tokens are counted
    std::function<bool()> cancelled;  ///< asked now and then, on the thread that reads; may be empty
};

/// What is known of an input once it is read.
struct Validation {
    std::vector<LineProblem> problems;  ///< the first of them, at most limits::batch_errors_max
    std::int64_t problems_total = 0;
    std::int64_t lines = 0;
    std::string model;       ///< as the lines name it
    std::string deployment;  ///< the target's name
    TokenEstimate tokens;
    bool cancelled = false;
};

/// Reads the file at `path`. Needs 8 bytes for each line. Blocks: call it on the CPU pool. not_found: no such
/// file.
Result<Validation> validate(const std::filesystem::path& path, const Targets& targets,
                            const ValidateOptions& options);

}  // namespace millrace::batch
