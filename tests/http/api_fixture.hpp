// A whole server in the process of a test, without workers: what comes in stays where the test can look at
// it.
#pragma once

#include "http/api.hpp"
#include "index/embedded_index.hpp"
#include "provider/http_client.hpp"
#include "tests/support/run.hpp"
#include "tests/support/temporary_directory.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>

#include <cmath>

namespace millrace::http {

/// A model whose vector counts letters; it fails while `failure` is set.
class LetterModel final : public provider::Provider {
  public:
    const provider::ModelInfo& model() const noexcept override { return info_; }

    boost::asio::awaitable<provider::Outcome<provider::Embeddings>> embed(
        std::vector<std::string> inputs, provider::CallContext context) override {
        last_trace = context.trace;
        if (failure) co_return *failure;
        provider::Embeddings embeddings;
        for (const std::string& input : inputs) embeddings.vectors.push_back(vector_of(input));
        co_return embeddings;
    }

    static std::vector<float> vector_of(const std::string& text) {
        std::vector<float> vector(26, 0.01F);
        for (const char c : text)
            if (const int letter = (c | 0x20) - 'a'; letter >= 0 && letter < 26) vector[letter] += 1;
        float length = 0;
        for (const float x : vector) length += x * x;
        for (float& x : vector) x /= std::sqrt(length);
        return vector;
    }

    std::optional<provider::Failure> failure;
    std::optional<TraceContext> last_trace;

  private:
    provider::ModelInfo info_{.name = "letters", .dimensions = 26, .inputs_per_request_max = 100};
};

class ApiTest : public testing::Test {
  protected:
    ApiTest() { start({}); }
    ~ApiTest() override { stop(); }

    void start(ApiOptions options) {
        auto database = store::Database::open(io_.get_executor(), {directory_.path()});
        database_ = std::move(database.value());
        auto broker = test::run(io_, broker::Broker::open(*database_, clock_, {}));
        broker_ = std::move(broker.value());
        for (const char* queue : {"document-ingestion", "embed-queue"})
            test::run(io_, broker_->put_entity(queue, {})).value();
        auto index = test::run(io_, index::make_embedded_index(*database_, pool_, {}));
        index_ = std::move(index.value());
        blobs_.emplace(directory_.path());
        handover_.emplace(*database_, *database_, *broker_);
        documents_.emplace(*database_, *blobs_, pool_, *handover_, clock_);
        test::run(io_, documents_->start());
        operations_.emplace(io_.get_executor(), *database_, clock_);
        tasks_.emplace(*database_, *blobs_, pool_, *handover_, clock_);
        files_.emplace(*database_, pool_, clock_, directory_.path() / "files");
        batches_.emplace(io_.get_executor(), *database_, *files_, pool_, clock_, batch::Targets());
        options.check_task = [](const work::NewTask& task) -> Result<void> {
            if (task.type == "sentiment") return {};
            return Error{Errc::invalid_input, "there is no task \"" + task.type + "\""};
        };
        options.estimate_task =
            [this](work::NewTask task) -> boost::asio::awaitable<Result<work::TaskEstimate>> {
            if (estimate_gate_) {
                estimates_held_ += 1;
                co_await estimate_gate_->wait();
            }
            clock_.advance(estimate_time_);
            if (task.document_id == "none") co_return Error{Errc::not_found, "there is no document \"none\""};
            const auto size = static_cast<std::int64_t>(task.content.size());
            work::TaskEstimate estimate{{"letters", 1, size, 128, size + 1}, task.type};
            estimate.loads["letters"] = {1, size + 128};
            co_return estimate;
        };
        add_estimates(options);
        const ApiParts parts{*database_, *broker_, model_,  *index_,  *documents_, *operations_, pool_,
                             metrics_,   clock_,   nullptr, &*tasks_, &*files_,    &*batches_};
        api_ = std::make_unique<Api>(io_.get_executor(), parts, std::move(options));
        ServerOptions server_options;
        server_options.port = 0;
        server_ = std::move(Server::start(io_.get_executor(), server_options, api_->handler()).value());
        client_ = std::move(provider::HttpClient::make(io_.get_executor()).value());
    }

    /// A byte is a token; every second passage is known.
    void add_estimates(ApiOptions& options) {
        if (!options.quota)
            options.quota = [this]() -> boost::asio::awaitable<std::vector<quota::PageView>> {
                co_return views_;
            };
        options.backlog = [this]() -> boost::asio::awaitable<work::Backlog> { co_return backlog_; };
        options.estimate_document =
            [this](work::NewDocument document) -> boost::asio::awaitable<work::DocumentEstimate> {
            clock_.advance(estimate_time_);
            work::DocumentEstimate estimate;
            if (document.content == "broken") {
                estimate.error = "MalformedPayload: why";
                co_return estimate;
            }
            const auto size = static_cast<std::int64_t>(document.content.size());
            const work::Estimate one{"letters", 1, size, 0, 2 * size, {{"letters", {1, size}}}};
            estimate.add(one);
            estimate.chunks = 2;
            estimate.cached_chunks = 1;
            co_return estimate;
        };
        options.estimate_letter["embed-queue"] =
            [this](broker::Message letter) -> boost::asio::awaitable<work::LetterEstimate> {
            clock_.advance(estimate_time_);
            work::LetterEstimate estimate;
            const work::Estimate one{"letters", 1, 100, 10, 120, {{"letters", {1, 110}}}};
            estimate.add(one);
            if (letter.message_id == "b") estimate.error = "it would fail again";
            co_return estimate;
        };
    }

