#include "amqp/message.hpp"
#include "amqp/message_sections.hpp"

namespace millrace::amqp {

namespace {

constexpr std::size_t kFields = 13;

/// What stands in front of a body of encoded sections (`broker::kAmqpSections`).
struct Extra {
    std::optional<std::uint8_t> priority;
    std::string_view annotations;  ///< entries without the map's head
    std::uint32_t annotation_count = 0;
    std::array<std::string_view, kFields> fields{};
    std::string_view body;  ///< body sections and footer
};

void read_header(Reader& reader, Extra& extra) {
    const Reader::Items items = reader.list();
    reader.null();
    if (const auto priority = reader.unsigned_number()) extra.priority = static_cast<std::uint8_t>(*priority);
    reader.leave(items);
}

void read_fields(Reader& reader, Extra& extra) {
    const Reader::Items items = reader.list();
    for (std::uint32_t i = 0; i < items.count && i < kFields; ++i) {
        const std::string_view bytes = reader.skip();
        if (bytes != "\x40") extra.fields[i] = bytes;
    }
    reader.leave(items);
}

Extra read_extra(std::string_view sections) {
    Extra extra;
    Reader reader(sections);
    extra.body = sections;
    while (!reader.at_end()) {
        switch (reader.descriptor()) {
            case kHeader: read_header(reader, extra); break;
            case kProperties: read_fields(reader, extra); break;
            case kMessageAnnotations: {
                const Reader::Items items = reader.map();
                const std::size_t begin = reader.position();
                reader.leave(items);
                extra.annotations = sections.substr(begin, items.end - begin);
                extra.annotation_count = items.count;
                break;
            }
            default: return extra;
        }
        extra.body = reader.rest();
    }
    return extra;
}

void text_or_null(Writer& writer, std::string_view text) { text.empty() ? writer.null() : writer.text(text); }

/// Writes the sections of one message in their order.
class MessageWriter {
  public:
    explicit MessageWriter(const broker::Message& message) : message_(message), writer_(out_) {
        out_.reserve(message.body.size() + 512);
        if (message.body_format == broker::kAmqpSections) extra_ = read_extra(message.body);
    }

    void header(std::optional<std::uint32_t> delivery_count) {
        writer_.descriptor(kHeader);
        const std::size_t mark = writer_.begin_list(5);
        writer_.boolean(true);
        extra_.priority ? writer_.ubyte(*extra_.priority) : writer_.null();
        const auto& ttl = message_.time_to_live;
        if (ttl && ttl->count() >= 0 && ttl->count() <= UINT32_MAX)
            writer_.uint(static_cast<std::uint32_t>(ttl->count()));
        else
            writer_.null();
        delivery_count ? writer_.boolean(*delivery_count == 0) : writer_.null();
        delivery_count ? writer_.uint(*delivery_count) : writer_.null();
        writer_.end(mark);
    }

    void lock_token(const Uuid& token) {
        writer_.descriptor(kDeliveryAnnotations);
        const std::size_t mark = writer_.begin_map(2);
        writer_.symbol(annotation::kLockToken);
        writer_.uuid(token);
        writer_.end(mark);
    }

    /// The annotations that a queue engine adds; null: those of a sender.
    void annotations(const broker::Delivery* delivery) {
        std::string entries;
        std::uint32_t count = extra_.annotation_count;
        Writer writer(entries);
        const auto number = [&](const char* name, std::int64_t value) {
            writer.symbol(name);
            writer.value(value);
            count += 2;
        };
        const auto time = [&](const char* name, TimePoint value) {
            writer.symbol(name);
            writer.timestamp(value);
            count += 2;
        };
        const auto text = [&](const char* name, std::string_view value) {
            if (value.empty()) return;
            writer.symbol(name);
            writer.text(value);
            count += 2;
        };
        if (delivery != nullptr) {
            number(annotation::kSequenceNumber, delivery->sequence);
            number(annotation::kEnqueuedSequence, delivery->enqueued_sequence);
            time(annotation::kEnqueuedTime, delivery->enqueued_at);
            if (!delivery->lock_token.is_nil()) time(annotation::kLockedUntil, delivery->locked_until);
            writer.symbol(annotation::kState);
            writer.value(static_cast<std::int32_t>(delivery->state));
            count += 2;
            text(annotation::kDeadLetterSource, delivery->dead_letter_source);
        }
        if (message_.scheduled_at) time(annotation::kScheduledTime, *message_.scheduled_at);
        text(annotation::kPartitionKey, message_.partition_key);
        if (count == 0) return;
        writer_.descriptor(kMessageAnnotations);
        const std::size_t mark = writer_.begin_map(count);
        writer_.raw(entries);
        writer_.raw(extra_.annotations);
        writer_.end(mark);
    }

