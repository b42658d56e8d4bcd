#include "tests/app/server_fixture.hpp"
#include "tests/support/certificate.hpp"

namespace millrace::app {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class ServerWithKeys : public ServerTest {
  protected:
    std::string write(const std::string& name, const std::string& text) {
        const auto path = directory_.path() / name;
        std::ofstream(path) << text;
        return path;
    }
    Configuration with_certificate() {
        const auto certificate = test::issue("localhost", "IP:127.0.0.1", nullptr);
        Configuration configuration = test_configuration(data());
        configuration.server.https_listen = "127.0.0.1:0";
        configuration.server.amqps_listen = "127.0.0.1:0";
        configuration.server.tls_certificate = write("cert.pem", test::pem_of(certificate->x509));
        configuration.server.tls_key = write("key.pem", test::pem_of(certificate->key));
        return configuration;
    }
};

TEST_F(ServerWithKeys, WithACertificateItAnswersOverHttpsToo) {
    const Configuration configuration = with_certificate();
    start(configuration);
    EXPECT_EQ(get("/healthz").status, 200);
    ASSERT_THAT(server_->https_url(), testing::StartsWith("https://127.0.0.1:"));
    EXPECT_EQ(fetch(server_->https_url() + "/healthz", configuration.server.tls_certificate).status, 200);
}

TEST_F(ServerWithKeys, TheUrlsOfItsAdministrationBeginAsTheRequestDid) {
    const Configuration configuration = with_certificate();
    start(configuration);
    const std::string path = "/embed-queue?api-version=2021-05";
    const std::string& trusted = configuration.server.tls_certificate;
    EXPECT_THAT(fetch(server_->https_url() + path, trusted).body,
                HasSubstr("<id>" + server_->https_url() + path + "</id>"));
    EXPECT_THAT(fetch(server_->url() + path).body, HasSubstr("<id>" + server_->url() + path + "</id>"));
}

TEST_F(ServerWithKeys, WithoutACertificateItHasNoHttps) {
    start();
    EXPECT_EQ(server_->https_url(), "");
}

TEST_F(ServerWithKeys, ACertificateThatCannotServeStopsTheStart) {
    Configuration configuration = with_certificate();
    configuration.server.tls_key = configuration.server.tls_certificate;
    const auto started = try_start(configuration);
    ASSERT_FALSE(started);
    EXPECT_THAT(started.error().detail,
                AllOf(HasSubstr("server.tls_certificate and tls_key: "), HasSubstr("holds no private key")));
}

TEST_F(ServerWithKeys, AnAddressInUseIsNamedWithItsSetting) {
    start(with_certificate());
    Configuration second = with_certificate();
    second.server.data_dir = directory_.path() / "other";
    const std::string url = server_->https_url();
    second.server.https_listen = url.substr(url.find("//") + 2);
    Server other(io_.get_executor(), clock_, second);
    const auto started = test::run(io_, other.start());
    ASSERT_FALSE(started);
    EXPECT_THAT(started.error().detail, HasSubstr("server.https_listen: can't listen on 127.0.0.1:"));
    test::run(io_, other.stop());
}

TEST_F(ServerWithKeys, AccessKeysGuardItsAdministration) {
    Configuration configuration = test_configuration(data());
    configuration.server.access_keys_file = write("keys", "root secret Manage\n");
    std::filesystem::permissions(configuration.server.access_keys_file,
                                 std::filesystem::perms::owner_read | std::filesystem::perms::group_read);
    start(configuration);
    EXPECT_EQ(fetch(server_->url() + "/embed-queue?api-version=2021-05").status, 401);
    EXPECT_THAT(server_->notices(), testing::Contains(HasSubstr("can be read by other users")));
}

TEST_F(ServerWithKeys, AmqpWithoutKeysIsNotServedByDefaultWhereHttpNeedsThem) {
    Configuration configuration = test_configuration(data());
    configuration.server.api_keys_file = write("api-keys", "secret\n");
    configuration.server.amqp_listen = ServerSettings().amqp_listen;
    start(configuration);
    EXPECT_THAT(server_->notices(), testing::Contains(HasSubstr("server.amqp_listen: not served")));
}

TEST_F(ServerWithKeys, AmqpWithoutKeysThatIsAskedForIsServedWithANotice) {
    Configuration configuration = test_configuration(data());
    configuration.server.api_keys_file = write("api-keys", "secret\n");
    const std::string notice = "127.0.0.1:0 serves AMQP to callers without keys";
    start(configuration);
    EXPECT_THAT(server_->notices(), testing::Contains(HasSubstr(notice)));
    stop();
    configuration.server.access_keys_file = write("keys", "root secret Manage\n");
    start(configuration);
    EXPECT_THAT(server_->notices(), testing::Not(testing::Contains(HasSubstr("AMQP"))));
    stop();
    configuration.server.api_keys_file = configuration.server.access_keys_file = "";
    start(configuration);
    EXPECT_THAT(server_->notices(), testing::Not(testing::Contains(HasSubstr("AMQP"))));
}

}  // namespace
}  // namespace millrace::app
