// POST /v1/documents: the documents that a request holds, in any of the forms it may take.
#pragma once

#include "http/rejection.hpp"
#include "work/documents.hpp"

#include <string>
#include <vector>

namespace millrace::http {

/// The documents of one request, and whether they came as a list, so that the answer is one too.
struct DocumentBody {
    std::vector<work::NewDocument> documents;
    bool is_list = false;
};

/// Reads the body by its Content-Type: JSON object or list, NDJSON, multipart/form-data files, or the
/// document itself with `?title=&id=&category=&filename=&tenant=&priority=`. The header `Millrace-Tenant`
/// names the tenant of documents that name none. All or nothing: a rejection names the first bad document.
/// 400: broken or incomplete; 413: a document or the list is too large; 415: no or unknown Content-Type. Any
/// thread.
Checked<DocumentBody> read_documents(const Request& request);

}  // namespace millrace::http
