// millrace ingest: files and folders become documents of a server.
#include "app/commands.hpp"
#include "app/file_types.hpp"
#include "app/progress.hpp"
#include "app/upload.hpp"

#include <boost/asio/this_coro.hpp>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include <algorithm>
#include <chrono>
#include <cstdio>

namespace millrace::app {

namespace json = boost::json;

namespace {

constexpr std::size_t kListed = 10;
constexpr std::size_t kFailuresListed = 50;
constexpr std::size_t kDryRunsAtOnce = 4;  // the server refuses more

void note(const std::string& line) { std::fprintf(stderr, "millrace: %s\n", one_line(line).c_str()); }

void note_skipped(const FileWalk& walk) {
    for (std::size_t i = 0; i < walk.skipped.size() && i < kListed; ++i)
        note("passed over " + walk.skipped[i]);
    if (walk.skipped.size() > kListed)
        note(counted(walk.skipped.size() - kListed, "more file") + " passed over; read are " +
             known_extensions());
}

/// Brings what the uploader knows onto the rows.
void update(Progress& progress, const Uploader& uploader, bool waiting) {
    std::uint64_t refused = uploader.count("refused"), succeeded = uploader.count("succeeded");
    std::uint64_t failed = uploader.count("failed"), sent = 0, chunks = 0, chunks_total = 0;
    for (const Upload& upload : uploader.uploads()) {
        sent += upload.status.empty() ? 0 : 1;
        chunks += upload.chunks_done;
        chunks_total += upload.chunks_total;
    }
    progress.row(0).done = sent;
    progress.row(0).failed = refused;
    if (waiting) {
        progress.row(1).done = chunks;
        progress.row(1).total = chunks_total;
        progress.row(2).done = succeeded + failed;
        progress.row(2).total = uploader.uploads().size() - refused;
        progress.row(2).failed = failed;
    }
    progress.show();
}

json::object view_of(const Upload& upload) {
    json::object view{{"path", upload.path}, {"id", upload.id}, {"status", upload.status}};
    if (!upload.operation.empty()) view["operation"] = upload.operation;
    if (!upload.error.empty()) view["error"] = upload.error;
    if (!upload.estimate.empty()) view["estimate"] = upload.estimate;
    return view;
}

std::uint64_t sum_of(const Uploader& uploader, std::string_view member) {
    std::uint64_t sum = 0;
    for (const Upload& upload : uploader.uploads())
        if (const json::value* value = upload.estimate.if_contains(member))
            sum += value->to_number<std::uint64_t>();
    return sum;
}

/// The time of all is not the sum of each: what waits before them counts once.
std::string seconds_of(const Uploader& uploader) {
    double waiting = -1, own = 0;
    for (const Upload& upload : uploader.uploads()) {
        const json::value* before = upload.estimate.if_contains("backlogSeconds");
        const json::value* until = upload.estimate.if_contains("secondsUntilDone");
        if (before == nullptr || until == nullptr || until->is_null() || before->is_null()) continue;
        waiting = std::max(waiting, before->to_number<double>());
        own += until->to_number<double>() - before->to_number<double>();
    }
    return waiting < 0 ? "" : ", done in about " + time_text(waiting + own);
}

void print_estimate(const Uploader& uploader) {
    double cost = 0;
    for (const Upload& upload : uploader.uploads())
        if (const json::value* value = upload.estimate.if_contains("cost"))
            cost += value->to_number<double>();
    char cost_text[32];
    std::snprintf(cost_text, sizeof cost_text, "%.6g", cost);
    std::printf("%s, %s of which %s have a vector already; %s to pay for, cost %s%s\n",
                counted(uploader.count("estimated"), "document").c_str(),
                counted(sum_of(uploader, "chunks"), "passage").c_str(),
                count_text(sum_of(uploader, "cachedChunks")).c_str(),
                counted(sum_of(uploader, "promptTokens"), "token").c_str(), cost_text,
                seconds_of(uploader).c_str());
    std::size_t listed = 0;
    for (const Upload& upload : uploader.uploads()) {
        const json::value* error = upload.estimate.if_contains("error");
        if (error == nullptr && upload.status != "refused") continue;
        if (++listed > kFailuresListed) break;
        const std::string why = error == nullptr ? upload.error : std::string(error->as_string());
        std::printf("  %s: %s\n", upload.path.c_str(), one_line(why).c_str());
    }
    std::puts("Nothing was accepted.");
}

void print_json(const Uploader& uploader, const FileWalk& walk) {
    json::array documents, skipped;
    for (const Upload& upload : uploader.uploads()) documents.push_back(view_of(upload));
    for (const std::string& line : walk.skipped) skipped.push_back(json::value(line));
    std::puts(
        json::serialize(json::object{{"documents", std::move(documents)}, {"skipped", std::move(skipped)}})
            .c_str());
}

void print_summary(const Uploader& uploader, const FileWalk& walk, bool waited, double seconds) {
    const std::size_t refused = uploader.count("refused"), failed = uploader.count("failed");
    std::string line = counted(uploader.uploads().size() - refused, "document") + " accepted (" +
                       bytes_text(uploader.bytes_sent()) + ") in " + time_text(seconds);
    if (waited)
        line +=
            "; " + count_text(uploader.count("succeeded")) + " searchable, " + count_text(failed) + " failed";
    if (refused > 0) line += "; " + count_text(refused) + " refused";
    if (!walk.skipped.empty()) line += "; " + counted(walk.skipped.size(), "file") + " passed over";
    std::puts(line.c_str());
    std::size_t listed = 0;
    for (const Upload& upload : uploader.uploads()) {
        if (upload.status != "failed" && upload.status != "refused") continue;
        if (++listed > kFailuresListed) break;
        std::printf("  %s: %s\n", upload.path.c_str(), one_line(upload.error).c_str());
    }
    if (refused + failed > kFailuresListed) std::puts("  and more: millrace dlq list, or --json");
    if (!waited)
        std::puts(
            "They become searchable in the background; --wait waits for it, millrace queue list shows it.");
}

asio::awaitable<Result<int>> run(Client& client, bool as_json, IngestOptions options) {
    FileWalk walk = walk_files(options.paths, options.id_prefix);
    if (!walk.problems.empty())
        co_return Error{Errc::not_found, walk.problems.front() + " does not exist; check the path"};
    if (!as_json) note_skipped(walk);
    if (walk.files.empty())
        co_return Error{Errc::not_found, "there is no file to ingest; read are " + known_extensions()};

    const auto start = std::chrono::steady_clock::now();
    if (options.dry_run) options.parallel = std::min(options.parallel, kDryRunsAtOnce);
    UploadOptions how{options.category, options.tenant, options.priority, options.dry_run, options.parallel};
    Uploader uploader(co_await asio::this_coro::executor, client, std::move(how));
    std::vector<ProgressRow> rows = {{"sent", "files", 0, walk.files.size()}};
    if (options.wait) {
        rows.push_back({.label = "embedded", .unit = "passages", .growing = true});
        rows.push_back({"searchable", "documents", 0, walk.files.size()});
    }
    Terminal terminal = Terminal::detect();
    Result<void> waited;
    {
        std::FILE* out = as_json ? stderr : stdout;
        if (as_json) terminal.moving = false;
        Progress progress(terminal, out, std::move(rows));
        const bool wait = options.wait;
        std::function<void()> on_change = [&progress, &uploader, wait] { update(progress, uploader, wait); };
        auto files = walk.files;
        co_await uploader.send(std::move(files), on_change);
        if (options.wait) waited = co_await uploader.wait(on_change);
        on_change();
    }
    if (!waited) co_return waited.error();
    const std::chrono::duration<double> time = std::chrono::steady_clock::now() - start;
    if (as_json)
        print_json(uploader, walk);
    else if (options.dry_run)
        print_estimate(uploader);
    else
        print_summary(uploader, walk, options.wait, time.count());
    co_return uploader.count("refused") + uploader.count("failed") > 0 ? 1 : 0;
}

}  // namespace

int ingest(const ClientOptions& client, const IngestOptions& options) {
    return with_client(client, [&](Client& one) { return run(one, client.json, options); });
}

}  // namespace millrace::app
