#include "provider/http_client_answer.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/beast/core/string.hpp>

#include <algorithm>

namespace millrace::provider {

namespace beast = boost::beast;

namespace {

constexpr std::size_t kFieldsMax = 500;
constexpr std::size_t kReserveMax = 16 * limits::kMiB;   ///< trusted of an announced length

Error error_for(beast::error_code code, std::size_t body_bytes_max) {
    if (code == beast::http::error::body_limit) {
        return {Errc::corrupt, "the answer is larger than " + std::to_string(body_bytes_max) + " bytes"};
    }
    if (code == beast::http::error::header_limit) return {Errc::corrupt, "the answer's header is too large"};
    return {Errc::corrupt, "the answer isn't HTTP: " + code.message()};
}

}  // namespace

AnswerReader::AnswerReader(std::size_t header_bytes_max, std::size_t body_bytes_max)
    : body_bytes_max_(body_bytes_max) {
    basic_parser::header_limit(static_cast<std::uint32_t>(header_bytes_max));
    basic_parser::body_limit(body_bytes_max);
    basic_parser::eager(true);
}

Result<std::size_t> AnswerReader::feed(std::string_view bytes) {
    error_code error;
    const asio::const_buffer buffer(bytes.data(), bytes.size());
    const std::size_t used = basic_parser::put(buffer, error);
    if (error && error != beast::http::error::need_more) return error_for(error, body_bytes_max_);
    return used;
}

Result<void> AnswerReader::end() {
    error_code error;
    if (basic_parser::got_some()) basic_parser::put_eof(error);
    if (error || !basic_parser::is_done())
        return Error{Errc::unavailable, "the connection ended inside the answer"};
    return {};
}

void AnswerReader::on_field_impl(beast::http::field, text name, text value, error_code& ec) {
    if (!in_header_) return;
    if (answer_.headers.size() == kFieldsMax) {
        ec = beast::http::error::header_limit;
        return;
    }
    answer_.headers.emplace_back(std::string_view(name.data(), name.size()),
                                 std::string_view(value.data(), value.size()));
}

void AnswerReader::on_body_init_impl(const boost::optional<std::uint64_t>& length, error_code&) {
    if (length) answer_.body.reserve(std::min<std::uint64_t>(*length, kReserveMax));
}

std::size_t AnswerReader::on_body_impl(text body, error_code&) {
    answer_.body.append(body.data(), body.size());
    return body.size();
}

std::size_t AnswerReader::on_chunk_body_impl(std::uint64_t, text body, error_code&) {
    answer_.body.append(body.data(), body.size());
    return body.size();
}

}  // namespace millrace::provider
