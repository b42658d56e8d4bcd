#include "handlers/payload.hpp"

#include "base/ids.hpp"
#include "work/documents.hpp"

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

namespace millrace::handlers {

namespace json = boost::json;

namespace {

std::string normal_name(std::string_view name) {
    std::string normal;
    for (const char c : name) {
        if (c != '_') normal += static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
    }
    return normal;
}

Error wrong(std::string_view name, std::string_view expected) {
    return Error{Errc::invalid_input,
                 "the member \"" + std::string(name) + "\" is not " + std::string(expected)};
}

/// Reads the text members of a payload one after the other and keeps the first error.
class Reader {
  public:
    explicit Reader(const Payload& payload) : payload_(payload) {}

    void text(std::string_view name, std::string& into) {
        auto value = payload_.text(name);
        if (value)
            into = std::move(*value);
        else if (!error_)
            error_ = value.error();
    }
    void integer(std::string_view name, std::int64_t& into) {
        auto value = payload_.integer(name, into);
        if (value)
            into = *value;
        else if (!error_)
            error_ = value.error();
    }
    const std::optional<Error>& error() const { return error_; }

  private:
    const Payload& payload_;
    std::optional<Error> error_;
};

}  // namespace

Result<Payload> Payload::parse(std::string_view body) {
    if (body.empty()) return Error{Errc::invalid_input, ""};
    boost::system::error_code error;
    json::parse_options options;
    options.max_depth = 64;
    json::value value = json::parse(body, error, {}, options);
    if (error) return Error{Errc::invalid_input, "the body is not JSON: " + error.message()};
    if (value.is_null()) return Error{Errc::invalid_input, ""};
    if (!value.is_object()) return Error{Errc::invalid_input, "the body is not a JSON object"};
    json::object members;
    for (auto& member : value.as_object()) members[normal_name(member.key())] = std::move(member.value());
    return Payload(std::move(members));
}

const json::value* Payload::find(std::string_view name) const {
    const auto* found = members_.if_contains(normal_name(name));
    return found == nullptr || found->is_null() ? nullptr : found;
}

Result<std::string> Payload::text(std::string_view name) const {
    const auto* value = find(name);
    if (value == nullptr) return std::string();
    if (!value->is_string()) return wrong(name, "a text");
    return std::string(value->as_string());
}

Result<std::int64_t> Payload::integer(std::string_view name, std::int64_t otherwise) const {
    const auto* value = find(name);
    if (value == nullptr) return otherwise;
    boost::system::error_code error;
    const auto number = value->to_number<std::int64_t>(error);
    if (error) return wrong(name, "a whole number");
    return number;
}

Result<IngestPayload> parse_ingest(std::string_view body) {
    auto payload = Payload::parse(body);
    if (!payload) return payload.error();
    IngestPayload ingest;
    Reader reader(*payload);
    reader.text("documentId", ingest.document_id);
    reader.text("title", ingest.title);
    reader.text("category", ingest.category);
    reader.text("uploadedAt", ingest.uploaded_at);
    reader.text("content", ingest.content);
    reader.text("contentRef", ingest.content_ref);
    reader.text("contentType", ingest.content_type);
    reader.text("fileName", ingest.file_name);
    if (reader.error()) return *reader.error();
    if (ingest.document_id.empty()) return Error{Errc::invalid_input, "the member \"documentId\" is missing"};
    if (std::string problem = work::document_id_problem(ingest.document_id); !problem.empty())
        return Error{Errc::invalid_input, "the document's " + problem};
    if (payload->find("content") == nullptr && ingest.content_ref.empty()) {
        return Error{Errc::invalid_input, "neither \"content\" nor \"contentRef\" is given"};
    }
    return ingest;
}

std::string write_extracted(const text::ExtractedText& extracted) {
    json::array sections;
    for (const auto& section : extracted.sections) {
        sections.push_back(json::array{section.offset, section.heading, section.level});
    }
    json::array pages;
    for (const auto offset : extracted.page_offsets) pages.push_back(offset);
    const json::object object{{"text", extracted.text},
                              {"title", extracted.title},
                              {"sections", std::move(sections)},
                              {"pages", std::move(pages)}};
    return json::serialize(object);
}

Result<text::ExtractedText> read_extracted(std::string_view text) {
    try {
        const json::value value = json::parse(text);
        const auto& object = value.as_object();
        text::ExtractedText extracted;
        extracted.text = object.at("text").as_string();
        extracted.title = object.at("title").as_string();
        for (const auto& entry : object.at("sections").as_array()) {
            const auto& pair = entry.as_array();
            text::Section section;
            section.offset = pair.at(0).to_number<std::size_t>();
            section.heading = pair.at(1).as_string();
            section.level = pair.at(2).to_number<int>();
            extracted.sections.push_back(std::move(section));
        }
        for (const auto& offset : object.at("pages").as_array()) {
            extracted.page_offsets.push_back(offset.to_number<std::size_t>());
        }
        return extracted;
    } catch (const std::exception& error) {
        return Error{Errc::corrupt, std::string("the extracted text is damaged: ") + error.what()};
    }
}

Result<TextPayload> parse_text(std::string_view body) {
    auto payload = Payload::parse(body);
    if (!payload) return payload.error();
    TextPayload text;
    Reader reader(*payload);
    reader.text("title", text.title);
    reader.text("category", text.category);
    reader.text("format", text.format);
    reader.text("textRef", text.text_ref);
    reader.text("extracted", text.extracted);
    if (reader.error()) return *reader.error();
    return text;
}

Result<EmbedPayload> parse_embed(std::string_view body) {
    auto payload = Payload::parse(body);
    if (!payload) return payload.error();
    EmbedPayload embed;
    Reader reader(*payload);
    reader.integer("total", embed.total);
    if (reader.error()) return *reader.error();
    const auto* ordinals = payload->find("ordinals");
    if (ordinals == nullptr || !ordinals->is_array()) return wrong("ordinals", "an array");
    for (const auto& ordinal : ordinals->as_array()) {
        boost::system::error_code error;
        embed.ordinals.push_back(ordinal.to_number<std::uint32_t>(error));
        if (error) return wrong("ordinals", "an array of whole numbers");
    }
    return embed;
}

Result<PublishPayload> parse_publish(std::string_view body) {
    auto payload = Payload::parse(body);
    if (!payload) return payload.error();
    PublishPayload publish;
    Reader reader(*payload);
    reader.text("title", publish.title);
    reader.text("category", publish.category);
    if (reader.error()) return *reader.error();
    return publish;
}

std::optional<work::VersionRef> version_of(const broker::Message& message) {
    const auto property = message.properties.find(work::kGenerationProperty);
    if (property == message.properties.end() || message.subject.empty()) return std::nullopt;
    const auto* generation = std::get_if<std::int64_t>(&property->second);
    if (generation == nullptr) return std::nullopt;
    return work::VersionRef{message.subject, *generation};
}

broker::Message pipeline_message(const work::VersionRef& version, std::string_view step, std::string body) {
    broker::Message message;
    message.message_id = sha256_hex(version.document).substr(0, 40) + "/" +
                         std::to_string(version.generation) + "/" + std::string(step);
    message.subject = version.document;
    message.content_type = "application/json";
    message.properties[work::kGenerationProperty] = version.generation;
    message.body = std::move(body);
    return message;
}

}  // namespace millrace::handlers