    /// Clients take the difference of the last two for the time to live.
    void properties(std::optional<TimePoint> expires_at, TimePoint enqueued_at) {
        writer_.descriptor(kProperties);
        const std::size_t mark = writer_.begin_list(kFields);
        id(0, message_.message_id);
        kept(1);
        text_or_null(writer_, message_.to);
        text_or_null(writer_, message_.subject);
        text_or_null(writer_, message_.reply_to);
        id(5, message_.correlation_id);
        message_.content_type.empty() ? writer_.null() : writer_.symbol(message_.content_type);
        kept(7);
        expires_at ? writer_.timestamp(*expires_at) : writer_.null();
        expires_at ? writer_.timestamp(enqueued_at) : kept(9);
        message_.session_id ? writer_.text(*message_.session_id) : writer_.null();
        kept(11);
        text_or_null(writer_, message_.reply_to_session_id);
        writer_.end(mark);
    }

    void application_properties() {
        if (message_.properties.empty()) return;
        writer_.descriptor(kApplicationProperties);
        const std::size_t mark =
            writer_.begin_map(static_cast<std::uint32_t>(message_.properties.size() * 2));
        for (const auto& [name, value] : message_.properties) {
            writer_.text(name);
            property(value);
        }
        writer_.end(mark);
    }

    void body(bool omit) {
        if (message_.body_format == broker::kAmqpSections && !omit) return writer_.raw(extra_.body);
        data(omit ? std::string_view() : message_.body);
    }

    void data(std::string_view bytes) {
        writer_.descriptor(kData);
        writer_.binary(bytes);
    }

    std::string take() { return std::move(out_); }

  private:
    void kept(std::size_t field) {
        const std::string_view bytes = extra_.fields[field];
        bytes.empty() ? writer_.null() : writer_.raw(bytes);
    }

    void id(std::size_t field, std::string_view text) {
        if (!extra_.fields[field].empty()) return kept(field);
        text_or_null(writer_, text);
    }

    void property(const broker::Value& value) {
        if (const auto* encoded = std::get_if<broker::Encoded>(&value)) return writer_.raw(encoded->bytes);
        if (const auto* text = std::get_if<std::string>(&value)) return writer_.text(*text);
        writer_.value(from_broker(value));
    }

    const broker::Message& message_;
    std::string out_;
    Writer writer_;
    Extra extra_;
};

}  // namespace

std::string write_delivery(const broker::Delivery& delivery, bool omit_body) {
    MessageWriter writer(delivery.message);
    writer.header(static_cast<std::uint32_t>(std::max(delivery.delivery_count, 0)));
    if (!delivery.lock_token.is_nil()) writer.lock_token(delivery.lock_token);
    writer.annotations(&delivery);
    std::optional<TimePoint> expires_at;
    if (delivery.expires_at != kNever) expires_at = delivery.expires_at;
    writer.properties(expires_at, delivery.enqueued_at);
    writer.application_properties();
    writer.body(omit_body);
    return writer.take();
}

std::string write_message(const broker::Message& message, bool neutral) {
    MessageWriter writer(message);
    writer.header(std::nullopt);
    if (!neutral) writer.annotations(nullptr);
    writer.properties(std::nullopt, {});
    writer.application_properties();
    writer.body(false);
    return writer.take();
}

std::string write_batch(const std::vector<broker::Message>& messages) {
    std::string out;
    Writer writer(out);
    for (const broker::Message& message : messages) {
        writer.descriptor(kData);
        writer.binary(write_message(message));
    }
    return out;
}

Value from_broker(const broker::Value& value) {
    return std::visit(
        [](const auto& held) -> Value {
            using T = std::decay_t<decltype(held)>;
            if constexpr (std::is_same_v<T, std::monostate>) {
                return Null{};
            } else if constexpr (std::is_same_v<T, broker::Encoded>) {
                auto decoded = decode(held.bytes);
                return decoded ? std::move(*decoded) : Value();
            } else {
                return held;
            }
        },
        value);
}

Map from_properties(const broker::Properties& properties) {
    Map map;
    for (const auto& [name, value] : properties) map.set(name, from_broker(value));
    return map;
}

}  // namespace millrace::amqp
