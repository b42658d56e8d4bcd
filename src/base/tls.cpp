#include "base/tls.hpp"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include <fstream>
#include <sstream>

namespace millrace {

namespace asio = boost::asio;

namespace {

constexpr std::size_t kPemBytesMax = 1024 * 1024;
// Forward secrecy and authenticated encryption only; TLS 1.3 has no others.
constexpr char kCiphers[] =
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
    "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";

Error wrong(const std::filesystem::path& file, std::string_view why) {
    return Error{Errc::invalid_input, file.string() + " " + std::string(why)};
}

Result<std::string> read_pem(const std::filesystem::path& file) {
    std::error_code error;
    const bool directory = std::filesystem::is_directory(file, error);
    std::ifstream in(file, std::ios::binary);
    std::string text(kPemBytesMax + 1, '\0');
    if (in && !directory) in.read(text.data(), static_cast<std::streamsize>(text.size()));
    if (directory || in.bad() || (in.fail() && !in.eof()))
        return wrong(file, "can't be read; check that it exists and that you may read it");
    text.resize(static_cast<std::size_t>(in.gcount()));
    if (text.size() > kPemBytesMax)
        return wrong(file, "is larger than 1 MiB, so it is no certificate or key");
    return text;
}

}  // namespace

Result<std::shared_ptr<asio::ssl::context>> make_server_tls(const std::filesystem::path& certificate,
                                                            const std::filesystem::path& key) {
    const auto chain = read_pem(certificate);
    if (!chain) return chain.error();
    const auto secret = read_pem(key);
    if (!secret) return secret.error();

    auto context = std::make_shared<asio::ssl::context>(asio::ssl::context::tls_server);
    context->set_options(asio::ssl::context::default_workarounds | asio::ssl::context::no_tlsv1 |
                         asio::ssl::context::no_tlsv1_1 | SSL_OP_NO_RENEGOTIATION |
                         SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX* native = context->native_handle();
    SSL_CTX_set_cipher_list(native, kCiphers);

    boost::system::error_code error;
    ERR_clear_error();
    context->use_certificate_chain(asio::buffer(*chain), error);
    if (error) return wrong(certificate, "holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)");
    // Without this OpenSSL would ask at the terminal.
    bool protected_key = false;
    const auto ask = [&protected_key](std::size_t, asio::ssl::context::password_purpose) {
        protected_key = true;
        return std::string();
    };
    context->set_password_callback(ask, error);
    context->use_private_key(asio::buffer(*secret), asio::ssl::context::pem, error);
    context->set_password_callback(
        [](std::size_t, asio::ssl::context::password_purpose) { return std::string(); });
    if (protected_key) return wrong(key, "is protected by a passphrase; store it without one, mode 600");
    const unsigned long cause = error ? static_cast<unsigned long>(error.value()) : 0;
    if (error && ERR_GET_REASON(cause) == X509_R_KEY_VALUES_MISMATCH)
        return wrong(key, "is the key of another certificate than " + certificate.string());
    if (error) return wrong(key, "holds no private key in PEM form (-----BEGIN PRIVATE KEY-----)");
    if (SSL_CTX_check_private_key(native) != 1)
        return wrong(key, "is the key of another certificate than " + certificate.string());
    return context;
}

Result<std::shared_ptr<asio::ssl::context>> make_client_tls(const std::filesystem::path& authorities) {
    auto context = std::make_shared<asio::ssl::context>(asio::ssl::context::tls_client);
    context->set_options(asio::ssl::context::default_workarounds | asio::ssl::context::no_tlsv1 |
                         asio::ssl::context::no_tlsv1_1 | SSL_OP_NO_RENEGOTIATION);
    SSL_CTX_set_cipher_list(context->native_handle(), kCiphers);
    context->set_verify_mode(asio::ssl::verify_peer);
    boost::system::error_code error;
    context->set_default_verify_paths(error);  // without any, nobody is trusted: the handshake says so
    if (authorities.empty()) return context;
    const auto trusted = read_pem(authorities);
    if (!trusted) return trusted.error();
    context->add_certificate_authority(asio::buffer(*trusted), error);
    if (error) return wrong(authorities, "holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)");
    return context;
}

}  // namespace millrace
