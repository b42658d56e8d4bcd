// What rows and counts look like as JSON.
#pragma once

#include "broker/broker.hpp"
#include "index/index.hpp"
#include "work/documents.hpp"
#include "work/tasks.hpp"

#include <boost/json/object.hpp>

namespace millrace::http {

namespace json = boost::json;

json::object view_of(const work::DocumentView& document);
json::object view_of(const work::OperationView& operation);
json::object view_of(const work::TaskView& task);
json::object view_of(const work::TaskEstimate& estimate);
json::object view_of(const work::DocumentEstimate& estimate);
json::object view_of(const broker::EntityCounts& counts);
/// A message of a queue; its body as text if it is UTF-8, else as base64, cut after `body_bytes_max`.
json::object view_of(const broker::Delivery& message, std::size_t body_bytes_max);
json::object view_of(const index::SearchHit& hit);

/// `text` as one path segment: everything but letters, digits, '-', '.', '_' and '~' is percent-encoded.
std::string percent_encoded(std::string_view text);

/// "https://host" where a request came to, of its Host and its scheme; "" without a usable Host.
std::string base_url(std::string_view host, std::string_view scheme);

}  // namespace millrace::http
