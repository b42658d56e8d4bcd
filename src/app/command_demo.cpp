// millrace demo: a server, sample documents and three searches, in front of the reader's eyes.
#include "app/commands.hpp"
#include "app/lifetime.hpp"
#include "app/places.hpp"
#include "app/progress.hpp"
#include "app/run_to_end.hpp"
#include "app/search_view.hpp"
#include "app/server.hpp"
#include "app/task_view.hpp"
#include "app/upload.hpp"
#include "telemetry/log.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace millrace::app {

namespace fs = std::filesystem;
namespace json = boost::json;

namespace {

constexpr char kUsualAddress[] = "127.0.0.1:8080";
constexpr std::size_t kSearches = 3;
constexpr char kAnalyzed[] = "curl-history.md";

void print(const std::string& text) {
    std::fwrite(text.data(), 1, text.size(), stdout);
    std::fflush(stdout);
}

/// The demo's data: a folder that was named, or one that goes away with this.
class DataFolder {
  public:
    explicit DataFolder(const std::string& named) : temporary_(named.empty()) {
        path_ = named;
        if (!temporary_) return;
        std::string pattern = (fs::temp_directory_path() / "millrace-demo-XXXXXX").string();
        const char* made = ::mkdtemp(pattern.data());
        if (made == nullptr)
            throw MachineError("can't make a folder in " + fs::temp_directory_path().string() +
                               "; use --data DIR");
        path_ = made;
    }
    ~DataFolder() { remove(); }
    DataFolder(const DataFolder&) = delete;

    void remove() const {
        std::error_code ignored;
        if (temporary_) fs::remove_all(path_, ignored);
    }
    const std::string& path() const { return path_; }
    bool temporary() const { return temporary_; }

  private:
    bool temporary_;
    std::string path_;
};

/// Searches to show, as samples/queries.json has them.
std::vector<std::string> sample_queries(const fs::path& samples) {
    std::ifstream in(samples / "queries.json");
    std::stringstream text;
    text << in.rdbuf();
    std::vector<std::string> queries;
    boost::system::error_code error;
    const json::value list = json::parse(text.str(), error);
    if (error || !list.is_array()) return queries;
    for (const json::value& one : list.get_array())
        if (one.is_object() && one.get_object().contains("query"))
            queries.emplace_back(one.at("query").as_string());
    return queries;
}

/// One run of the demo.
class Demo {
  public:
    Demo(asio::io_context& io, DemoOptions options, const DataFolder& data)
        : io_(io),
          options_(std::move(options)),
          data_(data),
          terminal_(Terminal::detect()),
          signal_(io.get_executor()),
          signalled_(io.get_executor()) {}

    asio::awaitable<void> run(int& exit_code) {
        spawn(io_.get_executor(), end_on_signal());
        co_await run_all(exit_code);
        signal_.cancel();
    }

  private:
    /// A signal while documents go in ends the demo at once: its data is made to bear that.
    asio::awaitable<void> end_on_signal() {
        const bool caught = co_await signal_.wait();
        if (!caught) co_return;
        if (!serving_) {
            data_.remove();
            print("\n");
            std::_Exit(130);
        }
        serving_ = false;
        signalled_.notify();
    }

    asio::awaitable<void> run_all(int& exit_code) {
        const auto samples = find_samples();
        if (!samples) {
            exit_code = fail(
                "the sample documents are missing; set MILLRACE_SAMPLES to the folder that holds "
                "queries.json");
            co_return;
        }
        auto started = co_await start_server();
        if (!started) {
            exit_code = fail(started.error().detail);
            co_return;
        }
        introduce();
        auto shown = co_await show(*samples);
        if (!shown)
            exit_code = fail(shown.error().detail);
        else
            exit_code = *shown;
        if (shown) suggest();
        if (shown && !options_.once) {
            serving_ = true;
            print("\nServing at " + terminal_.bold(server_->url()) + " until Ctrl-C.\n");
            while (serving_) co_await signalled_.wait();
            print("\n");
        }
        co_await server_->stop();
    }

    Configuration configuration(const std::string& listen) const {
        Configuration made;
        made.server.data_dir = data_.path();
        made.server.listen = listen;
        made.server.drain_seconds = 5;
        return made;
    }

    /// On the usual port, or on a free one where another server has that.
    asio::awaitable<Result<void>> start_server() {
        const bool named = !options_.listen.empty();
        server_ = std::make_unique<Server>(io_.get_executor(), clock_,
                                           configuration(named ? options_.listen : kUsualAddress));
        auto started = co_await server_->start();
        if (started || named || started.error().code != Errc::unavailable) co_return started;
        server_ = std::make_unique<Server>(io_.get_executor(), clock_, configuration("127.0.0.1:0"));
        co_return co_await server_->start();
    }

