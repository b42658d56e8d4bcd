#include "app/main.hpp"

#include <cstdio>

namespace millrace::app {

int run(int argc, char** argv) {
    (void)argc, (void)argv;
    std::puts("millrace " MILLRACE_VERSION);
    return 0;
}

}  // namespace millrace::app
