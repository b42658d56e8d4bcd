// The command line of Millrace.
#pragma once

namespace millrace::app {

/// Parses the command line, runs the command and returns its exit code: 0 done, 1 failed, 2 wrong usage.
int run(int argc, char** argv);

}  // namespace millrace::app
