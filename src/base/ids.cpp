#include "base/ids.hpp"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <random>

namespace millrace {

namespace {

constexpr char kHexDigits[] = "0123456789abcdef";

void append_hex(std::string& text, std::uint8_t byte) {
    const char digits[2] = {kHexDigits[byte >> 4], kHexDigits[byte & 15]};
    text.append(digits, 2);
}

std::mt19937_64 seeded_engine() {
    std::random_device device;
    std::seed_seq seed{device(), device(), device(), device(), device(), device(), device(), device()};
    return std::mt19937_64(seed);
}

}  // namespace

Uuid random_uuid() {
    thread_local std::mt19937_64 engine = seeded_engine();
    const std::uint64_t words[2] = {engine(), engine()};
    Uuid id;
    __builtin_memcpy(id.bytes.data(), words, sizeof words);
    id.bytes[6] = static_cast<std::uint8_t>((id.bytes[6] & 0x0f) | 0x40);
    id.bytes[8] = static_cast<std::uint8_t>((id.bytes[8] & 0x3f) | 0x80);
    return id;
}

std::string to_hex(const Uuid& id) {
    std::string text;
    text.reserve(32);
    for (const auto byte : id.bytes) append_hex(text, byte);
    return text;
}

std::string to_string(const Uuid& id) {
    std::string text;
    text.reserve(36);
    for (std::size_t i = 0; i < id.bytes.size(); ++i) {
        if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
        append_hex(text, id.bytes[i]);
    }
    return text;
}

std::string sha256(std::string_view bytes) {
    std::string digest(32, '\0');
    EVP_Digest(bytes.data(), bytes.size(), reinterpret_cast<unsigned char*>(digest.data()), nullptr,
               EVP_sha256(), nullptr);
    return digest;
}

std::string sha256_hex(std::string_view bytes) {
    std::string text;
    text.reserve(64);
    for (const char byte : sha256(bytes)) append_hex(text, static_cast<std::uint8_t>(byte));
    return text;
}

bool equal_constant_time(std::string_view a, std::string_view b) noexcept {
    const std::string_view same_length = a.size() == b.size() ? b : a;
    const bool equal = CRYPTO_memcmp(a.data(), same_length.data(), a.size()) == 0;
    return equal && a.size() == b.size();
}

}  // namespace millrace
