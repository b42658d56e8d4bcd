#include "broker/codec.hpp"

#include <algorithm>
#include <bit>

namespace millrace::broker {

namespace {

// Stored: never reuse or renumber.
enum Tag : std::uint8_t {
    kCorrelationId = 1,
    kSubject = 2,
    kContentType = 3,
    kTo = 4,
    kReplyTo = 5,
    kReplyToSessionId = 6,
    kPartitionKey = 7,
    kTimeToLive = 8,
    kBodyFormat = 9,
    kEnqueuedSequence = 10,
    kDeadLetterSource = 11,
    kProperty = 16,
};

enum Kind : std::uint8_t {
    kNull = 0,
    kFalse = 1,
    kTrue = 2,
    kSigned = 3,
    kUnsigned = 4,
    kDouble = 5,
    kText = 6,
    kUuid = 7,
    kTime = 8,
    kEncoded = 9,
};

constexpr std::uint64_t zigzag(std::int64_t value) {
    return (static_cast<std::uint64_t>(value) << 1) ^ static_cast<std::uint64_t>(value >> 63);
}

constexpr std::int64_t unzigzag(std::uint64_t value) {
    return static_cast<std::int64_t>((value >> 1) ^ (~(value & 1) + 1));
}

void append_text(std::string& bytes, std::string_view text) {
    append_varint(bytes, text.size());
    bytes += text;
}

void append_field(std::string& bytes, Tag tag, std::string_view content) {
    if (content.empty()) return;
    bytes += static_cast<char>(tag);
    append_text(bytes, content);
}

void append_number(std::string& bytes, Tag tag, std::uint64_t number) {
    std::string content;
    append_varint(content, number);
    append_field(bytes, tag, content);
}

struct AppendValue {
    std::string& bytes;

    void kind(Kind value) const { bytes += static_cast<char>(value); }
    void operator()(std::monostate) const { kind(kNull); }
    void operator()(bool value) const { kind(value ? kTrue : kFalse); }
    void operator()(std::int64_t value) const {
        kind(kSigned);
        append_varint(bytes, zigzag(value));
    }
    void operator()(std::uint64_t value) const {
        kind(kUnsigned);
        append_varint(bytes, value);
    }
    void operator()(double value) const {
        kind(kDouble);
        auto bits = std::bit_cast<std::uint64_t>(value);
        for (int i = 0; i < 8; ++i, bits >>= 8) bytes += static_cast<char>(bits & 0xff);
    }
    void operator()(const std::string& value) const {
        kind(kText);
        bytes += value;
    }
    void operator()(const Uuid& value) const {
        kind(kUuid);
        bytes.append(reinterpret_cast<const char*>(value.bytes.data()), value.bytes.size());
    }
    void operator()(TimePoint value) const {
        kind(kTime);
        append_varint(bytes, zigzag(to_millis(value)));
    }
    void operator()(const Encoded& value) const {
        kind(kEncoded);
        bytes += value.bytes;
    }
};

std::string encode_property(const std::string& name, const Value& value) {
    std::string content;
    append_text(content, name);
    std::visit(AppendValue{content}, value);
    return content;
}

/// Takes pieces from the front of bytes; once a piece is missing, `broken` stays set and everything read is
/// empty.
class Reader {
  public:
    explicit Reader(std::string_view bytes) : rest_(bytes) {}

    bool at_end() const { return rest_.empty() || broken_; }
    bool broken() const { return broken_; }
    std::string_view rest() const { return rest_; }

    std::uint8_t byte() {
        const std::string_view one = take(1);
        return one.empty() ? 0 : static_cast<std::uint8_t>(one[0]);
    }

    std::uint64_t varint() {
        std::uint64_t value = 0;
        for (unsigned shift = 0; shift < 64; shift += 7) {
            const std::uint8_t group = byte();
            value |= static_cast<std::uint64_t>(group & 0x7f) << shift;
            if (group < 0x80) return value;
        }
        broken_ = true;
        return 0;
    }

    std::string_view text() { return take(varint()); }

    std::string_view take(std::uint64_t size) {
        if (size > rest_.size()) {
            broken_ = true;
            rest_ = {};
            return {};
        }
        const std::string_view taken = rest_.substr(0, size);
        rest_.remove_prefix(size);
        return taken;
    }