    void stop() {
        if (!client_) return;
        client_->stop();
        test::run(io_, server_->stop(Duration(100)));
        api_->stop();
        test::run(io_, broker_->stop());
        test::run(io_, batches_->stop(clock_.now()));
        client_.reset(), server_.reset(), api_.reset(), operations_.reset(), tasks_.reset(),
            documents_.reset(), blobs_.reset(), batches_.reset(), files_.reset();
        index_.reset(), broker_.reset();
        database_->stop();
        database_.reset();
    }

    void restart(ApiOptions options) {
        stop();
        start(std::move(options));
    }

    provider::HttpAnswer send(std::string method, const std::string& target, std::string body = {},
                              provider::HttpFields headers = {}) {
        provider::HttpRequest request;
        request.method = std::move(method);
        request.url =
            provider::parse_url("http://127.0.0.1:" + std::to_string(server_->port()) + "/").value();
        request.url.target = target;
        request.headers = std::move(headers);
        request.body = std::move(body);
        auto answer = test::run(io_, client_->send(std::move(request)));
        if (answer) return std::move(*answer);
        ADD_FAILURE() << target << ": " << answer.error().detail;
        return {};
    }

    provider::HttpAnswer get(const std::string& target) { return send("GET", target); }

    provider::HttpAnswer post_json(const std::string& target, std::string body,
                                   provider::HttpFields headers = {}) {
        headers.emplace_back("Content-Type", "application/json");
        return send("POST", target, std::move(body), std::move(headers));
    }

    static boost::json::value body_of(const provider::HttpAnswer& answer) {
        boost::system::error_code error;
        auto value = boost::json::parse(answer.body, error);
        EXPECT_FALSE(error) << answer.body;
        return value;
    }

    static std::string text_of(const provider::HttpAnswer& answer, std::string_view member) {
        const auto value = body_of(answer);
        const auto* object = value.if_object();
        const auto* found = object == nullptr ? nullptr : object->if_contains(member);
        return found == nullptr || !found->is_string() ? "(none)" : std::string(found->as_string());
    }

    /// Expects problem+json with `status` and a detail that holds `words`.
    static void expect_problem(const provider::HttpAnswer& answer, int status, const std::string& words) {
        EXPECT_EQ(answer.status, status) << answer.body;
        EXPECT_EQ(provider::find_field(answer.headers, "Content-Type"), "application/problem+json") << words;
        EXPECT_THAT(text_of(answer, "detail"), testing::HasSubstr(words));
        EXPECT_EQ(text_of(answer, "detail").find('\n'), std::string::npos);
    }

    std::uint64_t queued() { return broker_->counts("document-ingestion")->active; }

    std::vector<broker::Delivery> receive(const std::string& queue, std::size_t messages) {
        broker::ReceiveOptions options;
        options.messages_max = messages;
        return test::run(io_, broker_->receive(queue, options)).value();
    }

    /// Puts a document into the index as the pipeline would.
    void publish(const std::string& id, const std::string& category,
                 const std::vector<std::string>& passages) {
        const index::DocumentVersion version{id, 1, "Title of " + id, category};
        std::vector<index::ChunkText> chunks;
        std::vector<std::pair<std::uint32_t, std::vector<float>>> vectors;
        for (const std::string& text : passages) {
            vectors.emplace_back(chunks.size(), LetterModel::vector_of(text));
            chunks.push_back({.text = text});
        }
        test::run(io_, index_->stage(version, "letters/26", chunks)).value();
        test::run(io_, index_->put_vectors(id, 1, vectors)).value();
        test::run(io_, index_->publish(version, {})).value();
    }

    test::TemporaryDirectory directory_;
    boost::asio::io_context io_;
    ManualClock clock_;
    CpuPool pool_{2};
    LetterModel model_;
    std::vector<quota::PageView> views_;  ///< what the quota is
    work::Backlog backlog_;
    Duration estimate_time_{};  ///< that an estimate takes
    std::optional<Signal> estimate_gate_;  ///< what estimates of tasks wait for
    int estimates_held_ = 0;  ///< by that, ever
    telemetry::Metrics metrics_;
    std::unique_ptr<store::Database> database_;
    std::unique_ptr<broker::Broker> broker_;
    std::unique_ptr<index::Index> index_;
    std::optional<store::Blobs> blobs_;
    std::optional<work::Handover> handover_;
    std::optional<work::Documents> documents_;
    std::optional<work::Operations> operations_;
    std::optional<work::Tasks> tasks_;
    std::optional<batch::Files> files_;
    std::optional<batch::Batches> batches_;
    std::unique_ptr<Api> api_;
    std::unique_ptr<Server> server_;
    std::unique_ptr<provider::HttpClient> client_;
};

}  // namespace millrace::http
