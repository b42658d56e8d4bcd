#include "amqp/message.hpp"
#include "amqp/message_sections.hpp"
#include "base/limits.hpp"

#include <algorithm>
#include <iterator>
#include <string_view>

namespace millrace::amqp {

namespace {

/// Annotations that say where a message was, not what it is: those of Service Bus, and of RabbitMQ 4.
constexpr std::string_view kOfBrokers[] = {annotation::kPartitionId, annotation::kLockToken, "x-exchange",
                                           "x-routing-key"};

Error broken(const char* why) { return Error{Errc::corrupt, std::string("not an AMQP message: ") + why}; }

/// The text form of a message id or correlation id that is no text (part 3, 3.2.11 to 3.2.14).
std::string id_text(const Value& id) {
    if (const auto text = text_of(&id)) return std::string(*text);
    if (const auto* number = id.as<std::uint64_t>()) return std::to_string(*number);
    if (const auto* uuid = id.as<Uuid>()) return to_string(*uuid);
    if (const auto* binary = id.as<Binary>()) {
        static constexpr char kDigits[] = "0123456789abcdef";
        std::string hex;
        for (const char c : binary->bytes) {
            hex.push_back(kDigits[static_cast<unsigned char>(c) >> 4]);
            hex.push_back(kDigits[static_cast<unsigned char>(c) & 15]);
        }
        return hex;
    }
    return {};
}

/// Reads one message section by section. What has no field in `broker::Message` is written to `extra`.
class MessageReader {
  public:
    explicit MessageReader(std::string_view sections) : reader_(sections), sections_(sections) {}

    /// `owner`, if any, holds the sections and may become the body.
    Result<broker::Delivery> read(std::string* owner = nullptr) {
        while (!reader_.at_end()) section();
        if (reader_.failed()) return broken(reader_.problem());
        broker::Message& message = delivery_.message;
        if (!annotations_.empty()) write_annotations();
        if (has_extra_fields_) write_fields();
        if (extra_.empty() && bodies_ == 1 && footer_.empty() && data_ == 1) {
            take_body(owner);
        } else if (!extra_.empty() || bodies_ > 0 || !footer_.empty()) {
            message.body_format = broker::kAmqpSections;
            message.body = std::move(extra_);
            message.body.append(sections_.substr(body_begin_, body_end_ - body_begin_));
            message.body.append(footer_);
        }
        return std::move(delivery_);
    }

  private:
    void take_body(std::string* owner) {
        std::string& body = delivery_.message.body;
        if (owner == nullptr || body_.size() < sections_.size() / 2) {
            body.assign(body_);
            return;
        }
        const auto begin = static_cast<std::size_t>(body_.data() - sections_.data());
        owner->resize(begin + body_.size());
        owner->erase(0, begin);
        body = std::move(*owner);
    }

    void section() {
        const std::size_t begin = reader_.position();
        switch (const std::uint64_t code = reader_.descriptor()) {
            case kHeader: return header();
            case kDeliveryAnnotations: return delivery_annotations();
            case kMessageAnnotations: return message_annotations();
            case kProperties: return properties();
            case kApplicationProperties: return application_properties();
            case kData:
            case kSequence:
            case kAmqpValue: return body(code, begin);
            case kFooter:
                reader_.skip();
                footer_ = sections_.substr(begin, reader_.position() - begin);
                return;
            default: reader_.fail("a section is unknown");
        }
    }

    void header() {
        const Reader::Items items = reader_.list();
        if (items.count > 0) reader_.boolean();  // durable: everything is
        if (items.count > 1) {
            const auto priority = reader_.unsigned_number();
            if (priority && *priority != kPriorityDefault)
                write_priority(static_cast<std::uint8_t>(*priority));
        }
        if (items.count > 2) {
            const auto ttl = reader_.unsigned_number();
            if (ttl) delivery_.message.time_to_live = Duration(static_cast<std::int64_t>(*ttl));
        }
        if (items.count > 3) first_acquirer_ = reader_.boolean();
        if (items.count > 4)
            delivery_.delivery_count = static_cast<int>(reader_.unsigned_number().value_or(0));
        // A broker that does not count says only that somebody had it before.
        if (delivery_.delivery_count == 0 && first_acquirer_ == false) delivery_.delivery_count = 1;
        reader_.leave(items);
    }

