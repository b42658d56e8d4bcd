// Documents that end badly, or that are hard to take: from POST to the dead letter, and on.
#include "base/limits.hpp"
#include "store/sqlite.hpp"
#include "tests/app/server_fixture.hpp"
#include "tests/text/samples.hpp"

#include <boost/asio/experimental/awaitable_operators.hpp>

#include <sstream>

namespace millrace::app {
namespace {

using testing::HasSubstr;

std::string file_bytes(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    EXPECT_TRUE(file) << path;
    std::ostringstream bytes;
    bytes << file.rdbuf();
    return bytes.str();
}

/// A DOCX of 300 KB that unpacks to more than an archive may.
std::string zip_bomb() {
    std::vector<std::pair<std::string, std::string>> entries;
    entries.emplace_back("[Content_Types].xml", "<Types/>");
    entries.emplace_back("word/document.xml", std::string(limits::unpacked_bytes_max + limits::kMiB, 'a'));
    return text::make_zip(entries);
}

class HostileDocuments : public ServerTest {
  protected:
    Reply post_raw(const std::string& id, std::string bytes, const std::string& type) {
        return send({.method = "POST",
                     .target = "/v1/documents?id=" + id,
                     .body = std::move(bytes),
                     .content_type = type});
    }
    static std::string text(const boost::json::value& value) { return std::string(value.as_string()); }

    /// The dead letters of the ingestion queue, once there are `count`: a moment after their operations fail.
    boost::json::array dead_letters(std::size_t count) {
        boost::json::value page;
        for (int i = 0; i < 10'000; ++i) {
            page = get("/v1/queues/document-ingestion/messages?state=deadLettered&limit=100").body;
            if (page.at("messages").as_array().size() >= count) break;
        }
        return page.at("messages").as_array();
    }

