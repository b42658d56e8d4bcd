// Bodies in files: how they get there, and what a form in one holds.
#include "http/upload.hpp"

#include "provider/http_client.hpp"
#include "tests/support/run.hpp"
#include "tests/support/temporary_directory.hpp"

#include "base/async.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace millrace::http {

namespace {

constexpr char kType[] = "multipart/form-data; boundary=xx";

std::string part(const std::string& head, const std::string& content) {
    return "--xx\r\nContent-Disposition: form-data; " + head + "\r\n\r\n" + content + "\r\n";
}

}  // namespace

class UploadTest : public testing::Test {
  protected:
    Checked<std::vector<UploadedPart>> read(const std::string& body, std::size_t parts_max = 16) {
        file_ = BodyFile::make(directory_.path());
        file_->append(body);
        return read_parts(*file_, kType, parts_max);
    }
    std::string content(const UploadedPart& part) const { return file_->read(part.offset, part.size); }

    test::TemporaryDirectory directory_;
    std::shared_ptr<BodyFile> file_;
};

TEST_F(UploadTest, FilesAndFieldsAreFoundInAnyOrder) {
    const auto parts = read(part("name=\"purpose\"", "batch") +
                            part("name=\"file\"; filename=\"a/in.jsonl\"", "line\r\n--x\r\nline") +
                            part("name=\"empty\"", "") + "--xx--\r\n");
    ASSERT_TRUE(parts) << parts.error().detail;
    ASSERT_EQ(parts->size(), 3u);
    EXPECT_EQ((*parts)[0].text, "batch");
    EXPECT_EQ((*parts)[1].file_name, "in.jsonl");
    EXPECT_EQ(content((*parts)[1]), "line\r\n--x\r\nline");
    EXPECT_EQ((*parts)[2].text, "");
}

TEST_F(UploadTest, ABorderMayLieAnywhereInTheFile) {
    const std::string head = part("name=\"purpose\"", "batch");
    for (std::size_t size = limits::kMiB - 160; size < limits::kMiB + 8; ++size) {
        const std::string bytes(size, 'x');
        const auto parts = read(head + part("name=\"file\"; filename=\"f\"", bytes) + "--xx--\r\n");
        ASSERT_TRUE(parts) << size;
        ASSERT_EQ(parts->back().size, size);
    }
}

TEST_F(UploadTest, BrokenFormsAreRefused) {
    EXPECT_EQ(read("no border").error().status, 400u);
    EXPECT_EQ(read(part("name=\"a\"", "x")).error().status, 400u) << "no closing delimiter";
    EXPECT_EQ(read("--xx\r\nno head\r\n--xx--").error().status, 400u);
    EXPECT_EQ(read(part("filename=\"a\"", "x") + "--xx--").error().status, 400u) << "no name";
    EXPECT_EQ(read(part("name=\"a\"", "x") + part("name=\"b\"", "x") + "--xx--", 1).error().status, 413u);
    const std::string long_field(65 * limits::kKiB, 'x');
    EXPECT_EQ(read(part("name=\"a\"", long_field) + "--xx--").error().status, 413u);
}

/// A server that puts bodies of /big into files of at most 3 MiB and sends them back as one.
class SpoolTest : public testing::Test {
  protected:
    SpoolTest() {
        ServerOptions options;
        options.port = 0;
        options.body_bytes_max = 1000;
        options.spool = Spool{&pool_, directory_.path(), [](const Request& head) {
                                  return head.path == "/big" ? std::optional<std::size_t>(3 * limits::kMiB)
                                                             : std::nullopt;
                              }};
        Handler handler = [this](Request request) -> asio::awaitable<Response> {
            in_memory_ = request.body.size();
            Response response;
            response.file = request.file;
            if (!response.file) response.body = request.body;
            co_return response;
        };
        server_ = std::move(Server::start(io_.get_executor(), options, handler).value());
        client_ = std::move(provider::HttpClient::make(io_.get_executor()).value());
    }
    ~SpoolTest() override {
        client_->stop();
        test::run(io_, server_->stop(Duration(100)));
    }

    provider::HttpAnswer post(const std::string& path, std::string body) {
        provider::HttpRequest request;
        request.method = "POST";
        request.url =
            provider::parse_url("http://127.0.0.1:" + std::to_string(server_->port()) + path).value();
        request.body = std::move(body);
        auto answer = test::run(io_, client_->send(std::move(request)));
        EXPECT_TRUE(answer);
        return answer ? std::move(*answer) : provider::HttpAnswer{};
    }

    test::TemporaryDirectory directory_;
    asio::io_context io_;
    CpuPool pool_{1};
    std::size_t in_memory_ = 0;
    std::unique_ptr<Server> server_;
    std::unique_ptr<provider::HttpClient> client_;
};

TEST_F(SpoolTest, ALargeBodyGoesThroughAFileAndComesBackAsItWas) {
    std::string body(2 * limits::kMiB + 12'345, 'a');
    for (std::size_t i = 0; i < body.size(); i += 97) body[i] = static_cast<char>('a' + i % 26);
    const auto answer = post("/big", body);
    EXPECT_EQ(answer.status, 200);
    EXPECT_EQ(answer.body == body, true);
    EXPECT_EQ(in_memory_, 0u);
    EXPECT_TRUE(std::filesystem::is_empty(directory_.path())) << "a crash would leave files behind";
}

TEST_F(SpoolTest, EachKindOfBodyHasItsOwnLimit) {
    EXPECT_EQ(post("/big", std::string(3 * limits::kMiB + 1, 'x')).status, 413);
    EXPECT_EQ(post("/small", std::string(1001, 'x')).status, 413);
    EXPECT_EQ(post("/small", std::string(1000, 'x')).body.size(), 1000u);
    EXPECT_EQ(post("/big", "").status, 200);
}

}  // namespace millrace::http
