// What several tests of this area need: the downloaded vocabularies and small files.
#pragma once

#include "text/tokens.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <stdexcept>
#include <string>

namespace millrace::text {

/// The content of `path`; fails the test, with the command that helps, if it isn't there.
inline std::string read_file(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) throw std::runtime_error("missing " + path.string() + "; ./dev build fetches the assets");
    return {std::istreambuf_iterator<char>(file), {}};
}

inline std::string fixture(const std::string& name) {
    return read_file(std::filesystem::path(MILLRACE_FIXTURES) / name);
}

/// The counter for `encoding`, loaded once per test program.
inline const TokenCounter& counter(const std::string& encoding) {
    static std::map<std::string, std::shared_ptr<const TokenCounter>> loaded;
    auto& result = loaded[encoding];
    if (!result) {
        const auto path = std::filesystem::path(MILLRACE_ASSETS) / (encoding + ".tiktoken");
        auto counter = TokenCounter::load(encoding, path);
        if (!counter) throw std::runtime_error(counter.error().detail);
        result = *counter;
    }
    return *result;
}

}  // namespace millrace::text