  private:
    std::string_view rest_;
    bool broken_ = false;
};

double to_double(std::string_view bytes) {
    std::uint64_t bits = 0;
    for (std::size_t i = bytes.size(); i-- > 0;) bits = bits << 8 | static_cast<std::uint8_t>(bytes[i]);
    return std::bit_cast<double>(bits);
}

Uuid to_uuid(std::string_view bytes) {
    Uuid id;
    std::copy_n(bytes.begin(), std::min(bytes.size(), id.bytes.size()), id.bytes.begin());
    return id;
}

bool read_property(std::string_view content, Properties& properties) {
    Reader reader(content);
    std::string name(reader.text());
    Value value;
    switch (reader.byte()) {
        case kNull: break;
        case kFalse: value = false; break;
        case kTrue: value = true; break;
        case kSigned: value = unzigzag(reader.varint()); break;
        case kUnsigned: value = reader.varint(); break;
        case kDouble: value = to_double(reader.take(8)); break;
        case kText: value = std::string(reader.take(reader.rest().size())); break;
        case kUuid: value = to_uuid(reader.take(16)); break;
        case kTime: value = from_millis(unzigzag(reader.varint())); break;
        case kEncoded: value = Encoded{std::string(reader.take(reader.rest().size()))}; break;
        default: return false;
    }
    if (reader.broken() || !reader.rest().empty()) return false;
    properties.insert_or_assign(std::move(name), std::move(value));
    return true;
}

std::string* text_field(Message& message, Origin& origin, std::uint8_t tag) {
    switch (tag) {
        case kCorrelationId: return &message.correlation_id;
        case kSubject: return &message.subject;
        case kContentType: return &message.content_type;
        case kTo: return &message.to;
        case kReplyTo: return &message.reply_to;
        case kReplyToSessionId: return &message.reply_to_session_id;
        case kPartitionKey: return &message.partition_key;
        case kDeadLetterSource: return &origin.dead_letter_source;
        default: return nullptr;
    }
}

bool read_field(std::uint8_t tag, std::string_view content, Message& message, Origin& origin) {
    if (std::string* text = text_field(message, origin, tag)) {
        *text = content;
        return true;
    }
    Reader reader(content);
    switch (tag) {
        case kTimeToLive: message.time_to_live = Duration(static_cast<std::int64_t>(reader.varint())); break;
        case kBodyFormat: message.body_format = reader.byte(); break;
        case kEnqueuedSequence: origin.enqueued_sequence = static_cast<std::int64_t>(reader.varint()); break;
        case kProperty: return read_property(content, message.properties);
        default: break;  // of a newer version
    }
    return !reader.broken();
}

}  // namespace

void append_varint(std::string& bytes, std::uint64_t value) {
    for (; value >= 0x80; value >>= 7) bytes += static_cast<char>(value | 0x80);
    bytes += static_cast<char>(value);
}

std::string encode_properties(const Message& message, const Origin& origin) {
    std::string bytes;
    append_field(bytes, kCorrelationId, message.correlation_id);
    append_field(bytes, kSubject, message.subject);
    append_field(bytes, kContentType, message.content_type);
    append_field(bytes, kTo, message.to);
    append_field(bytes, kReplyTo, message.reply_to);
    append_field(bytes, kReplyToSessionId, message.reply_to_session_id);
    append_field(bytes, kPartitionKey, message.partition_key);
    if (message.time_to_live) {
        append_number(bytes, kTimeToLive, static_cast<std::uint64_t>(message.time_to_live->count()));
    }
    if (message.body_format != kPlainBody)
        bytes.append({static_cast<char>(kBodyFormat), 1, static_cast<char>(message.body_format)});
    if (origin.enqueued_sequence != 0) {
        append_number(bytes, kEnqueuedSequence, static_cast<std::uint64_t>(origin.enqueued_sequence));
    }
    append_field(bytes, kDeadLetterSource, origin.dead_letter_source);
    for (const auto& [name, value] : message.properties)
        append_field(bytes, kProperty, encode_property(name, value));
    return bytes;
}

Result<void> decode_properties(std::string_view bytes, Message& message, Origin& origin) {
    Reader reader(bytes);
    while (!reader.at_end()) {
        const std::uint8_t tag = reader.byte();
        const std::string_view content = reader.text();
        if (reader.broken() || !read_field(tag, content, message, origin)) {
            return Error{Errc::corrupt, "the stored properties of a message are damaged"};
        }
    }
    return {};
}

std::size_t encoded_size(const Properties& properties) {
    std::size_t size = 0;
    for (const auto& [name, value] : properties) size += encode_property(name, value).size() + 2;
    return size;
}

}  // namespace millrace::broker
