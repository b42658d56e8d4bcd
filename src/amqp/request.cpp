#include "amqp/request.hpp"

#include "amqp/codec.hpp"
#include "amqp/message_sections.hpp"

namespace millrace::amqp {

namespace {

struct Parts {
    Value message_id;
    Value correlation_id;
    std::string subject;
    std::string reply_to;
    Map properties;
    Value body;
};

void read_ids(Reader& reader, Parts& parts) {
    const Reader::Items items = reader.list();
    for (std::uint32_t i = 0; i < items.count && !reader.failed(); ++i) {
        if (i == 0)
            parts.message_id = reader.value();
        else if (i == 3)
            parts.subject = std::string(reader.text().value_or(""));
        else if (i == 4)
            parts.reply_to = std::string(reader.text().value_or(""));
        else if (i == 5)
            parts.correlation_id = reader.value();
        else
            reader.skip();
    }
    reader.leave(items);
}

Result<Parts> read_parts(std::string_view sections) {
    Parts parts;
    Reader reader(sections);
    while (!reader.at_end()) {
        switch (reader.descriptor()) {
            case kProperties: read_ids(reader, parts); break;
            case kApplicationProperties: {
                Value value = reader.value();
                if (auto* map = std::get_if<Map>(&value)) parts.properties = std::move(*map);
                break;
            }
            case kData:
            case kAmqpValue: parts.body = reader.value(); break;
            default: reader.skip();
        }
    }
    if (reader.failed()) return Error{Errc::corrupt, std::string("not a request: ") + reader.problem()};
    return parts;
}

void write_rest(Writer& writer, const Map& properties, const Value& body) {
    writer.descriptor(kApplicationProperties);
    writer.map(properties);
    writer.descriptor(kAmqpValue);
    writer.value(body);
}

}  // namespace

Result<Request> read_request(std::string_view sections) {
    auto parts = read_parts(sections);
    if (!parts) return parts.error();
    Request request;
    request.message_id = std::move(parts->message_id);
    request.reply_to = std::move(parts->reply_to);
    request.properties = std::move(parts->properties);
    request.body = std::move(parts->body);
    return request;
}

Result<Answer> read_answer(std::string_view sections) {
    auto parts = read_parts(sections);
    if (!parts) return parts.error();
    return Answer{std::move(parts->correlation_id), std::move(parts->subject), std::move(parts->properties),
                  std::move(parts->body)};
}

std::string write_request(const Request& request) {
    std::string out;
    Writer writer(out);
    writer.descriptor(kProperties);
    const std::size_t mark = writer.begin_list(5);
    writer.value(request.message_id);
    writer.null();  // user-id
    for (const std::string* text : {&request.to, &request.subject}) {
        if (text->empty())
            writer.null();
        else
            writer.text(*text);
    }
    writer.text(request.reply_to);
    writer.end(mark);
    write_rest(writer, request.properties, request.body);
    return out;
}

std::string write_answer(const Value& correlation_id, const Map& properties, const Value& body) {
    std::string out;
    Writer writer(out);
    writer.descriptor(kProperties);
    const std::size_t mark = writer.begin_list(6);
    for (int i = 0; i < 5; ++i) writer.null();  // message-id to reply-to
    writer.value(correlation_id);
    writer.end(mark);
    write_rest(writer, properties, body);
    return out;
}

}  // namespace millrace::amqp
