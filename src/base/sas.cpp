#include "base/sas.hpp"

#include "base/ids.hpp"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

namespace millrace {

namespace {

constexpr std::size_t kTokenBytesMax = 8 * 1024;
constexpr std::size_t kKeyBytesMax = 512;
constexpr std::size_t kKeyNameBytesMax = 256;
constexpr std::size_t kKeysMax = 10'000;
constexpr std::size_t kExpiryDigitsMax = 12;  // far beyond the year 9999
constexpr std::string_view kScheme = "SharedAccessSignature";
constexpr std::string_view kManagement = "/$management";

char lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; }

std::string lower_case(std::string_view text) {
    std::string out(text);
    std::transform(out.begin(), out.end(), out.begin(), lower);
    return out;
}

int hex_value(char c) noexcept {
    if (c >= '0' && c <= '9') return c - '0';
    const char letter = lower(c);
    return letter >= 'a' && letter <= 'f' ? letter - 'a' + 10 : -1;
}

/// What is no percent-encoding stays as it is; '+' does too, for names and signatures may hold it.
std::string percent_decoded(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    for (std::size_t i = 0; i < text.size(); ++i) {
        const bool escape = text[i] == '%' && i + 2 < text.size();
        const int high = escape ? hex_value(text[i + 1]) : -1;
        const int low = escape ? hex_value(text[i + 2]) : -1;
        if (high < 0 || low < 0) {
            out += text[i];
            continue;
        }
        out += static_cast<char>(high * 16 + low);
        i += 2;
    }
    return out;
}

std::string percent_encoded(std::string_view text) {
    constexpr std::string_view plain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~";
    constexpr std::string_view digits = "0123456789ABCDEF";
    std::string out;
    for (const char c : text) {
        if (plain.find(c) != std::string_view::npos) {
            out += c;
            continue;
        }
        const auto byte = static_cast<unsigned char>(c);
        out += {'%', digits[byte >> 4], digits[byte & 15]};
    }
    return out;
}

/// Base64 of HMAC-SHA256 over `resource`, a line feed and `expiry`.
std::string signature_of(std::string_view key, std::string_view resource, std::string_view expiry) {
    const std::string text = std::string(resource) + "\n" + std::string(expiry);
    std::array<unsigned char, 32> digest{};
    unsigned size = 0;
    if (HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
             reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data(),
             &size) == nullptr)
        throw MachineError("the crypto library cannot compute an HMAC");
    std::array<unsigned char, 45> encoded{};
    const int length = EVP_EncodeBlock(encoded.data(), digest.data(), static_cast<int>(digest.size()));
    return {reinterpret_cast<const char*>(encoded.data()), static_cast<std::size_t>(length)};
}

/// A name from a token, fit for a log line.
std::string shown(std::string_view name) {
    std::string text(name.substr(0, 64));
    for (char& c : text)
        if (c < ' ' || c > '~' || c == '"') c = '?';
    return "\"" + text + "\"";
}

/// The parameters of a token, still percent-encoded.
struct Token {
    std::string_view resource, signature, expiry, key_name;
};

Error malformed(std::string_view why) {
    return Error{Errc::invalid_input,
                 "the token is no \"SharedAccessSignature sr=…&sig=…&se=…&skn=…\": " + std::string(why)};
}

Result<Token> read_token(std::string_view text) {
    if (text.size() > kTokenBytesMax) return malformed("it is longer than 8 KiB");
    if (text.size() <= kScheme.size() || lower_case(text.substr(0, kScheme.size())) != lower_case(kScheme) ||
        text[kScheme.size()] != ' ')
        return malformed("it does not begin so");
    text.remove_prefix(kScheme.size());
    while (text.starts_with(' ')) text.remove_prefix(1);
    Token token;
    while (!text.empty()) {
        const std::string_view part = text.substr(0, text.find('&'));
        text.remove_prefix(std::min(text.size(), part.size() + 1));
        const auto equals = part.find('=');
        if (equals == std::string_view::npos) return malformed("a parameter has no value");
        const std::string_view name = part.substr(0, equals);
        std::string_view* slot = name == "sr"    ? &token.resource
                                 : name == "sig" ? &token.signature
                                 : name == "se"  ? &token.expiry
                                 : name == "skn" ? &token.key_name
                                                 : nullptr;
        if (slot == nullptr) continue;
        if (!slot->empty()) return malformed("a parameter comes twice");
        *slot = part.substr(equals + 1);
    }
    if (token.resource.empty() || token.signature.empty() || token.expiry.empty() || token.key_name.empty())
        return malformed("a parameter is missing");
    return token;
}

