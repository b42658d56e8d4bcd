#include "tests/http/api_fixture.hpp"

namespace millrace::http {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

class Documents : public ApiTest {};

constexpr char kNote[] =
    R"({"id":"a/b","title":"Note","content":"some text","category":"notes","uploadedAt":"2026-11-21T08:15:30Z","metadata":{"page":1}})";

TEST_F(Documents, AreAcceptedWithTheAddressesOfWhatWasMade) {
    const auto answer = post_json("/v1/documents", kNote);
    ASSERT_EQ(answer.status, 202) << answer.body;
    EXPECT_EQ(text_of(answer, "id"), "a/b");
    const std::string operation = text_of(answer, "operation");
    const std::string origin = "http://127.0.0.1:" + std::to_string(server_->port());
    EXPECT_EQ(text_of(answer, "statusUrl"), origin + "/v1/operations/" + operation);
    EXPECT_EQ(provider::find_field(answer.headers, "Operation-Location"),
              origin + "/v1/operations/" + operation);
    EXPECT_EQ(provider::find_field(answer.headers, "Location"), origin + "/v1/documents/a%2Fb");
    EXPECT_EQ(provider::find_field(answer.headers, "Retry-After"), "1");
    EXPECT_EQ(queued(), 1u);
}

TEST_F(Documents, CarryTheTraceOfTheirRequestIntoTheQueue) {
    const std::string traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    ASSERT_EQ(post_json("/v1/documents", kNote, {{"Traceparent", traceparent}}).status, 202);
    ASSERT_EQ(post_json("/v1/documents", kNote, {{"traceparent", "00-nonsense"}}).status, 202);
    ASSERT_EQ(post_json("/v1/documents", kNote).status, 202);
    const auto queued = test::run(io_, broker_->peek("document-ingestion", 0, 10)).value();
    ASSERT_EQ(queued.size(), 3u);
    const auto& properties = queued[0].message.properties;
    EXPECT_EQ(properties.at("traceparent"), broker::Value(traceparent));
    EXPECT_EQ(properties.at("Diagnostic-Id"), broker::Value(traceparent));
    for (std::size_t i = 1; i < 3; ++i) {
        EXPECT_FALSE(queued[i].message.properties.contains("traceparent"));
        EXPECT_FALSE(queued[i].message.properties.contains("Diagnostic-Id"));
    }
}

TEST_F(Documents, CarryTheirTenantAndPriorityIntoTheQueue) {
    using Fields = provider::HttpFields;
    const std::string form =
        "--b\r\nContent-Disposition: form-data; name=\"tenant\"\r\n\r\nown\r\n"
        "--b\r\nContent-Disposition: form-data; name=\"priority\"\r\n\r\nbatch\r\n"
        "--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a.txt\"\r\n\r\nline\r\n--b--";
    struct {
        const char* target;
        const char* type;
        std::string body;
        Fields headers;
        work::Requester expected;
    } const cases[] = {
        {"", "application/json", kNote, {}, {"", false}},
        {"", "application/json", kNote, {{"Millrace-Tenant", "acme"}}, {"acme", false}},
        {"",
         "application/json",
         R"({"title":"t","content":"c","tenant":"own","priority":"batch"})",
         {{"Millrace-Tenant", "acme"}},
         {"own", true}},
        {"", "application/x-ndjson", R"({"title":"t","content":"c","priority":"interactive"})", {}, {}},
        {"?tenant=own&priority=batch", "text/plain", "text", {}, {"own", true}},
        {"", "text/plain", "text", {{"Millrace-Tenant", "acme"}}, {"acme", false}},
        {"", "multipart/form-data; boundary=b", form, {}, {"own", true}},
    };
    for (const auto& one : cases) {
        Fields headers = one.headers;
        headers.emplace_back("Content-Type", one.type);
        const auto answer = send("POST", std::string("/v1/documents") + one.target, one.body, headers);
        ASSERT_EQ(answer.status, 202) << answer.body;
        const auto messages = receive("document-ingestion", 1);
        ASSERT_EQ(messages.size(), 1u);
        EXPECT_EQ(work::requester_of(messages[0].message), one.expected) << one.type << one.body;
    }
    const std::string hasty = R"({"title":"t","content":"c","priority":"now"})";
    expect_problem(post_json("/v1/documents", hasty), 400, "priority is \"interactive\" or \"batch\"");
    expect_problem(post_json("/v1/documents", kNote, {{"Millrace-Tenant", std::string(200, 'a')}}), 400,
                   "Millrace-Tenant");
    const std::string target = "/v1/documents?tenant=" + std::string(200, 'a');
    expect_problem(send("POST", target, "text", {{"Content-Type", "text/plain"}}), 400, "tenant is longer");
}

TEST_F(Documents, ADryRunSaysWhatTheyWouldCostAndAcceptsNothing) {
    using boost::json::value;
    const auto one =
        body_of(post_json("/v1/documents?dryRun=true", R"({"id":"d","title":"t","content":"four"})"));
    EXPECT_EQ(one, (value{{"id", "d"},
                          {"model", "letters"},
                          {"chunks", 2},
                          {"cachedChunks", 1},
                          {"calls", 1},
                          {"promptTokens", 4},
                          {"cost", 8e-6},
                          {"documents", 1},
                          {"failing", 0},
                          {"backlogSeconds", nullptr},
                          {"secondsUntilDone", nullptr}}));
    const std::string form =
        "--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a.txt\"\r\n\r\n12345\r\n"
        "--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"b.txt\"\r\n\r\nbroken\r\n--b--";
    const std::pair<const char*, std::string> lists[] = {
        {"application/json", R"([{"title":"t","content":"12345"},{"title":"u","content":"broken"}])"},
        {"application/x-ndjson",
         "{\"title\":\"t\",\"content\":\"12345\"}\n{\"title\":\"u\",\"content\":\"broken\"}"},
        {"multipart/form-data; boundary=b", form}};
    for (const auto& [type, body] : lists) {
        const auto list = body_of(send("POST", "/v1/documents?dryRun=true", body, {{"Content-Type", type}}));
        ASSERT_EQ(list.at("documents").as_array().size(), 2u) << type;
        EXPECT_EQ(list.at("documents").at(1).at("error"), "MalformedPayload: why");
        EXPECT_EQ(list.at("total").at("promptTokens"), 5);
        EXPECT_EQ(list.at("total").at("documents"), 2);
        EXPECT_EQ(list.at("total").at("failing"), 1);
    }
    const auto raw =
        body_of(send("POST", "/v1/documents?dryRun=true", "text", {{"Content-Type", "text/plain"}}));
    EXPECT_EQ(raw.at("promptTokens"), 4);
    EXPECT_EQ(queued(), 0u);
    expect_problem(get("/v1/documents/d"), 404, "no document");
    expect_problem(post_json("/v1/documents?dryRun=maybe", kNote), 400, "?dryRun must be true or false");
    expect_problem(post_json("/v1/documents?dryRun=true", "{}"), 400, "title is missing");
}

TEST_F(Documents, ADryRunSaysWhenTheyWouldBeDoneBehindWhatWaits) {
    constexpr char target[] = "/v1/documents?dryRun=true";
    constexpr char body[] = R"({"title":"t","content":"0123456789"})";
    quota::PageView view;
    view.deployment = "letters";
    views_ = {view};
    EXPECT_TRUE(body_of(post_json(target, body)).at("secondsUntilDone").is_null()) << "no limit is known";
    const auto timing = [&] {
        const auto answer = body_of(post_json(target, body));
        return std::pair(answer.at("backlogSeconds").to_number<double>(),
                         answer.at("secondsUntilDone").to_number<double>());
    };
    views_[0].tokens_per_minute = 60;
    EXPECT_EQ(timing(), std::pair(0.0, 10.0));
    views_[0].waiting_tokens = 20;
    EXPECT_EQ(timing(), std::pair(20.0, 30.0));
    backlog_.passages["letters"] = {1, 50};
    EXPECT_EQ(timing(), std::pair(50.0, 60.0)) << "passages in line are among those that wait";
    backlog_.tasks["letters"] = 3;
    EXPECT_EQ(timing(), std::pair(50.0, 60.0)) << "of tasks like no call in line nothing is known";
    views_[0].waiting_calls = 2;
    EXPECT_EQ(timing(), std::pair(80.0, 90.0)) << "three tasks of ten tokens";
    backlog_.tasks.clear();
    views_[0].waiting_calls = 0;
    views_[0].requests_per_minute = 1;
    EXPECT_EQ(timing(), std::pair(60.0, 120.0)) << "requests take longer than tokens";
    views_[0].frozen_until = clock_.now() + std::chrono::seconds(5);
    EXPECT_EQ(timing(), std::pair(65.0, 125.0));
    views_[0].deployment = "another";
    EXPECT_TRUE(body_of(post_json(target, body)).at("secondsUntilDone").is_null());
}

TEST_F(Documents, ADryRunOfTooMuchIsRefusedInBoundedTime) {
    estimate_time_ = std::chrono::seconds(11);
    constexpr char two[] = R"([{"title":"t","content":"a"},{"title":"t","content":"b"}])";
    constexpr char three[] =
        R"([{"title":"t","content":"a"},{"title":"t","content":"b"},{"title":"t","content":"c"}])";
    EXPECT_EQ(post_json("/v1/documents?dryRun=true", two).status, 200);
    expect_problem(post_json("/v1/documents?dryRun=true", three), 413, "send fewer documents");
    for (int i = 0; i < 8; ++i) EXPECT_EQ(post_json("/v1/documents?dryRun=true", two).status, 200);
}

TEST_F(Documents, AreFoundByAnIdWithSlashesEncodedOrNot) {
    post_json("/v1/documents", kNote);
    for (const char* path : {"/v1/documents/a%2Fb", "/v1/documents/a/b"}) {
        const auto answer = get(path);
        EXPECT_EQ(answer.status, 200) << path;
        const auto document = body_of(answer);
        EXPECT_EQ(document.at("id"), "a/b");
        EXPECT_EQ(document.at("status"), "accepted");
        EXPECT_EQ(document.at("category"), "notes");
        EXPECT_EQ(document.at("metadata").at("page"), 1);
        EXPECT_EQ(document.at("uploadedAt"), "2026-11-21T08:15:30Z");
    }
    expect_problem(get("/v1/documents/a"), 404, "no document");
}

TEST_F(Documents, ComeInEveryForm) {
    const std::string form =
        "--xyz\r\nContent-Disposition: form-data; name=\"category\"\r\n\r\nmanuals\r\n"
        "--xyz\r\nContent-Disposition: form-data; name=\"file\"; filename=\"C:\\\\a\\\\one.md\"\r\n"
        "Content-Type: text/markdown\r\n\r\n# One\r\n--xyz\r\n"
        "Content-Disposition: form-data; name=\"file\"; filename=\"two.pdf\"\r\n"
        "Content-Type: application/octet-stream\r\n\r\n%PDF\r\n\r\n-\r\n--xyz--\r\n";
    struct {
        const char* type;
        std::string body;
        std::size_t count;
        bool list;
    } cases[] = {
        {"application/json", R"({"title":"t","content":"c"})", 1, false},
        {"application/json; charset=utf-8",
         R"([{"title":"t","content":"c"},{"Title":"t","Content":"c","uploaded_at":"2026-11-21"}])", 2, true},
        {"application/x-ndjson",
         "{\"title\":\"t\",\"content\":\"c\"}\r\n\n{\"title\":\"u\",\"content\":\"d\"}", 2, true},
        {"multipart/form-data; boundary=xyz", form, 2, true},
        {"text/plain", "plain", 1, false},
        {"application/pdf", "%PDF-1.7", 1, false},
        {"application/octet-stream", "bytes", 1, false},
    };
    std::uint64_t total = 0;
    for (const auto& [type, body, count, list] : cases) {
        const auto answer = send("POST", "/v1/documents", body, {{"Content-Type", type}});
        ASSERT_EQ(answer.status, 202) << type << answer.body;
        EXPECT_EQ(body_of(answer).is_array(), list) << type;
        EXPECT_TRUE(!list || body_of(answer).as_array().size() == count) << type;
        total += count;
        EXPECT_EQ(queued(), total) << type;
    }
}

TEST_F(Documents, OfAFormKeepNameTypeAndBytes) {
    const std::string form =
        "--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"two.txt\"\r\n\r\nline\r\n"
        "--not the end \xff\r\n\r\n--b--";
    send("POST", "/v1/documents", form, {{"Content-Type", "multipart/form-data; boundary=\"b\""}});
    const auto messages = receive("document-ingestion", 1);
    ASSERT_EQ(messages.size(), 1u);
    const auto body = boost::json::parse(messages[0].message.body);
    EXPECT_EQ(body.at("fileName"), "two.txt");
    EXPECT_EQ(blobs_->get(std::string(body.at("contentRef").as_string())).value(),
              "line\r\n--not the end \xff\r\n");
}

TEST_F(Documents, AsRawBodiesTakeTheirNamesFromTheQuery) {
    const auto answer = send("POST", "/v1/documents?id=x%2Fy&title=My+title&category=c&filename=a.txt",
                             "text", {{"Content-Type", "text/plain"}});
    ASSERT_EQ(answer.status, 202) << answer.body;
    const auto document = body_of(get("/v1/documents/x%2Fy"));
    EXPECT_EQ(document.at("title"), "My title");
    EXPECT_EQ(document.at("category"), "c");
}

TEST_F(Documents, ThatAreWrongAreRefusedWithOneLineThatSaysWhy) {
    const std::string long_id = std::string(1000, 'i');
    struct {
        int status;
        const char* words;
        const char* type;
        std::string body;
    } cases[] = {
        {400, "malformed JSON at line 2, column 15", "application/json",
         "{\"title\":\"t\",\n\"content\":\"c\" oops}"},
        {400, "malformed JSON: it ends in the middle", "application/json", "{\"title\":"},
        {400, "malformed JSON: it ends in the middle", "application/json", ""},
        {400, "text after the end", "application/json", "{} {}"},
        {400, "malformed JSON at line 1, column 12", "application/json",
         "{\"title\":\"a\xff\",\"content\":\"c\"}"},
        {400, "expected an object, found text", "application/json", "\"t\""},
        {400, "expected an object, found null", "application/json", "null"},
        {400, "title: expected text, found a number", "application/json", R"({"title":1,"content":"c"})"},
        {400, "content: expected text, found a list", "application/json", R"({"title":"t","content":["c"]})"},
        {400, "metadata: expected an object, found text", "application/json",
         R"({"title":"t","content":"c","metadata":"m"})"},
        {400, "title is missing", "application/json", R"({"content":"c"})"},
        {400, "content is missing", "application/json", R"({"title":"t"})"},
        {400, "content is missing", "application/json", R"({"title":"t","content":null})"},
        {400, "content is empty", "application/json", R"({"title":"t","content":""})"},
        {400, "unknown field \"contnet\" (did you mean \"content\"?)", "application/json",
         R"({"title":"t","contnet":"c"})"},
        {400, "uploadedAt is no RFC 3339 date", "application/json",
         R"({"title":"t","content":"c","uploadedAt":"yesterday"})"},
        {400, "id is longer than 256 bytes", "application/json",
         R"({"title":"t","content":"c","id":")" + long_id + "\"}"},
        {400, "id holds a control character", "application/json",
         R"({"title":"t","content":"c","id":"a\u0000b"})"},
        {400, "id is empty", "application/json", R"({"title":"t","content":"c","id":""})"},
        {400, "no URL could lead to the document", "application/json",
         R"({"title":"t","content":"c","id":"."})"},
        {400, "no URL could lead to the document", "application/json",
         R"({"title":"t","content":"c","id":".."})"},
        {400, "documents[1]: title is missing", "application/json",
         R"([{"title":"t","content":"c"},{"content":"c"}])"},
        {400, "documents[0]: expected an object, found a number", "application/json", "[1]"},
        {400, "the list is empty", "application/json", "[]"},
        {400, "line 2: malformed JSON", "application/x-ndjson", "{\"title\":\"t\",\"content\":\"c\"}\n{"},
        {400, "the body holds no document", "application/x-ndjson", "\n \n"},
        {400, "the body is empty", "text/plain", ""},
        {400, "needs a boundary", "multipart/form-data", "x"},
        {400, "does not hold its boundary", "multipart/form-data; boundary=b", "x"},
        {400, "ends before its closing delimiter", "multipart/form-data; boundary=b",
         "--b\r\nContent-Disposition: form-data; name=f; filename=x\r\n\r\nhi"},
        {400, "the form holds no file", "multipart/form-data; boundary=b",
         "--b\r\nContent-Disposition: form-data; name=f\r\n\r\nhi\r\n--b--"},
        {400, "file \"x\": is empty", "multipart/form-data; boundary=b",
         "--b\r\nContent-Disposition: form-data; name=f; filename=x\r\n\r\n\r\n--b--"},
        {400, "unknown form field \"colour\"", "multipart/form-data; boundary=b",
         "--b\r\nContent-Disposition: form-data; name=f; filename=x\r\n\r\nhi\r\n--b\r\nContent-Disposition: "
         "form-data; name=colour\r\n\r\nred\r\n--b--"},
        {415, "Content-Type \"image/png\" is not supported", "image/png", "x"},
        {415, "curl -d sends this by default", "application/x-www-form-urlencoded", "{}"},
        {413, "too many values", "application/json", "[" + std::string(3'000'000, '[')},
    };
    cases[std::size(cases) - 1].body = [] {
        std::string numbers = "[0";
        for (int i = 0; i < 12'000'000; ++i) numbers += ",1";
        return numbers + "]";
    }();
    for (const auto& [status, words, type, body] : cases)
        expect_problem(send("POST", "/v1/documents", body, {{"Content-Type", type}}), status, words);
    EXPECT_EQ(queued(), 0u);
}

