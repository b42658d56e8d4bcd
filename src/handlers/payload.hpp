// Message bodies of the document pipeline: JSON, with keys in camelCase, PascalCase or snake_case.
#pragma once

#include "base/error.hpp"
#include "broker/message.hpp"
#include "text/extract.hpp"
#include "work/records.hpp"

#include <boost/json/object.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::handlers {

/// A JSON object whose members are found whatever the case style of their names.
class Payload {
  public:
    /// invalid_input with an empty detail: the body is empty or null; with a text: what is wrong with it.
    static Result<Payload> parse(std::string_view body);

    /// The member, or nullptr where it is absent or null. `name` is in camelCase.
    const boost::json::value* find(std::string_view name) const;
    /// The text of a member; "" where absent. invalid_input if it is not a text.
    Result<std::string> text(std::string_view name) const;
    /// A whole number; `otherwise` where absent.
    Result<std::int64_t> integer(std::string_view name, std::int64_t otherwise) const;

  private:
    explicit Payload(boost::json::object members) : members_(std::move(members)) {}
    boost::json::object members_;  ///< names in lower case without underscores
};

/// Body of "document-ingestion" and of a queue served by `embed-index`.
struct IngestPayload {
    std::string document_id;
    std::string title;
    std::string category;
    std::string uploaded_at;
    std::string content;  ///< text, where it was small
    std::string content_ref;  ///< blob name, where it was not
    std::string content_type;  ///< empty: text/plain for `content`, else told from name and bytes
    std::string file_name;
};
Result<IngestPayload> parse_ingest(std::string_view body);

/// Body of "chunk-queue" and "metadata-queue": the extracted text, inline or as a blob.
struct TextPayload {
    std::string title;
    std::string category;
    std::string format;  ///< text, markdown, html, pdf, docx
    std::string extracted;  ///< what `write_extracted` gave, where it is small
    std::string text_ref;  ///< else the blob that holds it
};
std::string write_extracted(const text::ExtractedText& extracted);
Result<text::ExtractedText> read_extracted(std::string_view json);
Result<TextPayload> parse_text(std::string_view body);

/// Body of "embed-queue": which staged chunks need a vector.
struct EmbedPayload {
    std::int64_t total = 0;
    std::vector<std::uint32_t> ordinals;
};
Result<EmbedPayload> parse_embed(std::string_view body);

/// Body of "index-queue".
struct PublishPayload {
    std::string title;
    std::string category;
};
Result<PublishPayload> parse_publish(std::string_view body);

/// Which version of which document a message of the pipeline is about, from its subject and the property
/// kGenerationProperty. None for a message that another producer has put into a queue.
std::optional<work::VersionRef> version_of(const broker::Message& message);

/// A message of the pipeline about `version`; its id is the same whenever this step runs again.
broker::Message pipeline_message(const work::VersionRef& version, std::string_view step, std::string body);

}  // namespace millrace::handlers
