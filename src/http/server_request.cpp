#include "http/server_request.hpp"

#include "http/server_target.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/beast/core/string.hpp>

#include <charconv>

namespace millrace::http {

namespace beast = boost::beast;

namespace {

constexpr unsigned kFieldsMax = 200;

std::string_view view(beast::string_view text) noexcept { return {text.data(), text.size()}; }

/// Why Beast's parser stopped, in the words of an answer.
Refusal refusal_for(beast::error_code code) {
    using beast::http::error;
    if (code == error::header_limit) return {431, "the header is too large"};
    if (code == error::bad_version) return {505, "only HTTP/1.0 and HTTP/1.1 are spoken here"};
    return {400, "malformed HTTP request: " + code.message()};
}

}  // namespace

RequestReader::RequestReader(std::size_t header_bytes_max, std::size_t body_bytes_max, PiecesMax pieces_max)
    : body_bytes_max_(body_bytes_max), pieces_max_(std::move(pieces_max)) {
    basic_parser::header_limit(static_cast<std::uint32_t>(header_bytes_max));
    basic_parser::body_limit(boost::none);  // known only once the head is: see take_body
    basic_parser::eager(true);
}

std::size_t RequestReader::feed(std::string_view bytes) {
    error_code error;
    const asio::const_buffer buffer(bytes.data(), bytes.size());
    const std::size_t used = basic_parser::put(buffer, error);
    if (error && error != beast::http::error::need_more && !refusal_) {
        refusal_ = refusal_for(error);
    }
    return used;
}

void RequestReader::refuse_late() { refusal_ = Refusal{408, "the request took too long to arrive"}; }

void RequestReader::refuse_for_disk(bool full) {
    refusal_ = full ? Refusal{507, "the disk is full, nothing was stored; free space and send it again"}
                    : Refusal{500, "internal error; the log tells more"};
}

void RequestReader::refuse_oversize() {
    refusal_ =
        header_done() ? Refusal{400, "a chunk header is too large"} : Refusal{431, "the header is too large"};
}

void RequestReader::refuse(unsigned status, std::string detail, error_code& ec) {
    refusal_ = Refusal{status, std::move(detail)};
    ec = beast::http::error::bad_field;
}

void RequestReader::on_request_impl(beast::http::verb, text method, text target, int version,
                                    error_code& ec) {
    version_ = version;
    is_head_ = method == "HEAD";
    request_.method = is_head_ ? "GET" : std::string(view(method));
    request_.target = std::string(view(target));
    auto parts = http::parse_target(request_.target);
    if (!parts) return refuse(400, parts.error().detail, ec);
    request_.path = std::move(parts->path);
    request_.segments = std::move(parts->segments);
    request_.query = std::move(parts->query);
    request_.headers.reserve(12);
}

void RequestReader::on_field_impl(field name, text name_string, text value, error_code& ec) {
    if (++fields_ > kFieldsMax) return refuse(431, "more than " + std::to_string(kFieldsMax) + " fields", ec);
    if (!in_header_) return;
    // RFC 9112, 6.1: a body whose end this server can't find must not be guessed at.
    if (name == field::transfer_encoding && !beast::iequals(value, "chunked")) {
        return refuse(501, "the only transfer coding is chunked", ec);
    }
    if (name == field::transfer_encoding && version_ < 11)
        return refuse(400, "HTTP/1.0 has no chunked bodies", ec);
    // Beast refuses what is no number.
    if (name == field::content_length)
        std::from_chars(value.data(), value.data() + value.size(), declared_bytes_);
    if (name == field::host) ++hosts_;
    if (name == field::expect) {
        if (!beast::iequals(value, "100-continue"))
            return refuse(417, "the only expectation is 100-continue", ec);
        expects_continue_ = version_ >= 11;
    }
    request_.headers.emplace_back(view(name_string), view(value));
}

void RequestReader::on_header_impl(error_code& ec) {
    in_header_ = false;
    if (hosts_ != 1 && version_ >= 11) return refuse(400, "a request has one Host header", ec);
    const auto pieces_max = pieces_max_ ? pieces_max_(request_) : std::nullopt;
    in_pieces_ = pieces_max.has_value();
    if (in_pieces_) body_bytes_max_ = *pieces_max;
    if (declared_bytes_ > body_bytes_max_) refuse_large(ec);  // before anybody is told to go on
}

void RequestReader::on_body_init_impl(const boost::optional<std::uint64_t>& length, error_code&) {
    if (!length) return;
    if (!in_pieces_) request_.body.reserve(*length);
}

void RequestReader::refuse_large(error_code& ec) {
    refuse(413, "the body is larger than " + std::to_string(body_bytes_max_) + " bytes", ec);
}

std::size_t RequestReader::take_body(text body, error_code& ec) {
    body_bytes_ += body.size();
    if (body_bytes_ > body_bytes_max_)
        refuse_large(ec);
    else
        request_.body.append(body.data(), body.size());
    return body.size();
}

std::size_t RequestReader::on_body_impl(text body, error_code& ec) { return take_body(body, ec); }

std::size_t RequestReader::on_chunk_body_impl(std::uint64_t, text body, error_code& ec) {
    return take_body(body, ec);
}

}  // namespace millrace::http
