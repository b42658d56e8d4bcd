// The vocabulary of a byte-pair encoding: byte strings and their ranks.
#pragma once

#include "base/error.hpp"

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::text {

/// Byte string → rank, built once and then only read (any thread). The rank is the token's id and its
/// priority in merging: lower first.
class RankTable {
  public:
    static constexpr std::uint32_t kNone = 0xFFFFFFFF;

    /// Reads the lines `base64(bytes) SP rank` of a .tiktoken file. corrupt: a malformed line (named by its
    /// number), a byte string or a rank that comes twice, or a missing single byte.
    static Result<RankTable> parse(std::string_view file);

    /// The rank of `bytes` (not empty), or `kNone`.
    std::uint32_t find(std::string_view bytes) const noexcept;
    std::uint32_t byte_rank(std::uint8_t byte) const noexcept { return bytes_[byte]; }
    /// The rank of two bytes that follow each other, or `kNone`.
    std::uint32_t pair_rank(std::uint8_t first, std::uint8_t second) const noexcept {
        return pairs_[static_cast<std::size_t>(first) << 8 | second];
    }
    std::size_t size() const noexcept { return size_; }

  private:
    struct Slot {
        std::uint32_t offset = 0;
        std::uint32_t length = 0;  ///< 0: free
        std::uint32_t hash = 0;
        std::uint32_t rank = kNone;
    };
    RankTable() = default;
    bool insert(std::string_view bytes, std::uint32_t rank);

    std::string blob_;
    std::vector<Slot> slots_;  ///< a power of two of them, linear probing
    std::array<std::uint32_t, 256> bytes_{};
    std::vector<std::uint32_t> pairs_;
    std::size_t length_max_ = 0;
    std::size_t size_ = 0;
};

}  // namespace millrace::text