    void write_priority(std::uint8_t priority) {
        Writer writer(extra_);
        writer.descriptor(kHeader);
        const std::size_t mark = writer.begin_list(2);
        writer.null();
        writer.ubyte(priority);
        writer.end(mark);
    }

    void delivery_annotations() {
        const Value value = reader_.value();
        const auto* map = value.as<Map>();
        const Value* token = map == nullptr ? nullptr : map->find(annotation::kLockToken);
        if (token != nullptr && token->as<Uuid>() != nullptr) delivery_.lock_token = *token->as<Uuid>();
    }

    void message_annotations() {
        Value value = reader_.value();
        auto* map = std::get_if<Map>(&value);
        if (map == nullptr) return reader_.fail("the annotations are no map");
        for (auto& [key, held] : map->entries) {
            if (!take_annotation(text_of(&key).value_or(""), held))
                annotations_.entries.emplace_back(std::move(key), std::move(held));
        }
    }

    static TimePoint time_of(const Value& value) {
        const auto* time = value.as<TimePoint>();
        return time == nullptr ? TimePoint{} : *time;
    }

    /// True if the annotation has a field, or is one that only the queue engine may write.
    bool take_annotation(std::string_view name, const Value& value) {
        if (std::find(std::begin(kOfBrokers), std::end(kOfBrokers), name) != std::end(kOfBrokers))
            return true;
        if (!name.starts_with("x-opt-")) return false;
        broker::Message& message = delivery_.message;
        if (name == annotation::kScheduledTime) {
            if (const auto* time = value.as<TimePoint>()) message.scheduled_at = *time;
        } else if (name == annotation::kPartitionKey) {
            message.partition_key = std::string(text_of(&value).value_or(""));
        } else if (name == annotation::kSequenceNumber) {
            delivery_.sequence = integer_of(value).value_or(0);
        } else if (name == annotation::kEnqueuedSequence) {
            delivery_.enqueued_sequence = integer_of(value).value_or(0);
        } else if (name == annotation::kEnqueuedTime) {
            delivery_.enqueued_at = time_of(value);
        } else if (name == annotation::kLockedUntil) {
            delivery_.locked_until = time_of(value);
        } else if (name == annotation::kState) {
            const auto state = integer_of(value).value_or(0);
            if (state >= 0 && state <= 2) delivery_.state = static_cast<broker::State>(state);
        } else if (name == annotation::kDeadLetterSource) {
            delivery_.dead_letter_source = std::string(text_of(&value).value_or(""));
        } else {
            return false;
        }
        return true;
    }

    void properties() {
        broker::Message& message = delivery_.message;
        const Reader::Items items = reader_.list();
        for (std::uint32_t i = 0; i < items.count && !reader_.failed(); ++i) {
            switch (i) {
                case 0: message.message_id = typed_id(i); break;
                case 2: message.to = std::string(reader_.text().value_or("")); break;
                case 3: message.subject = std::string(reader_.text().value_or("")); break;
                case 4: message.reply_to = std::string(reader_.text().value_or("")); break;
                case 5: message.correlation_id = typed_id(i); break;
                case 6: message.content_type = std::string(reader_.text().value_or("")); break;
                case 8: {
                    // A sender's own is not kept: the queue makes it from the time to live.
                    const Value expires_at = reader_.value();
                    if (!expires_at.is_null()) delivery_.expires_at = time_of(expires_at);
                    break;
                }
                case 9: creation_time(); break;
                case 10:
                    if (const auto group = reader_.text()) message.session_id = std::string(*group);
                    break;
                case 12: message.reply_to_session_id = std::string(reader_.text().value_or("")); break;
                default: keep_field(i);
            }
        }
        reader_.leave(items);
    }

    /// A sender's own is kept; what the queue has made for an expiry follows from other fields.
    void creation_time() {
        const std::size_t begin = reader_.position();
        const Value created = reader_.value();
        if (created.is_null() || reader_.failed() || time_of(created) == delivery_.enqueued_at) return;
        fields_[9] = sections_.substr(begin, reader_.position() - begin);
        has_extra_fields_ = true;
    }

    /// An id as text; kept as it stands, too, if it is no text.
    std::string typed_id(std::uint32_t field) {
        const std::size_t begin = reader_.position();
        const Value id = reader_.value();
        if (!id.is_null() && !text_of(&id) && !reader_.failed()) {
            fields_[field] = sections_.substr(begin, reader_.position() - begin);
            has_extra_fields_ = true;
        }
        return id_text(id);
    }