    void introduce() const {
        print(terminal_.bold("Millrace " MILLRACE_VERSION) +
              "  a server with its queue, its index and its model in one process\n");
        print(terminal_.dim("  model ") + server_->model() + terminal_.dim("   data ") + data_.path() + "\n");
        for (const std::string& notice : server_->notices())
            for (const std::string& line :
                 wrap("note: " + notice, static_cast<std::size_t>(terminal_.columns) - 2, 4, terminal_.utf8))
                print("  " + line + "\n");
    }

    asio::awaitable<Result<int>> show(fs::path samples) {
        auto client = Client::make(io_.get_executor(), Endpoint{server_->url(), ""});
        if (!client) co_return client.error();
        auto ingested = co_await ingest_samples(**client, samples);
        if (!ingested) co_return ingested.error();
        const auto queries = sample_queries(samples);
        for (std::size_t i = 0; i < queries.size() && i < kSearches; ++i) {
            auto searched = co_await show_search(**client, queries[i]);
            if (!searched) co_return searched.error();
        }
        auto analyzed = co_await show_analysis(**client, samples);
        if (!analyzed) co_return analyzed.error();
        (*client)->stop();
        co_return *ingested;
    }

    asio::awaitable<Result<int>> ingest_samples(Client& client, fs::path samples) {
        FileWalk walk = walk_files({(samples / "documents").string()}, "samples/");
        if (walk.files.empty())
            co_return Error{Errc::not_found, "there are no documents in " + (samples / "documents").string()};
        print("\n" + terminal_.bold("1. Documents go in.") +
              " Each is safe on disk before its 202; the rest happens behind it.\n\n");
        const auto start = std::chrono::steady_clock::now();
        UploadOptions how;
        how.category = "samples";
        how.parallel = 4;
        Uploader uploader(io_.get_executor(), client, std::move(how));
        std::uint64_t bytes = 0;
        for (const UploadFile& file : walk.files) bytes += file.bytes;
        const std::size_t count = walk.files.size();
        Result<void> waited;
        {
            std::vector<ProgressRow> rows = {{"accepted", "documents", 0, count},
                                             {"extracted", "documents", 0, count},
                                             {.label = "embedded", .unit = "passages", .growing = true},
                                             {"searchable", "documents", 0, count}};
            Progress progress(terminal_, stdout, std::move(rows));
            std::function<void()> on_change = [&progress, &uploader] { update(progress, uploader); };
            on_change();
            auto files = walk.files;
            co_await uploader.send(std::move(files), on_change);
            waited = co_await uploader.wait(on_change);
            on_change();
        }
        if (!waited) co_return waited.error();
        const std::chrono::duration<double> time = std::chrono::steady_clock::now() - start;
        std::uint64_t passages = 0;
        for (const Upload& upload : uploader.uploads()) passages += upload.chunks_total;
        print("\n  " + counted(count, "document") + " (" + bytes_text(bytes) +
              ": PDF, DOCX, HTML, Markdown, text), " + counted(passages, "passage") + ", searchable after " +
              time_text(time.count()) + "\n");
        co_return report_failures(uploader);
    }

    int report_failures(const Uploader& uploader) const {
        int exit_code = 0;
        for (const Upload& upload : uploader.uploads()) {
            if (upload.status == "succeeded") continue;
            exit_code = fail(upload.path + ": " + (upload.error.empty() ? upload.status : upload.error));
        }
        return exit_code;
    }

    static void update(Progress& progress, const Uploader& uploader) {
        std::uint64_t accepted = 0, extracted = 0, chunks = 0, chunks_total = 0;
        for (const Upload& upload : uploader.uploads()) {
            accepted += upload.operation.empty() ? 0 : 1;
            extracted += upload.chunks_total > 0 ? 1 : 0;
            chunks += upload.chunks_done;
            chunks_total += upload.chunks_total;
        }
        progress.row(0).done = accepted;
        progress.row(1).done = extracted;
        progress.row(2).done = chunks;
        progress.row(2).total = chunks_total;
        progress.row(3).failed = uploader.count("failed");
        progress.row(3).done = uploader.count("succeeded") + progress.row(3).failed;
        progress.show();
    }

