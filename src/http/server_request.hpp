// Bytes of a connection become one Request: HTTP/1.1 parsing with limits (RFC 9112). No sockets.
#pragma once

#include "http/server.hpp"

#include <boost/beast/http/basic_parser.hpp>

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace millrace::http {

/// Why a request is refused before any handler sees it; its connection is closed after the answer.
struct Refusal {
    unsigned status;
    std::string detail;
};

/// Reads one request from bytes as they come.
class RequestReader final : private boost::beast::http::basic_parser<true> {
  public:
    /// Told the head of a request: the largest body it may have if that is taken in pieces; else nothing.
    using PiecesMax = std::function<std::optional<std::size_t>(const Request&)>;

    /// `pieces_max` may be empty.
    RequestReader(std::size_t header_bytes_max, std::size_t body_bytes_max, PiecesMax pieces_max = {});

    /// Takes what it can of `bytes` and returns how many it took; the rest must be given again with more
    /// behind it (or belongs to the next request, once `is_done`). Call only while neither done nor refused.
    std::size_t feed(std::string_view bytes);

    bool is_done() const { return basic_parser::is_done(); }
    bool header_done() const { return basic_parser::is_header_done(); }
    const std::optional<Refusal>& refusal() const noexcept { return refusal_; }
    /// Refuses what came too slowly (408), or an element that outgrew the connection's buffer (431, or 400 in
    /// a body).
    void refuse_late();
    void refuse_oversize();
    /// Refuses because the body can't be kept: 507 for a full disk, else 500.
    void refuse_for_disk(bool full);
    /// The client waits for "100 Continue" before it sends the body.
    bool expects_continue() const noexcept { return expects_continue_; }

    /// What the request says about its connection and form; valid once `header_done`.
    bool keep_alive() const { return basic_parser::keep_alive(); }
    bool version_1_0() const noexcept { return version_ == 10; }
    bool is_head() const noexcept { return is_head_; }

    /// True if the body is to be taken in pieces; valid once `header_done`.
    bool in_pieces() const noexcept { return in_pieces_; }
    /// What has come of the body since the last call.
    std::string take_piece() { return std::exchange(request_.body, {}); }
    std::size_t piece_bytes() const noexcept { return request_.body.size(); }

    /// The request, once `is_done`. Trailer fields of a chunked body are dropped (RFC 9110, 6.5.1).
    Request take() { return std::move(request_); }

  private:
    using error_code = boost::beast::error_code;
    using text = boost::beast::string_view;
    using field = boost::beast::http::field;

    void on_request_impl(boost::beast::http::verb, text method, text target, int version,
                         error_code& ec) override;
    void on_response_impl(int, text, int, error_code&) override {}
    void on_field_impl(field name, text name_string, text value, error_code& ec) override;
    void on_header_impl(error_code& ec) override;
    void on_body_init_impl(const boost::optional<std::uint64_t>& length, error_code& ec) override;
    std::size_t on_body_impl(text body, error_code& ec) override;
    void on_chunk_header_impl(std::uint64_t, text, error_code&) override {}
    std::size_t on_chunk_body_impl(std::uint64_t remain, text body, error_code& ec) override;
    void on_finish_impl(error_code&) override {}

    void refuse(unsigned status, std::string detail, error_code& ec);
    void refuse_large(error_code& ec);
    std::size_t take_body(text body, error_code& ec);

    Request request_;
    std::optional<Refusal> refusal_;
    std::size_t body_bytes_max_;
    std::size_t body_bytes_ = 0;
    std::size_t declared_bytes_ = 0;  ///< what Content-Length says
    PiecesMax pieces_max_;
    bool in_pieces_ = false;
    unsigned fields_ = 0;
    unsigned hosts_ = 0;
    int version_ = 11;
    bool in_header_ = true;
    bool is_head_ = false;
    bool expects_continue_ = false;
};

}  // namespace millrace::http