    void keep_field(std::uint32_t field) {
        if (reader_.null()) return;
        const std::string_view bytes = reader_.skip();
        if (field >= fields_.size()) return;
        fields_[field] = bytes;
        has_extra_fields_ = true;
    }

    void write_annotations() {
        Writer writer(extra_);
        writer.descriptor(kMessageAnnotations);
        writer.map(annotations_);
    }

    void write_fields() {
        Writer writer(extra_);
        writer.descriptor(kProperties);
        const std::size_t mark = writer.begin_list(static_cast<std::uint32_t>(fields_.size()));
        for (const std::string_view field : fields_) field.empty() ? writer.null() : writer.raw(field);
        writer.end(mark);
    }

    void application_properties() {
        const Reader::Items items = reader_.map();
        for (std::uint32_t i = 0; i + 1 < items.count && !reader_.failed(); i += 2) {
            const auto name = reader_.text();
            const std::string_view bytes = reader_.skip();
            if (!name || reader_.failed()) return reader_.fail("an application property has no name");
            auto value = decode(bytes);
            if (!value) return reader_.fail("an application property is damaged");
            delivery_.message.properties.insert_or_assign(std::string(*name), to_broker(*value));
        }
        reader_.leave(items);
    }

    void body(std::uint64_t code, std::size_t begin) {
        if (bodies_ == 0) body_begin_ = begin;
        if (code == kData) {
            const auto bytes = reader_.binary();
            if (!bytes) return reader_.fail("a data section holds no bytes");
            body_ = *bytes;
            data_ += 1;
        } else {
            reader_.skip();
        }
        body_end_ = reader_.position();
        bodies_ += 1;
    }

    Reader reader_;
    std::string_view sections_;
    broker::Delivery delivery_;
    std::optional<bool> first_acquirer_;
    Map annotations_;
    std::array<std::string_view, 13> fields_{};
    bool has_extra_fields_ = false;
    std::string extra_;
    std::string_view body_;
    std::string_view footer_;
    std::size_t body_begin_ = 0;
    std::size_t body_end_ = 0;
    int bodies_ = 0;
    int data_ = 0;
};

}  // namespace

Result<broker::Delivery> read_message(std::string_view sections) { return MessageReader(sections).read(); }

Result<std::vector<broker::Message>> read_transfer(std::string&& payload, std::uint32_t format) {
    std::vector<broker::Message> messages;
    if (format != kBatchFormat) {
        auto read = MessageReader(payload).read(&payload);
        if (!read) return read.error();
        messages.push_back(std::move(read->message));
        return messages;
    }
    // What stands before the data sections repeats the first message's and is for routing only.
    Reader reader(payload);
    while (!reader.at_end()) {
        if (reader.descriptor() != kData) {
            reader.skip();
            continue;
        }
        const auto bytes = reader.binary();
        if (!bytes) return broken("a batch holds something else than messages");
        auto read = read_message(*bytes);
        if (!read) return read.error();
        messages.push_back(std::move(read->message));
        if (messages.size() > limits::amqp_batch_messages_max)
            return broken("a batch holds too many messages");
    }
    if (reader.failed()) return broken(reader.problem());
    return messages;
}

broker::Value to_broker(const Value& value) {
    return std::visit(
        [&value](const auto& held) -> broker::Value {
            using T = std::decay_t<decltype(held)>;
            if constexpr (std::is_same_v<T, Null>)
                return std::monostate{};
            else if constexpr (std::is_same_v<T, bool> || std::is_same_v<T, std::int64_t> ||
                               std::is_same_v<T, std::uint64_t> || std::is_same_v<T, double> ||
                               std::is_same_v<T, std::string> || std::is_same_v<T, Uuid> ||
                               std::is_same_v<T, TimePoint>)
                return held;
            else
                return broker::Encoded{encode(value)};
        },
        static_cast<const Value::variant&>(value));
}

broker::Properties to_properties(const Map& map) {
    broker::Properties properties;
    for (const auto& [key, value] : map.entries) {
        if (const auto name = text_of(&key))
            properties.insert_or_assign(std::string(*name), to_broker(value));
    }
    return properties;
}

}  // namespace millrace::amqp
