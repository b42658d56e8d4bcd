// The page at "/": what this server is, its queues as they are now, and a search field.
#pragma once

#include <string>

namespace millrace::http {

/// One HTML document without outside references; it reads /v1/queues, /v1/documents and /v1/search of its
/// server.
std::string status_page();

}  // namespace millrace::http
