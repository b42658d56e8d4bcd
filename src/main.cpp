#include "app/main.hpp"

int main(int argc, char** argv) { return millrace::app::run(argc, argv); }
