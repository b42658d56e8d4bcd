#include "base/tls.hpp"

#include "tests/support/certificate.hpp"
#include "tests/support/temporary_directory.hpp"

#include <gtest/gtest.h>

#include <fstream>

namespace millrace {
namespace {

class ServerTls : public testing::Test {
  protected:
    std::filesystem::path write(const std::string& name, const std::string& text) {
        const auto path = directory_.path() / name;
        std::ofstream(path) << text;
        return path;
    }
    static void expect_refused(const std::filesystem::path& certificate, const std::filesystem::path& key,
                               const std::string& says) {
        const auto made = make_server_tls(certificate, key);
        ASSERT_FALSE(made) << says;
        EXPECT_EQ(made.error().code, Errc::invalid_input);
        EXPECT_NE(made.error().detail.find(says), std::string::npos) << made.error().detail;
        EXPECT_EQ(made.error().detail.find('\n'), std::string::npos);
    }

    test::TemporaryDirectory directory_;
    std::unique_ptr<test::Certificate> authority_ = test::issue("authority", "", nullptr);
    std::unique_ptr<test::Certificate> server_ = test::issue("localhost", "DNS:localhost", authority_.get());
};

TEST_F(ServerTls, AChainAndItsKeyMakeAContext) {
    const auto chain = write("chain.pem", test::pem_of(server_->x509) + test::pem_of(authority_->x509));
    const auto made = make_server_tls(chain, write("key.pem", test::pem_of(server_->key)));
    ASSERT_TRUE(made) << made.error().detail;
    STACK_OF(X509)* others = nullptr;
    SSL_CTX_get_extra_chain_certs((*made)->native_handle(), &others);
    EXPECT_EQ(sk_X509_num(others), 1);
    EXPECT_EQ(SSL_CTX_get_options((*made)->native_handle()) & SSL_OP_NO_TLSv1_1, SSL_OP_NO_TLSv1_1);
}

TEST_F(ServerTls, WhatCannotServeIsRefusedInOneLineThatNamesTheFile) {
    const auto certificate = write("cert.pem", test::pem_of(server_->x509));
    const auto key = write("key.pem", test::pem_of(server_->key));
    const auto absent = directory_.path() / "absent.pem";
    const auto garbage = write("garbage.pem", "not PEM\n");
    expect_refused(absent, key, "absent.pem can't be read");
    expect_refused(certificate, absent, "absent.pem can't be read");
    expect_refused(directory_.path(), key, "can't be read");
    expect_refused(garbage, key, "garbage.pem holds no certificate");
    expect_refused(key, key, "key.pem holds no certificate");
    expect_refused(certificate, garbage, "garbage.pem holds no private key");
    expect_refused(certificate, certificate, "cert.pem holds no private key");
    expect_refused(certificate, write("other.pem", test::pem_of(authority_->key)),
                   "other.pem is the key of another certificate");
    expect_refused(certificate, write("locked.pem", test::pem_of(server_->key, "secret")),
                   "locked.pem is protected by a passphrase");
    expect_refused(write("huge.pem", std::string(1024 * 1024 + 1, 'x')), key, "larger than 1 MiB");
}

}  // namespace
}  // namespace millrace