Result<TimePoint> read_expiry(std::string_view text) {
    std::int64_t seconds = -1;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
    if (text.size() > kExpiryDigitsMax || error != std::errc{} || end != text.data() + text.size() ||
        seconds < 0)
        return malformed("se is not a number of seconds");
    return TimePoint(std::chrono::seconds(seconds));
}

bool is_at_or_below(std::string_view path, std::string_view top) {
    if (top.empty() || path == top) return true;
    return path.size() > top.size() && path.starts_with(top) && path[top.size()] == '/';
}

/// The path that a token names. Without a scheme it begins with a host only where that cannot be an entity,
/// whose name may hold dots but no colon; or where it is `host`.
std::string resource_path(const std::string& resource, std::string_view host) {
    const std::string first = lower_case(resource.substr(0, resource.find('/')));
    const bool is_host = first.find(':') != std::string::npos || (!host.empty() && first == lower_case(host));
    const bool bare = resource.find("://") == std::string::npos && is_host;
    return audience_path(bare ? std::string("sb://").append(resource) : resource);
}

/// What remains of a token for `asked` under a key that is good below `allowed`; none: nothing.
std::optional<std::string> common_path(std::string asked, std::string_view allowed) {
    if (is_at_or_below(asked, allowed)) return asked;
    if (is_at_or_below(allowed, asked)) return std::string(allowed);
    return std::nullopt;
}

Rights all_rights() { return {.send = true, .listen = true, .manage = true}; }

std::vector<std::string_view> words_of(std::string_view line) {
    constexpr std::string_view blanks = " \t\r";
    std::vector<std::string_view> words;
    while (true) {
        const auto begin = line.find_first_not_of(blanks);
        if (begin == std::string_view::npos || line[begin] == '#') return words;
        line.remove_prefix(begin);
        words.push_back(line.substr(0, line.find_first_of(blanks)));
        line.remove_prefix(words.back().size());
    }
}

std::optional<Rights> read_rights(std::string_view text) {
    Rights rights;
    while (true) {
        const std::string_view word = text.substr(0, text.find(','));
        const std::string name = lower_case(word);
        if (name == "manage")
            rights = all_rights();
        else if (name == "send")
            rights.send = true;
        else if (name == "listen")
            rights.listen = true;
        else
            return std::nullopt;
        if (word.size() == text.size()) return rights;
        text.remove_prefix(word.size() + 1);
    }
}

Result<AccessKey> read_key(const std::vector<std::string_view>& words, std::size_t line) {
    const auto wrong = [line](std::string_view why) {
        return Error{Errc::invalid_input,
                     "line " + std::to_string(line) + ": " + std::string(why) +
                         "; write NAME KEY RIGHTS [ENTITY], rights being Send, Listen and "
                         "Manage joined by commas"};
    };
    if (words.size() < 3 || words.size() > 4)
        return wrong("it has " + std::to_string(words.size()) + " words");
    if (words[0].size() > kKeyNameBytesMax) return wrong("the name is longer than 256 bytes");
    if (words[1].size() > kKeyBytesMax) return wrong("the key is longer than 512 bytes");
    const auto rights = read_rights(words[2]);
    if (!rights) return wrong("the third word is not rights");
    const std::string entity = words.size() == 4 ? audience_path(words[3]) : std::string();
    if (words.size() == 4 && entity.empty()) return wrong("the entity is empty");
    return AccessKey{std::string(words[0]), std::string(words[1]), *rights, entity};
}

}  // namespace

std::string audience_path(std::string_view audience) {
    audience = audience.substr(0, audience.find_first_of("?#"));
    if (const auto scheme = audience.find("://"); scheme != std::string_view::npos) {
        audience.remove_prefix(scheme + 3);
        audience.remove_prefix(std::min(audience.find('/'), audience.size()));
    }
    std::string path = lower_case(percent_decoded(audience));
    path.erase(0, std::min(path.find_first_not_of('/'), path.size()));
    const auto trim = [&path] { path.erase(path.find_last_not_of('/') + 1); };
    trim();
    if (path == kManagement.substr(1)) return "";
    if (path.ends_with(kManagement)) path.erase(path.size() - kManagement.size());
    trim();
    return path;
}

