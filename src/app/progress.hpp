// Progress of several things at once: bars on a terminal, now and then a line elsewhere.
#pragma once

#include "app/terminal.hpp"

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

namespace millrace::app {

/// One thing that makes progress.
struct ProgressRow {
    std::string label;
    std::string unit;             ///< "documents"
    std::uint64_t done = 0;
    std::uint64_t total = 0;      ///< 0: not known yet; may grow
    std::uint64_t failed = 0;     ///< part of `done`
};

/// The line of a row, `columns` wide: label, bar, share, numbers.
std::string progress_line(const ProgressRow& row, const Terminal& terminal, std::size_t label_width);

/// Shows stages, one row each, first to last. On a terminal all rows stand below one another and are redrawn
/// at most ten times a second; elsewhere a row is printed as a plain line once it and those above are
/// complete. Not for use across threads.
class Progress {
  public:
    Progress(Terminal terminal, std::FILE* out, std::vector<ProgressRow> rows);
    ~Progress();
    Progress(const Progress&) = delete;

    ProgressRow& row(std::size_t number) { return rows_[number]; }

    /// Shows the rows as they are now, if it is time to.
    void show();
    /// Shows the last state and leaves the lines where they are. A second call does nothing.
    void finish();

  private:
    using Clock = std::chrono::steady_clock;
    void draw();
    void print_completed(bool all);

    Terminal terminal_;
    std::FILE* out_;
    std::vector<ProgressRow> rows_;
    std::vector<bool> printed_;
    Clock::time_point start_ = Clock::now();
    Clock::time_point drawn_{};
    bool on_screen_ = false;
    bool finished_ = false;
};

}  // namespace millrace::app