    asio::awaitable<Result<void>> show_search(Client& client, std::string query) {
        if (!searched_)
            print("\n" + terminal_.bold("2. Searches find them.") +
                  " Words and meaning together (hybrid).\n");
        searched_ = true;
        const json::object body{{"query", query}, {"top", 3}, {"chunksPerDocument", 1}};
        Client::Call call = Client::post("/v1/search", body);
        auto answer = co_await client.ask(std::move(call));
        if (!answer) co_return answer.error();
        print("\n  " + terminal_.accent(terminal_.utf8 ? "❯ " : "> ") + terminal_.bold(query) + "\n");
        print(search_text(*answer, query, terminal_));
        co_return Result<void>();
    }

    /// One text to several tasks at once, joined.
    asio::awaitable<Result<void>> show_analysis(Client& client, fs::path samples) {
        const std::string document = "samples/" + std::string(kAnalyzed);
        if (!fs::exists(samples / "documents" / kAnalyzed)) co_return Result<void>();
        const json::object body{{"type", "analyze"}, {"documentId", document}};
        Client::Call post = Client::post("/v1/tasks", body);
        auto accepted = co_await client.send(std::move(post));
        if (!accepted) co_return accepted.error();
        // A model that only embeds answers no task.
        if (!accepted->ok()) co_return Result<void>();
        print("\n" + terminal_.bold("3. A task reads one of them.") +
              " Summary, entities and sentiment at once, joined (analyze).\n\n");
        std::string id(accepted->body.at("id").as_string());
        std::string operation(accepted->body.at("operation").as_string());
        auto task = co_await await_task(client, std::move(id), std::move(operation));
        if (!task) co_return task.error();
        print("  " + terminal_.accent(terminal_.utf8 ? "❯ " : "> ") + terminal_.bold(document) + "\n");
        print(task_text(*task, terminal_));
        const json::value* model = task->as_object().if_contains("model");
        if (model != nullptr && model->is_string() && model->as_string() == "local-extractive")
            print(
                terminal_.dim("  extractive: sentences and names of the text itself; a remote deployment "
                              "writes its own words\n"));
        co_return Result<void>();
    }

    using Suggestion = std::pair<std::string, std::string>;

    std::vector<Suggestion> suggestions() const {
        const std::string call = program_call();
        const std::string url = server_->url();
        const std::string server = url == std::string("http://") + kUsualAddress ? "" : " --server " + url;
        if (options_.once)
            return {{call + " demo", "the same, and the server stays"},
                    {call + " serve", "a server that keeps its data in ./millrace-data"},
                    {call + " ingest --wait ~/Documents", "put your own documents in"},
                    {call + " search \"your own question\"", "and ask them"}};
        return {{call + " search" + server + " \"your own question\"", "ask these documents"},
                {call + " ingest" + server + " --wait ~/Documents", "put your own in"},
                {call + " task analyze" + server + " --wait FILE.txt", "a summary, entities, sentiment"},
                {call + " queue list" + server, "see the queues"},
                {call + " dlq list" + server, "see what failed, and why"},
                {"curl " + url + "/v1/documents", "the HTTP interface: docs/http.md"},
                {url + "/", "the same in a browser"},
                {call + " serve", "a server that keeps its data in ./millrace-data"}};
    }

    void suggest() const {
        print("\n" + terminal_.bold("What to try next") + (options_.once ? "" : " (in another terminal)") +
              "\n\n");
        const std::vector<Suggestion> rows = suggestions();
        std::size_t width = 0, why_width = 0;
        for (const auto& [command, why] : rows) {
            width = std::max(width, display_width(command));
            why_width = std::max(why_width, display_width(why));
        }
        const bool side_by_side = width + why_width + 6 <= static_cast<std::size_t>(terminal_.columns);
        for (const auto& [command, why] : rows) {
            if (side_by_side)
                print("  " + fit(command, width + 2) + terminal_.dim(why) + "\n");
            else
                print("  " + terminal_.dim("# " + why) + "\n  " + command + "\n");
        }
        if (data_.temporary() && !options_.once)
            print(terminal_.dim("\n  This demo's data goes when it ends; --data DIR keeps it.\n"));
    }

    asio::io_context& io_;
    DemoOptions options_;
    const DataFolder& data_;
    Terminal terminal_;
    SystemClock clock_;
    std::unique_ptr<Server> server_;
    StopSignal signal_;
    Signal signalled_;
    bool serving_ = false;
    bool searched_ = false;
};

}  // namespace

int demo(const DemoOptions& options) {
    telemetry::configure_log({.level = telemetry::Level::error});
    survive_file_size_limit();
    const DataFolder data(options.data);
    asio::io_context io(1);
    int exit_code = 0;
    Demo demo(io, options, data);
    run_to_end(io, demo.run(exit_code));
    return exit_code;
}

}  // namespace millrace::app
