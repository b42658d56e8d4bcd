// millrace search: ask a server.
#include "app/commands.hpp"
#include "app/search_view.hpp"
#include "http/json_text.hpp"

#include <boost/json/object.hpp>

#include <cstdio>

namespace millrace::app {

namespace json = boost::json;

namespace {

std::string joined(const std::vector<std::string>& words) {
    std::string text;
    for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
    return text;
}

asio::awaitable<Result<int>> run(Client& client, bool as_json, SearchOptions options) {
    const std::string query = joined(options.words);
    json::object body{{"query", query}, {"top", options.top}};
    if (!options.mode.empty()) body["mode"] = options.mode;
    if (!options.category.empty()) body["filter"] = json::object{{"category", options.category}};
    if (options.per_document > 0) body["chunksPerDocument"] = options.per_document;
    Client::Call call = Client::post("/v1/search", body);
    auto answer = co_await client.ask(std::move(call));
    if (!answer) co_return answer.error();
    const std::string text =
        as_json ? http::json_text(*answer) + "\n" : search_text(*answer, query, Terminal::detect());
    std::fputs(text.c_str(), stdout);
    co_return 0;
}

}  // namespace

int search(const ClientOptions& client, const SearchOptions& options) {
    return with_client(client, [&](Client& one) { return run(one, client.json, options); });
}

}  // namespace millrace::app