    std::int64_t rows(const std::string& sql) {
        store::SqliteConnection connection((data() / "millrace.db").string(), store::Access::read_only);
        return connection.integer(sql);
    }
    std::size_t blob_files() const {
        const auto is_file = [](const auto& entry) { return entry.is_regular_file(); };
        const std::filesystem::recursive_directory_iterator all(data() / "blobs");
        return static_cast<std::size_t>(std::count_if(begin(all), end(all), is_file));
    }
};

TEST_F(HostileDocuments, EndAsDeadLettersThatSayWhyAndTheServerGoesOn) {
    constexpr char docx[] = "application/vnd.openxmlformats-officedocument.wordprocessingml.document";
    const std::string good = text::make_pdf({"Some text.", "More text."});
    struct {
        const char* id;
        const char* type;
        std::string bytes;
        const char* reason;
        const char* description;
    } cases[] = {
        {"encrypted", "application/pdf", file_bytes(MILLRACE_SOURCE_DIR "/tests/text/fixtures/encrypted.pdf"),
         "MalformedPayload", "the PDF is encrypted: remove its password and send it again"},
        {"truncated", "application/pdf", good.substr(0, good.size() / 2), "MalformedPayload",
         "cut off or damaged"},
        {"no-text", "application/pdf", text::make_pdf({"", ""}), "MalformedPayload",
         "PDF without text: it holds only images; run OCR first"},
        {"bomb", docx, zip_bomb(), "InputTooLarge", "the archive unpacks to more than 256 MiB"},
        {"blank", "text/plain", " \n\t\n", "MalformedPayload", "holds no text"},
        {"binary", "text/plain; charset=utf-8", std::string("mill \xff\xfe\x80\0 race \xc3", 17),
         "MalformedPayload", "not text"},
    };
    start();
    for (const auto& [id, type, bytes, reason, description] : cases) {
        const Reply accepted = post_raw(id, bytes, type);
        ASSERT_EQ(accepted.status, 202) << id << accepted.problem();
        const auto operation = finished(text(accepted.body.at("operation")));
        EXPECT_EQ(operation.at("status"), "failed") << id;
        EXPECT_THAT(text(operation.at("error")), HasSubstr(std::string(reason) + ": ")) << id;
        EXPECT_EQ(get("/v1/documents/" + std::string(id)).body.at("status"), "failed") << id;
    }
    const auto letters = dead_letters(std::size(cases));
    ASSERT_EQ(letters.size(), std::size(cases));
    for (std::size_t i = 0; i < std::size(cases); ++i) {
        EXPECT_EQ(letters[i].at("deadLetterReason"), cases[i].reason) << cases[i].id;
        const std::string description = text(letters[i].at("deadLetterDescription"));
        EXPECT_THAT(description, HasSubstr(cases[i].description)) << cases[i].id;
        EXPECT_EQ(description.find('\n'), std::string::npos) << cases[i].id;
    }
    EXPECT_EQ(ingest("good", "The mill race carries water.").at("status"), "succeeded");
    EXPECT_EQ(search("water").size(), 1u);
    EXPECT_EQ(get("/healthz").status, 200);
}

TEST_F(HostileDocuments, ThatAreEmptyAreRefused) {
    start();
    for (const char* type : {"text/plain", "application/pdf", "application/octet-stream"}) {
        const Reply refused = post_raw("empty", "", type);
        EXPECT_EQ(refused.status, 400) << type;
        EXPECT_THAT(refused.problem(), HasSubstr("the body is empty")) << type;
    }
    EXPECT_EQ(get("/v1/documents/empty").status, 404);
}

TEST_F(HostileDocuments, WithBytesThatAreNotUtf8AreReadAsTheirCharsetOrRefused) {
    start();
    const Reply latin = post_raw("latin", "Das M\xfchlrad dreht sich am Bach.", "text/plain; charset=utf-8");
    ASSERT_EQ(latin.status, 202);
    EXPECT_EQ(finished(text(latin.body.at("operation"))).at("status"), "succeeded");
    const auto hits = search("M\u00fchlrad");
    ASSERT_EQ(hits.size(), 1u);
    EXPECT_THAT(text(hits[0].at("text")), HasSubstr("M\u00fchlrad"));
    // JSON is UTF-8 by its own standard (RFC 8259, 8.1): nothing is guessed there.
    const Reply json = post_raw("json", "{\"title\":\"t\",\"content\":\"M\xfchlrad\"}", "application/json");
    EXPECT_EQ(json.status, 400);
    EXPECT_THAT(json.problem(), HasSubstr("malformed JSON at line 1"));
}

TEST_F(HostileDocuments, TenMegabytesOnOneLineAreSearchable) {
    std::string line = "the first words ";
    while (line.size() < 10'000'000) line += "grain after grain ";
    line += "the last windmill";
    start();
    const Reply accepted = post_raw("line", line, "text/plain");
    ASSERT_EQ(accepted.status, 202) << accepted.problem();
    boost::json::value operation;
    do {
        operation = finished(text(accepted.body.at("operation")));
    } while (operation.at("status") == "accepted" || operation.at("status") == "running");
    EXPECT_EQ(operation.at("status"), "succeeded") << boost::json::serialize(operation);
    const auto hits =
        post("/v1/search", boost::json::object{{"query", "windmill"}, {"mode", "keyword"}}).body;
    ASSERT_EQ(hits.at("results").as_array().size(), 1u);
    EXPECT_THAT(text(hits.at("results").at(0).at("text")), HasSubstr("the last windmill"));
}

TEST_F(HostileDocuments, TwoOfOneIdAtOnceLeaveTheNewerOneAndNothingElse) {
    using namespace boost::asio::experimental::awaitable_operators;
    start();
    for (int round = 0; round < 5; ++round) {
        const std::string number = std::to_string(round);
        // One goes through a blob, the other does not: which one is accepted first is open.
        const std::string large = std::string(100'000, ' ') + "waterwheel" + number;
        const std::string small = "windmill" + number;
        Client::Call first{
            .method = "POST", .target = "/v1/documents?id=same", .body = large, .content_type = "text/plain"};
        Client::Call second{
            .method = "POST", .target = "/v1/documents?id=same", .body = small, .content_type = "text/plain"};
        auto sending = client_->send(std::move(first));
        auto other = client_->send(std::move(second));
        auto both = std::move(sending) && std::move(other);
        auto [one, two] = test::run(io_, std::move(both));
        ASSERT_TRUE(one && two);
        ASSERT_EQ(one->status, 202) << one->problem();
        ASSERT_EQ(two->status, 202) << two->problem();
        std::vector<std::int64_t> generations;
        for (const Reply* reply : {&*one, &*two}) {
            const std::string operation = text(reply->body.at("operation"));
            EXPECT_EQ(finished(operation).at("status"), "succeeded");
            generations.push_back(rows("SELECT generation FROM operation WHERE id='" + operation + "'"));
        }
        const auto document = get("/v1/documents/same").body;
        const std::int64_t newest = std::max(generations[0], generations[1]);
        EXPECT_EQ(document.at("generation").to_number<std::int64_t>(), newest);
        const std::string& wanted = generations[0] > generations[1] ? large : small;
        const auto hits = search("waterwheel" + number + " windmill" + number);
        ASSERT_EQ(hits.size(), 1u);
        EXPECT_THAT(wanted, HasSubstr(text(hits[0].at("text"))));
    }
    // The loser of the last round may still be on its way out.
    const auto at_work = [&] {
        std::int64_t count = 0;
        const auto queues = get("/v1/queues").body;
        for (const auto& queue : queues.at("queues").as_array())
            for (const char* state : {"active", "locked", "scheduled", "deadLettered"})
                count += queue.at(state).to_number<std::int64_t>();
        return count;
    };
    for (int i = 0; i < 10'000 && at_work() > 0; ++i) {
    }
    EXPECT_EQ(at_work(), 0);
    EXPECT_EQ(rows("SELECT count(*) FROM version"), 1);
    EXPECT_EQ(rows("SELECT count(*) FROM chunk"), 1);
    EXPECT_EQ(rows("SELECT count(*) FROM blob"), 0);
    for (int i = 0; i < 10'000 && blob_files() > 0; ++i) get("/readyz");
    EXPECT_EQ(blob_files(), 0u);
}

}  // namespace
}  // namespace millrace::app
