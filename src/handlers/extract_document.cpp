#include "base/limits.hpp"
#include "handlers/outcomes.hpp"
#include "handlers/payload.hpp"
#include "handlers/stages.hpp"

#include <boost/json/serialize.hpp>

namespace millrace::handlers {

namespace json = boost::json;

namespace {

namespace records = work::records;

/// What extraction on the pool gives: the text, or its JSON form beside it for the next stages.
struct Extraction {
    Result<text::ExtractedText> text = text::ExtractedText{};
    text::Format format = text::Format::text;
    std::string json;
};

Extraction extract_content(const Content& content, bool with_json) {
    Extraction extraction;
    const auto head = std::string_view(content.bytes).substr(0, 1024);
    auto format = text::detect_format(content.type, content.file_name, head);
    if (!format) {
        extraction.text = format.error();
        return extraction;
    }
    extraction.format = *format;
    const text::ExtractLimits limits;
    extraction.text = text::extract(content.bytes, *format, limits, text::charset_of(content.type));
    if (extraction.text && with_json) extraction.json = write_extracted(*extraction.text);
    return extraction;
}

asio::awaitable<Result<Content>> load_content(Services& services, const IngestPayload& payload) {
    Content content{payload.content, payload.content_type, payload.file_name};
    if (payload.content_ref.empty()) {
        if (content.type.empty() && content.file_name.empty()) content.type = kInlineType;
        co_return content;
    }
    auto bytes = co_await get_blob(services, payload.content_ref);
    if (!bytes) co_return bytes.error();
    content.bytes = std::move(*bytes);
    co_return content;
}

asio::awaitable<Extraction> run_extraction(Services& services, const IngestPayload& payload, bool with_json) {
    Extraction extraction;
    auto content = co_await load_content(services, payload);
    if (!content) {
        extraction.text = content.error();
        co_return extraction;
    }
    auto work = [&extraction, &content, with_json] { extraction = extract_content(*content, with_json); };
    co_await services.pool.run(std::move(work));
    co_return extraction;
}

std::string title_of(const IngestPayload& payload, const text::ExtractedText& text) {
    if (!payload.title.empty()) return payload.title;
    if (!text.title.empty()) return text.title;
    return payload.file_name.empty() ? payload.document_id : payload.file_name;
}

std::string text_body(const IngestPayload& payload, const Extraction& extraction, const std::string& title,
                      const std::string& blob) {
    json::object body{{"documentId", payload.document_id},
                      {"title", title},
                      {"category", payload.category},
                      {"format", text::to_string(extraction.format)}};
    if (blob.empty()) {
        body["extracted"] = extraction.json;
    } else {
        body["textRef"] = blob;
    }
    return json::serialize(body);
}

}  // namespace

asio::awaitable<Result<text::ExtractedText>> extract_text(Services& services, const IngestPayload& payload) {
    Extraction extraction = co_await run_extraction(services, payload, false);
    co_return std::move(extraction.text);
}

asio::awaitable<Result<text::ExtractedText>> extract_text(Services& services, Content content) {
    Extraction extraction;
    auto work = [&extraction, &content] { extraction = extract_content(content, false); };
    co_await services.pool.run(std::move(work));
    co_return std::move(extraction.text);
}

asio::awaitable<work::Outcome> extract_document(Services& services, Job job) {
    auto payload = parse_ingest(job.delivery.message.body);
    if (!payload) co_return dead_letter_for_payload(payload.error());
    Extraction extraction = co_await run_extraction(services, *payload, true);
    if (!extraction.text) {
        const Error& error = extraction.text.error();
        if (error.code != Errc::unavailable) co_return dead_letter_for_content(error);
        co_return outcome_for(error, job.delivery.delivery_count, services.jitter());
    }
    const std::string title = title_of(*payload, *extraction.text);
    std::string blob;
    if (extraction.json.size() >= limits::claim_check_bytes_min) {
        blob = co_await put_blob(services, extraction.json);
    }
    std::string body = text_body(*payload, extraction, title, blob);
    work::Done done;
    done.follow_ups.push_back({work::queue::chunk, pipeline_message(job.version, "chunk", body)});
    done.follow_ups.push_back(
        {work::queue::metadata, pipeline_message(job.version, "metadata", std::move(body))});
    done.with = [version = job.version, title, blob,
                 now = services.clock.now()](store::Connection& connection) -> Result<void> {
        records::set_stage(connection, version, "chunk", now);
        records::set_title(connection, version, title);
        if (!blob.empty()) records::add_blob(connection, version, blob);
        return {};
    };
    done.then = [&services, document = job.version.document] { services.operations.changed(document); };
    co_return done;
}

}  // namespace millrace::handlers