TEST_F(Documents, WithoutAContentTypeAreRefused) {
    expect_problem(send("POST", "/v1/documents", "x"), 415, "no Content-Type");
    expect_problem(
        send("POST", "/v1/documents", "x", {{"Content-Type", "text/plain"}, {"Content-Encoding", "gzip"}}),
        415, "Content-Encoding \"gzip\"");
}

TEST_F(Documents, DeepNestingIsRefused) {
    const std::string deep = R"({"title":"t","content":"c","metadata":)" + std::string(100'000, '[');
    expect_problem(post_json("/v1/documents", deep), 400, "malformed JSON");
}

TEST_F(Documents, OfMoreThan32MiBAreRefusedAndTheServerGoesOn) {
    const std::string body(33 * limits::kMiB, 'x');
    expect_problem(send("POST", "/v1/documents", body, {{"Content-Type", "text/plain"}}), 413,
                   "larger than 33554432");
    EXPECT_EQ(post_json("/v1/documents", kNote).status, 202);
}

TEST_F(Documents, WithUnknownParametersAreRefused) {
    expect_problem(send("POST", "/v1/documents?titel=x", "x", {{"Content-Type", "text/plain"}}), 400,
                   "unknown parameter \"titel\" (did you mean \"title\"?)");
}

TEST_F(Documents, WhoseIdNoUrlLeadsToAreRefusedInEveryForm) {
    const provider::HttpFields plain = {{"Content-Type", "text/plain"}};
    for (const char* id : {".", "%2E", "..", "%2e%2E"})
        expect_problem(send("POST", "/v1/documents?id=" + std::string(id), "x", plain), 400, "no URL");
    const std::string form =
        "--b\r\nContent-Disposition: form-data; name=f; filename=x\r\n\r\nhi\r\n--b\r\n"
        "Content-Disposition: form-data; name=id\r\n\r\n..\r\n--b--";
    expect_problem(send("POST", "/v1/documents", form, {{"Content-Type", "multipart/form-data; boundary=b"}}),
                   400, "no URL");
    EXPECT_EQ(queued(), 0u);
    for (const char* id : {"...", ".a", "a/..", "%2F", "a%2F%2Fb", "%3F%23%25"}) {
        EXPECT_EQ(send("POST", "/v1/documents?id=" + std::string(id), "x", plain).status, 202) << id;
    }
    for (const char* path : {"...", ".a", "a%2F..", "%2F", "a%2F%2Fb", "%3F%23%25"})
        EXPECT_EQ(get("/v1/documents/" + std::string(path)).status, 200) << path;
}

TEST_F(Documents, OneBadDocumentRefusesAllOfItsList) {
    std::string lines;
    for (int i = 0; i < 5; ++i) lines += "{\"title\":\"t\",\"content\":\"c\"}\n";
    expect_problem(
        send("POST", "/v1/documents", lines + "{\"title\":7}", {{"Content-Type", "application/x-ndjson"}}),
        400, "line 6: title: expected text, found a number");
    EXPECT_EQ(queued(), 0u);
}

TEST_F(Documents, TheSameIdempotencyKeyGivesTheSameAnswerOnce) {
    const auto first = post_json("/v1/documents", kNote, {{"Idempotency-Key", "\"k 1\""}});
    const auto second = post_json("/v1/documents", kNote, {{"Idempotency-Key", "\"k 1\""}});
    ASSERT_EQ(first.status, 202) << first.body;
    EXPECT_EQ(second.status, 202);
    EXPECT_EQ(second.body, first.body);
    EXPECT_EQ(provider::find_field(second.headers, "Operation-Location"),
              provider::find_field(first.headers, "Operation-Location"));
    EXPECT_EQ(queued(), 1u);
    const auto other = post_json("/v1/documents", kNote, {{"Idempotency-Key", "\"k 2\""}});
    EXPECT_NE(other.body, first.body);
}

TEST_F(Documents, AnIdempotencyKeyIsGoodFor24Hours) {
    const auto first = post_json("/v1/documents", kNote, {{"Idempotency-Key", "k"}});
    clock_.advance(std::chrono::hours(24) + std::chrono::minutes(1));
    test::run(io_, documents_->prune()).value();
    const auto second = post_json("/v1/documents", kNote, {{"Idempotency-Key", "k"}});
    EXPECT_EQ(second.status, 202);
    EXPECT_NE(second.body, first.body);
}

TEST_F(Documents, AnIdempotencyKeyWithOtherContentIsRefused) {
    post_json("/v1/documents", kNote, {{"Idempotency-Key", "k"}});
    expect_problem(
        post_json("/v1/documents", R"({"title":"t","content":"other"})", {{"Idempotency-Key", "k"}}), 422,
        "used for another request");
    expect_problem(post_json("/v1/documents", kNote, {{"Idempotency-Key", std::string(300, 'k')}}), 400,
                   "255");
    EXPECT_EQ(queued(), 1u);
}

TEST_F(Documents, AreListedInPages) {
    for (const char* id : {"a", "b", "c"})
        post_json("/v1/documents", R"({"title":"t","content":"c","id":")" + std::string(id) + "\"}");
    const auto first = body_of(get("/v1/documents?limit=2"));
    EXPECT_EQ(first.at("documents").as_array().size(), 2u);
    EXPECT_EQ(first.at("next"), "b");
    const auto last = body_of(get("/v1/documents?limit=2&after=b"));
    EXPECT_EQ(last.at("documents").as_array().size(), 1u);
    EXPECT_TRUE(last.at("next").is_null());
    EXPECT_EQ(body_of(get("/v1/documents?status=failed")).at("documents").as_array().size(), 0u);
    EXPECT_EQ(body_of(get("/v1/documents?category=x")).at("documents").as_array().size(), 0u);
    expect_problem(get("/v1/documents?status=done"), 400, "?status must be");
    expect_problem(get("/v1/documents?limit=0"), 400, "?limit must be a whole number from 1 to 1000");
}

TEST_F(Documents, ThatAreDeletedLeaveNoTrace) {
    post_json("/v1/documents", kNote);
    publish("a/b", "notes", {"some text"});
    EXPECT_EQ(send("DELETE", "/v1/documents/a%2Fb").status, 204);
    EXPECT_EQ(get("/v1/documents/a%2Fb").status, 404);
    EXPECT_EQ(body_of(post_json("/v1/search", R"({"query":"some text"})")).at("results").as_array().size(),
              0u);
    expect_problem(send("DELETE", "/v1/documents/a%2Fb"), 404, "no document");
}

TEST_F(Documents, HaveAnOperationThatCanBeAwaited) {
    const std::string operation = text_of(post_json("/v1/documents", kNote), "operation");
    const auto answer = get("/v1/operations/" + operation);
    ASSERT_EQ(answer.status, 200) << answer.body;
    const auto view = body_of(answer);
    EXPECT_EQ(view.at("status"), "accepted");
    EXPECT_EQ(view.at("documentId"), "a/b");
    EXPECT_EQ(view.at("progress").at("total"), 0);
    EXPECT_TRUE(view.at("attempts").is_array());
    EXPECT_TRUE(view.at("tokens").at("prompt").is_int64());
    EXPECT_EQ(provider::find_field(answer.headers, "Retry-After"), "1");
    expect_problem(get("/v1/operations/op_none"), 404, "no operation");
    expect_problem(get("/v1/operations/" + operation + "?wait=soon"), 400, "?wait must be a whole number");
}

TEST_F(Documents, ALongPollAnswersWhenTheOperationEnds) {
    const std::string operation = text_of(post_json("/v1/documents", kNote), "operation");
    const auto generation = test::run(io_, documents_->find("a/b"))->generation;
    auto finish = [&]() -> asio::awaitable<void> {
        auto write = [&](store::Connection& connection) -> Result<void> {
            work::records::fail(connection, {"a/b", generation}, "extract", "MalformedPayload: x",
                                clock_.now());
            return {};
        };
        (void)co_await database_->write(write);
        operations_->changed("a/b");
    };
    spawn(io_.get_executor(), finish());
    const auto view = body_of(get("/v1/operations/" + operation + "?wait=30"));
    EXPECT_EQ(view.at("status"), "failed");
    EXPECT_EQ(view.at("error"), "MalformedPayload: x");
}

}  // namespace
}  // namespace millrace::http
