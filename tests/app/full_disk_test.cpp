// A full disk, as a server of its own meets it. A limit on the size of its files stands for it: it can be set
// and lifted from outside and needs no rights.
#include "app/client.hpp"
#include "tests/app/serve_fixture.hpp"
#include "tests/support/run.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include <sys/resource.h>

namespace millrace::app {
namespace {

using testing::HasSubstr;

class FullDisk : public ServeCommand {
  protected:
    /// With short locks: work whose end could not be stored comes again when its lock has run out.
    void start() {
        test::Process::Environment environment;
        int number = 0;
        for (const char* queue :
             {"document-ingestion", "chunk-queue", "embed-queue", "index-queue", "metadata-queue"}) {
            const std::string prefix = "MILLRACE_QUEUES__" + std::to_string(number++);
            environment[prefix + "__NAME"] = queue;
            environment[prefix + "__LOCK_SECONDS"] = "5";
        }
        ServeCommand::start(environment);
        client_ = std::move(Client::make(io_.get_executor(), {url_, ""}).value());
    }
    ~FullDisk() override {
        if (client_) client_->stop();
    }

    /// From now on a file can be written only up to `bytes`.
    void fill_disk(rlim_t bytes = 0) { limit_files(bytes); }
    void free_disk() { limit_files(RLIM_INFINITY); }

    Reply send(Client::Call call) {
        auto reply = test::run(io_, client_->send(std::move(call)));
        if (reply) return std::move(*reply);
        ADD_FAILURE() << reply.error().detail << server_->err;
        return {};
    }
    Reply get(const std::string& target) { return send({.target = target}); }
    Reply post(const std::string& target, std::string body, const std::string& type) {
        return send({.method = "POST", .target = target, .body = std::move(body), .content_type = type});
    }
    Reply post_text(const std::string& id, std::string text) {
        return post("/v1/documents?id=" + id, std::move(text), "text/plain");
    }
    /// The status in which the operation of an accepted document ends.
    std::string ending(const boost::json::value& accepted) {
        const std::string operation(accepted.at("operation").as_string());
        const auto view = get("/v1/operations/" + operation + "?wait=60").body;
        std::string ending(view.at("status").as_string());
        const auto* error = view.as_object().if_contains("error");
        if (error != nullptr && error->is_string()) ending += ": " + std::string(error->as_string());
        return ending;
    }
    std::size_t found(const std::string& query) {
        const std::string body =
            boost::json::serialize(boost::json::object{{"query", query}, {"top", 1000}, {"mode", "keyword"}});
        return post("/v1/search", body, "application/json").body.at("results").as_array().size();
    }
    std::size_t blobs() const {
        const auto is_file = [](const auto& entry) { return entry.is_regular_file(); };
        const std::filesystem::recursive_directory_iterator all(data() + "/blobs");
        return static_cast<std::size_t>(std::count_if(begin(all), end(all), is_file));
    }

    boost::asio::io_context io_;
    std::unique_ptr<Client> client_;

  private:
    void limit_files(rlim_t bytes) {
        rlimit limit{};
        ASSERT_EQ(::prlimit(server_->pid(), RLIMIT_FSIZE, nullptr, &limit), 0);
        limit.rlim_cur = std::min(bytes, limit.rlim_max);
        ASSERT_EQ(::prlimit(server_->pid(), RLIMIT_FSIZE, &limit, nullptr), 0);
    }
};

TEST_F(FullDisk, AtTheStartIsOneLineThatSaysWhatToDo) {
    const std::string command =
        "ulimit -f 16; exec " MILLRACE_BINARY " serve --listen 127.0.0.1:0 --data " + data();
    const auto finished = test::run_program({"/bin/sh", "-c", command}, {});
    EXPECT_EQ(finished.code, 1);
    EXPECT_THAT(finished.err,
                testing::AllOf(testing::StartsWith("millrace: database: "),
                               testing::EndsWith("; free space on the disk of the data directory\n")));
    EXPECT_EQ(std::count(finished.err.begin(), finished.err.end(), '\n'), 1) << finished.err;
}

TEST_F(FullDisk, RefusesADocumentWholeAndTakesItWhenThereIsSpaceAgain) {
    start();
    ASSERT_EQ(ending(post_text("before", "The mill race carries water.").body), "succeeded");
    ASSERT_GT(std::filesystem::file_size(data() + "/millrace.db-wal"), 110'000u);
    struct {
        const char* id;
        std::string text;
        rlim_t bytes;
        const char* logged;
    } cases[] = {
        // Into the database; into a file of its own; into such a file and then, in vain, into the database.
        {"row", "The millstone grinds grain.", 0, "database: "},
        {"blob", std::string(100'000, ' ') + "grain.", 0, "cannot write "},
        {"half", std::string(100'000, ' ') + "More grain.", 110'000, "database: "},
    };
    for (const auto& [id, text, bytes, logged] : cases) {
        fill_disk(bytes);
        const Reply refused = post_text(id, text);
        EXPECT_EQ(refused.status, 507) << id << server_->err;
        EXPECT_THAT(refused.problem(), HasSubstr("disk")) << id;
        EXPECT_EQ(refused.problem().find('\n'), std::string::npos) << id;
        EXPECT_EQ(get("/v1/documents/" + std::string(id)).status, 404) << id;
        EXPECT_EQ(found("water"), 1u) << "what is there can be found";
        free_disk();
        EXPECT_EQ(get("/v1/queues/document-ingestion").body.at("active"), 0) << id;
        EXPECT_EQ(blobs(), 0u) << id;

        const Reply accepted = post_text(id, text);
        ASSERT_EQ(accepted.status, 202) << accepted.problem();
        EXPECT_EQ(ending(accepted.body), "succeeded") << id;
        // Blobs go a moment after the end of their document.
        for (int i = 0; i < 10'000 && blobs() > 0; ++i) get("/readyz");
    }
    EXPECT_EQ(found("grain"), 3u);
    server_->signal(SIGTERM);
    EXPECT_EQ(server_->wait(), 0) << server_->err;
    for (const auto& one : cases) EXPECT_THAT(server_->err, HasSubstr(one.logged)) << one.id;
}

TEST_F(FullDisk, LosesNoWorkThatWasAcceptedBefore) {
    start();
    constexpr std::size_t count = 300;
    std::string lines;
    for (std::size_t i = 0; i < count; ++i) {
        const std::string number = std::to_string(i);
        lines += R"({"id":"n)" + number + R"(","title":"t","content":"Millstone )" + number + " grinds.\"}\n";
    }
    const Reply accepted = post("/v1/documents", lines, "application/x-ndjson");
    fill_disk();
    ASSERT_EQ(accepted.status, 202) << accepted.problem();
    ASSERT_TRUE(server_->wait_for_error("database: ")) << "the workers meet the full disk";
    EXPECT_EQ(post_text("late", "grain").status, 507);
    free_disk();
    for (const auto& one : accepted.body.as_array()) EXPECT_EQ(ending(one), "succeeded") << server_->err;
    EXPECT_EQ(found("millstone"), count);
    const Reply queues = get("/v1/queues");
    for (const auto& queue : queues.body.at("queues").as_array())
        EXPECT_EQ(queue.at("deadLettered"), 0) << queue.at("name");
}

}  // namespace
}  // namespace millrace::app
