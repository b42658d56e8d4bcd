#include "text/ranks.hpp"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cstring>

namespace millrace::text {
namespace {

std::uint32_t hash_of(std::string_view bytes) noexcept {
    constexpr std::uint64_t kMultiplier = 0x9E3779B97F4A7C15u;
    std::uint64_t hash = bytes.size() * kMultiplier;
    std::uint64_t word = 0;
    for (; bytes.size() >= sizeof word; bytes.remove_prefix(sizeof word)) {
        std::memcpy(&word, bytes.data(), sizeof word);
        hash = std::rotl((hash ^ word) * kMultiplier, 29);
    }
    word = 0;
    if (!bytes.empty()) std::memcpy(&word, bytes.data(), bytes.size());
    hash = (hash ^ word) * kMultiplier;
    return static_cast<std::uint32_t>((hash ^ hash >> 29) * kMultiplier >> 32);
}

int base64_value(char c) noexcept {
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/// Appends the bytes to `out`; false if `text` is not base64 (RFC 4648, section 4).
bool decode_base64(std::string_view text, std::string& out) {
    if (text.empty() || text.size() % 4 != 0) return false;
    while (text.size() % 4 != 2 && text.ends_with('=')) text.remove_suffix(1);
    std::uint32_t bits = 0;
    int count = 0;
    for (const char c : text) {
        const int value = base64_value(c);
        if (value < 0) return false;
        bits = bits << 6 | static_cast<std::uint32_t>(value);
        count += 6;
        if (count < 8) continue;
        count -= 8;
        out.push_back(static_cast<char>(bits >> count & 0xFF));
    }
    return true;
}

Error bad_line(std::size_t number, std::string_view why) {
    return {Errc::corrupt, "rank file, line " + std::to_string(number) + ": " + std::string(why)};
}

}  // namespace

bool RankTable::insert(std::string_view bytes, std::uint32_t rank) {
    const std::uint32_t hash = hash_of(bytes);
    const std::size_t mask = slots_.size() - 1;
    std::size_t at = hash & mask;
    for (; slots_[at].length != 0; at = (at + 1) & mask) {
        const Slot& slot = slots_[at];
        if (slot.hash == hash && std::string_view(blob_).substr(slot.offset, slot.length) == bytes)
            return false;
    }
    const auto offset = static_cast<std::uint32_t>(bytes.data() - blob_.data());
    slots_[at] = {offset, static_cast<std::uint32_t>(bytes.size()), hash, rank};
    if (bytes.size() == 1) bytes_[static_cast<std::uint8_t>(bytes[0])] = rank;
    if (bytes.size() == 2) {
        pairs_[static_cast<std::size_t>(static_cast<std::uint8_t>(bytes[0])) << 8 |
               static_cast<std::uint8_t>(bytes[1])] = rank;
    }
    length_max_ = std::max(length_max_, bytes.size());
    ++size_;
    return true;
}

Result<RankTable> RankTable::parse(std::string_view file) {
    RankTable table;
    const auto lines = static_cast<std::size_t>(std::count(file.begin(), file.end(), '\n')) + 1;
    table.slots_.resize(std::bit_ceil(lines * 2));
    table.blob_.reserve(file.size());  // never grows again: slots are found by their place in it
    table.bytes_.fill(kNone);
    table.pairs_.assign(std::size_t{1} << 16, kNone);
    std::vector<bool> seen(lines * 2);
    for (std::size_t number = 1; !file.empty(); ++number) {
        const std::string_view line = file.substr(0, file.find('\n'));
        file.remove_prefix(std::min(file.size(), line.size() + 1));
        if (line.empty()) continue;
        const std::size_t space = line.find(' ');
        if (space == std::string_view::npos) return bad_line(number, "no space between token and rank");
        const std::size_t begin = table.blob_.size();
        if (!decode_base64(line.substr(0, space), table.blob_))
            return bad_line(number, "the token is not base64");
        std::uint32_t rank = kNone;
        const char* const end = line.data() + line.size();
        const auto parsed = std::from_chars(line.data() + space + 1, end, rank);
        if (parsed.ec != std::errc{} || (parsed.ptr != end && *parsed.ptr != '\r') || rank >= seen.size()) {
            return bad_line(number, "the rank is not a number in range");
        }
        if (seen[rank] || !table.insert(std::string_view(table.blob_).substr(begin), rank)) {
            return bad_line(number, "comes twice");
        }
        seen[rank] = true;
    }
    if (std::find(table.bytes_.begin(), table.bytes_.end(), kNone) != table.bytes_.end()) {
        return Error{Errc::corrupt, "rank file: a single byte has no rank; is the file cut off?"};
    }
    return table;
}

std::uint32_t RankTable::find(std::string_view bytes) const noexcept {
    if (bytes.size() > length_max_) return kNone;
    const std::uint32_t hash = hash_of(bytes);
    const std::size_t mask = slots_.size() - 1;
    for (std::size_t at = hash & mask; slots_[at].length != 0; at = (at + 1) & mask) {
        const Slot& slot = slots_[at];
        if (slot.hash == hash && slot.length == bytes.size() &&
            std::memcmp(blob_.data() + slot.offset, bytes.data(), bytes.size()) == 0) {
            return slot.rank;
        }
    }
    return kNone;
}

}  // namespace millrace::text