bool Grant::covers(std::string_view entity) const { return covers_path(audience_path(entity)); }

bool Grant::covers_path(std::string_view path_asked) const { return is_at_or_below(path_asked, path); }

Result<AccessKeys> AccessKeys::parse(std::string_view text) {
    std::vector<AccessKey> keys;
    for (std::size_t line = 1; !text.empty(); ++line) {
        const std::string_view row = text.substr(0, text.find('\n'));
        text.remove_prefix(std::min(text.size(), row.size() + 1));
        const auto words = words_of(row);
        if (words.empty()) continue;
        auto key = read_key(words, line);
        if (!key) return key.error();
        if (keys.size() == kKeysMax)
            return Error{Errc::invalid_input, "line " + std::to_string(line) + ": more than 10,000 keys"};
        keys.push_back(std::move(*key));
    }
    return AccessKeys(std::move(keys));
}

Result<Grant> AccessKeys::verify(std::string_view text, TimePoint now, std::string_view host) const {
    const auto token = read_token(text);
    if (!token) return token.error();
    const auto expires_at = read_expiry(token->expiry);
    if (!expires_at) return expires_at.error();
    Grant grant{
        .key_name = percent_decoded(token->key_name), .rights = {}, .path = {}, .expires_at = *expires_at};
    if (keys_.empty()) {
        grant.rights = all_rights();
        grant.expires_at = kNever;
        return grant;
    }
    const std::string given = percent_decoded(token->signature);
    const AccessKey* signer = nullptr;
    bool named = false;
    bool signed_well = false;
    for (const AccessKey& key : keys_) {
        if (key.name != grant.key_name) continue;
        named = true;
        const std::string expected = signature_of(key.key, token->resource, token->expiry);
        if (!equal_constant_time(given, expected)) continue;
        signed_well = true;
        auto path = common_path(resource_path(percent_decoded(token->resource), host), key.entity);
        if (!path || signer != nullptr) continue;
        signer = &key;
        grant.path = std::move(*path);
    }
    if (!named) return Error{Errc::invalid_input, "no access key is named " + shown(grant.key_name)};
    if (!signed_well)
        return Error{Errc::invalid_input, "the signature does not match the access key " +
                                              shown(grant.key_name) +
                                              "; check the key of the connection string"};
    if (signer == nullptr)
        return Error{Errc::invalid_input,
                     "the access key " + shown(grant.key_name) + " is not good for what the token names"};
    if (*expires_at <= now)
        return Error{Errc::invalid_input, "the token has expired; check the clocks of both machines"};
    grant.rights = signer->rights;
    return grant;
}

Result<Grant> AccessKeys::check_plain(std::string_view key_name, std::string_view key) const {
    if (keys_.empty()) return Grant{.key_name = std::string(key_name), .rights = all_rights(), .path = {}};
    const std::string given = sha256(key);
    const AccessKey* found = nullptr;
    for (const AccessKey& one : keys_) {
        const bool same = equal_constant_time(sha256(one.key), given);
        if (same && one.name == key_name && found == nullptr) found = &one;
    }
    if (found == nullptr)
        return Error{Errc::invalid_input,
                     "no access key is named " + shown(key_name) + ", or its key is another one"};
    return Grant{.key_name = found->name, .rights = found->rights, .path = found->entity};
}

std::string make_sas_token(std::string_view audience, std::string_view key_name, std::string_view key,
                           TimePoint expires_at) {
    const std::string resource = percent_encoded(audience);
    const auto seconds = std::chrono::floor<std::chrono::seconds>(expires_at);
    const std::string expiry = std::to_string(seconds.time_since_epoch().count());
    std::string token(kScheme);
    token.append(" sr=").append(resource);
    token.append("&sig=").append(percent_encoded(signature_of(key, resource, expiry)));
    token.append("&se=").append(expiry);
    return token.append("&skn=").append(percent_encoded(key_name));
}

}  // namespace millrace
