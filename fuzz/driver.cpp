// Runs a fuzz program for some seconds: mutates its seeds by a numbered random sequence and checks each
// result.
//
//     fuzz_NAME [SECONDS [NUMBER]]   mutations of random sequence NUMBER
//     fuzz_NAME fuzz_NAME.input      the one input that a failed run has left beside the program
#include "fuzz/fuzz.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <random>

namespace millrace::fuzz {
namespace {

constexpr std::size_t kInputBytesMax = 1 << 20;

/// A file that shows what is being checked without a system call for each input: its size as 8 bytes, then
/// its bytes.
class Witness {
  public:
    explicit Witness(const std::string& path) {
        const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        require(file >= 0 && ::ftruncate(file, kFileBytes) == 0, "the input file can be written");
        void* memory = ::mmap(nullptr, kFileBytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        require(memory != MAP_FAILED, "the input file can be mapped");
        bytes_ = static_cast<char*>(memory);
        ::close(file);
    }

    void show(std::string_view input) {
        const std::uint64_t size = input.size();
        std::memcpy(bytes_, &size, sizeof size);
        std::memcpy(bytes_ + sizeof size, input.data(), input.size());
    }

    static std::string read(const char* path) {
        std::ifstream file(path, std::ios::binary);
        std::uint64_t size = 0;
        file.read(reinterpret_cast<char*>(&size), sizeof size);
        std::string input(std::min<std::uint64_t>(size, kInputBytesMax), '\0');
        file.read(input.data(), static_cast<std::streamsize>(input.size()));
        require(file.good(), "the input file can be read");
        return input;
    }

  private:
    static constexpr std::size_t kFileBytes = kInputBytesMax + sizeof(std::uint64_t);
    char* bytes_ = nullptr;
};

class Mutator {
  public:
    Mutator(std::vector<std::string> seeds, std::uint64_t number)
        : seeds_(std::move(seeds)), random_(number) {}

    std::string next() {
        std::string input = seeds_[below(seeds_.size())];
        for (std::size_t steps = 1 + below(6); steps > 0; --steps) mutate(input);
        if (input.size() > kInputBytesMax) input.resize(kInputBytesMax);
        return input;
    }

  private:
    std::size_t below(std::size_t bound) { return bound == 0 ? 0 : random_() % bound; }

    void mutate(std::string& input) {
        const std::size_t where = below(input.size() + 1);
        const std::size_t length = std::min(below(64) + 1, input.size() - where);
        switch (below(8)) {
            case 0: flip(input, where); break;
            case 1: input.erase(where, length); break;
            case 2: input.insert(where, input.substr(where, length)); break;
            case 3: input.insert(where, 1 + below(8), static_cast<char>(below(256))); break;
            case 4: splice(input, where); break;
            case 5: input.insert(where, kEvil[below(std::size(kEvil))]); break;
            case 6: input.resize(where); break;
            default: repeat(input, where, length); break;
        }
    }

    void flip(std::string& input, std::size_t where) {
        if (where < input.size()) input[where] = static_cast<char>(input[where] ^ (1 << below(8)));
    }

    void splice(std::string& input, std::size_t where) {
        const std::string& other = seeds_[below(seeds_.size())];
        const std::size_t from = below(other.size() + 1);
        input.insert(where, other, from, below(256));
    }

    void repeat(std::string& input, std::size_t where, std::size_t length) {
        const std::string part = input.substr(where, length);
        std::string many;
        for (std::size_t copies = below(2000); copies > 0 && many.size() < 64'000; --copies) many += part;
        input.insert(where, many);
    }

    static constexpr const char* kEvil[] = {
        "\xff\xfe",
        "\xed\xa0\x80",
        "\xf4\x90\x80\x80",
        "\xc0\x80",
        "\xe2\x80\xae",
        "\xef\xbb\xbf",
        "18446744073709551616",
        "-1",
        "99999999999999999999",
        "%00",
        "%",
        "\r\n\r\n",
        "\n",
        "<!--",
        "]]>",
        "&#x110000;",
        "<a",
        "\"",
        "\\u0000",
        "{{{{",
        "[[[[",
        "''''",
        "    ",
        "\t",
        "../",
        "0x",
        "1e999",
        "NaN",
        "=",
    };

    std::vector<std::string> seeds_;
    std::mt19937_64 random_;
};

int fuzz(const std::string& program, unsigned seconds, std::uint64_t number) {
    using Clock = std::chrono::steady_clock;
    const std::string path = program + ".input";
    Witness witness(path);
    const auto checked = [&witness](const std::string& input) {
        witness.show(input);
        check(input);
    };
    const auto end = Clock::now() + std::chrono::seconds(seconds);
    const auto inputs = seeds();
    for (const auto& input : inputs) checked(input);
    std::uint64_t count = inputs.size();
    for (Mutator mutator(inputs, number); Clock::now() < end; ++count) checked(mutator.next());
    std::printf("%llu inputs checked\n", static_cast<unsigned long long>(count));
    return ::unlink(path.c_str());
}

}  // namespace

void require(bool holds, const char* what) {
    if (holds) return;
    std::fprintf(stderr, "does not hold: %s\n", what);
    std::abort();
}

}  // namespace millrace::fuzz

int main(int argc, char** argv) {
    using namespace millrace::fuzz;
    unsigned seconds = 10;
    std::uint64_t number = 1;
    const auto read = [](const char* text, auto& target) {
        const auto [end, error] = std::from_chars(text, text + std::strlen(text), target);
        return error == std::errc() && *end == '\0';
    };
    if (argc > 1 && !read(argv[1], seconds)) return check(Witness::read(argv[1])), 0;
    if (argc > 2) require(read(argv[2], number), "the second argument is a number");
    return fuzz(argv[0], seconds, number);
}
