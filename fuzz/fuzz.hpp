// A fuzz program: one file that implements `seeds` and `check`, linked with driver.cpp.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace millrace::fuzz {

/// Well-formed inputs to start from; each is also checked unchanged.
std::vector<std::string> seeds();

/// Feeds `input` to the code under test and aborts (`require`) where what it promises for every input doesn't
/// hold.
void check(std::string_view input);

/// Ends the program with `what` unless `holds`.
void require(bool holds, const char* what);

}  // namespace millrace::fuzz
