#include "broker/engine.hpp"

#include <openssl/rand.h>

#include <array>
#include <cstring>

namespace millrace::broker {

namespace {

std::size_t characters(std::string_view text) {
    return static_cast<std::size_t>(
        std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

Error refused(std::string why) { return Error{Errc::invalid_input, "message refused: " + std::move(why)}; }

Result<void> check_length(std::string_view field, std::string_view text, std::size_t characters_max) {
    if (text.size() <= characters_max || characters(text) <= characters_max) return {};
    return refused(std::string(field) + " is longer than " + std::to_string(characters_max) + " characters");
}

std::size_t header_bytes(const Message& message) {
    return message.message_id.size() + (message.session_id ? message.session_id->size() : 0) +
           message.correlation_id.size() + message.subject.size() + message.content_type.size() +
           message.to.size() + message.reply_to.size() + message.reply_to_session_id.size() +
           message.partition_key.size();
}

}  // namespace

Error no_such_entity(std::string_view name) {
    return Error{Errc::not_found,
                 "there is no queue, topic or subscription \"" + std::string(name.substr(0, 300)) + "\""};
}

Error lock_lost() {
    return Error{Errc::conflict, "the lock is lost: it ran out, or the message is settled already"};
}

Uuid make_token(std::int64_t number, std::uint64_t nonce) {
    Uuid token;
    std::memcpy(token.bytes.data(), &nonce, sizeof nonce);
    std::memcpy(token.bytes.data() + sizeof nonce, &number, sizeof number);
    return token;
}

std::int64_t number_of(const Uuid& token) {
    std::int64_t number;
    std::memcpy(&number, token.bytes.data() + sizeof(std::uint64_t), sizeof number);
    return number;
}

std::uint64_t nonce_of(const Uuid& token) {
    std::uint64_t nonce;
    std::memcpy(&nonce, token.bytes.data(), sizeof nonce);
    return nonce;
}

// From the system's generator, some at a time: whoever has seen many tokens must not be able to tell the next
// one.
std::uint64_t random_nonce() {
    thread_local std::array<std::uint64_t, 256> pool;
    thread_local std::size_t used = pool.size();
    if (used == pool.size()) {
        if (::RAND_bytes(reinterpret_cast<unsigned char*>(pool.data()), sizeof pool) != 1) {
            throw MachineError("the system gives no random numbers");
        }
        used = 0;
    }
    return pool[used++];
}

Result<void> check_message(Message& message, std::size_t bytes_max) {
    const std::pair<std::string_view, std::string_view> identifiers[] = {
        {"the message id", message.message_id},
        {"the session id", message.session_id ? std::string_view(*message.session_id) : std::string_view()},
        {"the reply-to session id", message.reply_to_session_id},
        {"the partition key", message.partition_key},
    };
    for (const auto& [field, text] : identifiers) {
        if (auto checked = check_length(field, text, limits::message_id_chars_max); !checked) return checked;
    }
    if (message.time_to_live && message.time_to_live->count() < 0)
        return refused("its time to live is negative");
    const std::size_t properties = message.properties.empty() ? 0 : encoded_size(message.properties);
    if (properties > limits::properties_bytes_max) return refused("its properties are larger than 64 KiB");
    const std::size_t bytes = header_bytes(message) + properties + message.body.size();
    if (bytes > bytes_max) {
        return refused("its " + std::to_string(bytes) + " bytes are more than " + std::to_string(bytes_max) +
                       "; store the content and send a reference to it");
    }
    if (message.message_id.empty()) message.message_id = to_hex(random_uuid());
    return {};
}

}  // namespace millrace::broker
