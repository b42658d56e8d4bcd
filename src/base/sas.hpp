// Shared access signatures: how clients of Azure Service Bus prove that they know a key.
#pragma once

#include "base/clock.hpp"
#include "base/error.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace millrace {

/// The path in `audience`, any form that clients write: "sb://Host:5671/Orders/?x=1", "/orders" and
/// "orders/$management" all give "orders". Lower case, percent-decoded; empty: the whole server.
std::string audience_path(std::string_view audience);

/// What a key allows. Manage includes the others.
struct Rights {
    bool send = false;
    bool listen = false;
    bool manage = false;
    bool operator==(const Rights&) const = default;
};

/// One shared access key.
struct AccessKey {
    std::string name;
    std::string key;     ///< its UTF-8 text is the HMAC key
    Rights rights;
    std::string entity;  ///< path below which it is good; empty: everything
};

/// What a valid token grants.
struct Grant {
    std::string key_name;
    Rights rights;
    std::string path;  ///< as `audience_path` gives it; empty: everything
    TimePoint expires_at = kNever;

    /// True if `entity`, in any form that `audience_path` reads, is `path` or lies below it.
    bool covers(std::string_view entity) const;
    /// The same for the `audience_path` of an entity.
    bool covers_path(std::string_view path_asked) const;
};

/// The keys that an operator has configured. Immutable; any thread.
class AccessKeys {
  public:
    /// Without keys every well-formed token is good for everything: for servers that only this machine
    /// reaches.
    AccessKeys() = default;
    explicit AccessKeys(std::vector<AccessKey> keys) : keys_(std::move(keys)) {}
    /// One key a line: NAME KEY RIGHTS [ENTITY]; rights are Send, Listen and Manage joined by commas; '#' at
    /// the start of a word begins a comment. A name may have several keys, e.g. an old and a new one.
    /// invalid_input names the line, never its key.
    static Result<AccessKeys> parse(std::string_view text);

    bool empty() const noexcept { return keys_.empty(); }
    const std::vector<AccessKey>& keys() const noexcept { return keys_; }

    /// Verifies "SharedAccessSignature sr=…&sig=…&se=…&skn=…" over `sr` as received, in constant time.
    /// A token for more than its key is good for grants what the key is good for. `sr` is a URL, HOST:PORT
    /// with or without a path, or an entity; a first part that equals `host` is a host, too.
    /// invalid_input: not such a token, an unknown key, a wrong signature or expired; the detail holds no
    /// secret.
    Result<Grant> verify(std::string_view token, TimePoint now, std::string_view host = {}) const;
    /// The grant of somebody who shows the key itself (SASL PLAIN). invalid_input as above.
    Result<Grant> check_plain(std::string_view key_name, std::string_view key) const;

  private:
    std::vector<AccessKey> keys_;
};

/// A token for `audience`, e.g. "sb://host/queue".
std::string make_sas_token(std::string_view audience, std::string_view key_name, std::string_view key,
                           TimePoint expires_at);

}  // namespace millrace
