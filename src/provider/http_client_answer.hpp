// Bytes of a connection become one HTTP answer (RFC 9112). No sockets.
#pragma once

#include "provider/http_client.hpp"

#include <boost/beast/http/basic_parser.hpp>

#include <string>
#include <string_view>

namespace millrace::provider {

/// Reads one answer from bytes as they come, skipping interim (1xx) ones.
class AnswerReader final : private boost::beast::http::basic_parser<false> {
  public:
    AnswerReader(std::size_t header_bytes_max, std::size_t body_bytes_max);

    /// Takes what it can of `bytes` and returns how many it took. corrupt: not HTTP, or larger than allowed.
    Result<std::size_t> feed(std::string_view bytes);
    /// The peer has closed. unavailable: the answer isn't whole.
    Result<void> end();

    bool is_done() const { return basic_parser::is_done(); }
    /// The answer is an interim one: read another with a new reader.
    bool is_interim() const noexcept { return answer_.status / 100 == 1; }
    /// The connection can be used again, once done.
    bool keep_alive() const { return basic_parser::keep_alive(); }
    HttpAnswer take() { return std::move(answer_); }

  private:
    using error_code = boost::beast::error_code;
    using text = boost::beast::string_view;

    void on_request_impl(boost::beast::http::verb, text, text, int, error_code&) override {}
    void on_response_impl(int code, text, int, error_code&) override { answer_.status = code; }
    void on_field_impl(boost::beast::http::field, text name, text value, error_code& ec) override;
    void on_header_impl(error_code&) override { in_header_ = false; }
    void on_body_init_impl(const boost::optional<std::uint64_t>& length, error_code&) override;
    std::size_t on_body_impl(text body, error_code&) override;
    void on_chunk_header_impl(std::uint64_t, text, error_code&) override {}
    std::size_t on_chunk_body_impl(std::uint64_t, text body, error_code&) override;
    void on_finish_impl(error_code&) override {}

    HttpAnswer answer_;
    std::size_t body_bytes_max_;
    bool in_header_ = true;
};

}  // namespace millrace::provider
