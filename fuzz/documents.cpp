// Any body of POST /v1/documents under any Content-Type: documents within their limits, or a rejection.
#include "base/utf8.hpp"
#include "fuzz/fuzz.hpp"
#include "http/document_body.hpp"
#include "http/server_target.hpp"

namespace millrace::fuzz {
namespace {

const char* const kTypes[] = {
    "application/json",
    "application/x-ndjson",
    "multipart/form-data; boundary=\"b\"",
    "text/plain; charset=utf-8",
    "",
};

void check_document(const work::NewDocument& document) {
    if (!document.id.empty()) require(work::document_id_problem(document.id).empty(), "an id is a good one");
    require(document.title.size() <= limits::document_title_bytes_max, "a title is within its limit");
    require(document.category.size() <= limits::category_bytes_max, "a category is within its limit");
    require(document.metadata.size() <= limits::metadata_bytes_max, "metadata is within its limit");
    for (const auto& text : {document.id, document.title, document.category, document.metadata}) {
        require(is_utf8(text), "what is stored as text is UTF-8");
    }
}

}  // namespace

std::vector<std::string> seeds() {
    return {
        R"({"id":"a","title":"T","content":"x\u00e9","category":"c","metadata":{"k":[1,null,true]},)"
        R"("uploadedAt":"2026-01-02T03:04:05Z"})",
        R"([{"title":"T","content":"x"},{"title":"\ud83d\ude00","content":""}])",
        "{\"title\":\"a\",\"content\":\"b\"}\n{\"title\":\"c\",\"content\":\"d\"}\n\n",
        "--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a.md\"\r\nContent-Type: "
        "text/markdown\r\n\r\n"
        "# A\r\n--b\r\nContent-Disposition: form-data; name=category\r\n\r\nc\r\n--b--\r\n",
        "plain text",
    };
}

void check(std::string_view input) {
    for (const auto* type : kTypes) {
        http::Request request;
        request.method = "POST";
        request.headers = {{"Content-Type", type}};
        request.query = {{"title", "T"}, {"id", std::string(input.substr(0, 40))}};
        request.body = input;
        const auto body = http::read_documents(request);
        if (!body) continue;
        require(!body->documents.empty(), "there is a document");
        require(body->documents.size() <= limits::documents_per_request_max,
                "there are not too many documents");
        for (const auto& document : body->documents) check_document(document);
    }
}

}  // namespace millrace::fuzz
