// millrace demo: a server, sample documents and three searches, in front of the reader's eyes.
#include "app/commands.hpp"
#include "app/lifetime.hpp"
#include "app/places.hpp"
#include "app/progress.hpp"
#include "app/run_to_end.hpp"
#include "app/search_view.hpp"
#include "app/server.hpp"
#include "app/upload.hpp"
#include "telemetry/log.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

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
        if (made == nullptr) throw MachineError("can't make a folder in " + fs::temp_directory_path().string() + "; use --data DIR");
        path_ = made;
    }
    ~DataFolder() {
        std::error_code ignored;
        if (temporary_) fs::remove_all(path_, ignored);
    }
    DataFolder(const DataFolder&) = delete;

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
        if (one.is_object() && one.get_object().contains("query")) queries.emplace_back(one.at("query").as_string());
    return queries;
}

/// One run of the demo.
class Demo {
  public:
    Demo(asio::io_context& io, DemoOptions options, const DataFolder& data)
        : io_(io), options_(std::move(options)), data_(data), terminal_(Terminal::detect()) {}

    asio::awaitable<void> run(int& exit_code) {
        const auto samples = find_samples();
        if (!samples) {
            exit_code = fail("the sample documents are missing; set MILLRACE_SAMPLES to the folder that holds queries.json");
            co_return;
        }
        auto started = co_await start_server();
        if (!started) {
            exit_code = fail(started.error().detail);
            co_return;
        }
        introduce();
        auto shown = co_await show(*samples);
        if (!shown) exit_code = fail(shown.error().detail);
        else exit_code = *shown;
        if (shown) suggest();
        if (shown && !options_.once) {
            print("\nServing at " + terminal_.bold(server_->url()) + " until Ctrl-C.\n");
            co_await wait_for_signal();
            print("\n");
        }
        co_await server_->stop();
    }

  private:
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
        server_ = std::make_unique<Server>(io_.get_executor(), clock_, configuration(named ? options_.listen : kUsualAddress));
        auto started = co_await server_->start();
        if (started || named || started.error().code != Errc::unavailable) co_return started;
        server_ = std::make_unique<Server>(io_.get_executor(), clock_, configuration("127.0.0.1:0"));
        co_return co_await server_->start();
    }

    void introduce() const {
        print(terminal_.bold("Millrace " MILLRACE_VERSION) + "  a server with its queue, its index and its model in one process\n");
        print(terminal_.dim("  model ") + server_->model() + terminal_.dim("   data ") + data_.path() + "\n");
        for (const std::string& notice : server_->notices())
            for (const std::string& line : wrap("note: " + notice, static_cast<std::size_t>(terminal_.columns) - 2, 4, terminal_.utf8))
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
        (*client)->stop();
        co_return *ingested;
    }

    asio::awaitable<Result<int>> ingest_samples(Client& client, fs::path samples) {
        FileWalk walk = walk_files({(samples / "documents").string()}, "samples/");
        if (walk.files.empty()) co_return Error{Errc::not_found, "there are no documents in " + (samples / "documents").string()};
        print("\n" + terminal_.bold("1. Documents go in.") + " Each is safe on disk before its 202; the rest happens behind it.\n\n");
        const auto start = std::chrono::steady_clock::now();
        Uploader uploader(io_.get_executor(), client, "samples", 4);
        std::size_t kinds_bytes = 0;
        for (const UploadFile& file : walk.files) kinds_bytes += file.bytes;
        const std::size_t count = walk.files.size();
        Result<void> waited;
        {
            std::vector<ProgressRow> rows = {{"accepted", "documents", 0, count},
                                             {"embedded", "passages"},
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
        print("\n  " + counted(count, "document") + " (" + bytes_text(kinds_bytes) + ": PDF, DOCX, HTML, Markdown, text), " +
              counted(passages, "passage") + ", searchable after " + time_text(time.count()) + "\n");
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
        std::uint64_t accepted = 0, chunks = 0, chunks_total = 0;
        for (const Upload& upload : uploader.uploads()) {
            accepted += upload.status.empty() || upload.status == "refused" ? 0 : 1;
            chunks += upload.chunks_done;
            chunks_total += upload.chunks_total;
        }
        progress.row(0).done = accepted;
        progress.row(1).done = chunks;
        progress.row(1).total = chunks_total;
        progress.row(2).failed = uploader.count("failed");
        progress.row(2).done = uploader.count("succeeded") + progress.row(2).failed;
        progress.show();
    }

    asio::awaitable<Result<void>> show_search(Client& client, std::string query) {
        if (!searched_) print("\n" + terminal_.bold("2. Searches find them.") + " Words and meaning together (hybrid).\n");
        searched_ = true;
        const json::object body{{"query", query}, {"top", 3}, {"chunksPerDocument", 1}};
        Client::Call call{.method = "POST", .target = "/v1/search", .body = json::serialize(body),
                          .content_type = "application/json"};
        auto answer = co_await client.ask(std::move(call));
        if (!answer) co_return answer.error();
        print("\n  " + terminal_.accent(terminal_.utf8 ? "❯ " : "> ") + terminal_.bold(query) + "\n");
        print(search_text(*answer, query, terminal_));
        co_return Result<void>();
    }

    void suggest() const {
        const std::string url = server_->url();
        const bool usual = url == std::string("http://") + kUsualAddress;
        const std::string server = usual ? "" : " --server " + url;
        print("\n" + terminal_.bold("What to try next") + (options_.once ? " (after millrace serve)" : " (in another terminal)") + "\n\n");
        const std::vector<std::pair<std::string, std::string>> rows = {
            {"millrace search" + server + " \"your own question\"", "ask these documents"},
            {"millrace ingest" + server + " --wait ~/Documents", "put your own in"},
            {"millrace queue list" + server, "see the queues"},
            {"millrace dlq list" + server, "see what failed, and why"},
            {"curl " + url + "/v1/documents", "the HTTP interface, docs/http.md"},
            {url + "/", "the same in a browser"},
            {"millrace serve", "a server that keeps its data, docs/operations.md"},
        };
        std::size_t width = 0;
        for (const auto& [command, why] : rows) width = std::max(width, display_width(command));
        const bool wide = static_cast<int>(width) + 50 <= terminal_.columns + 10;
        for (const auto& [command, why] : rows)
            print("  " + (wide ? fit(command, width + 2) + terminal_.dim(why) : command) + "\n");
        if (data_.temporary()) print(terminal_.dim("\n  This demo's data is temporary; --data DIR keeps it.\n"));
    }

    asio::io_context& io_;
    DemoOptions options_;
    const DataFolder& data_;
    Terminal terminal_;
    SystemClock clock_;
    std::unique_ptr<Server> server_;
    bool searched_ = false;
};

}  // namespace

int demo(const DemoOptions& options) {
    telemetry::configure_log({.level = telemetry::Level::error});
    const DataFolder data(options.data);
    asio::io_context io(1);
    int exit_code = 0;
    Demo demo(io, options, data);
    run_to_end(io, demo.run(exit_code));
    return exit_code;
}

}  // namespace millrace::app
