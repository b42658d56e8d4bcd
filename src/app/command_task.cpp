// millrace task: one AI job on a text.
#include "app/commands.hpp"
#include "app/task_view.hpp"
#include "http/json_text.hpp"

#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>

#include <cstdio>
#include <fstream>
#include <iostream>
#include <sstream>

namespace millrace::app {

namespace json = boost::json;

namespace {

Result<std::string> read_input(const std::string& file) {
    std::ostringstream text;
    if (file.empty() || file == "-") {
        text << std::cin.rdbuf();
    } else {
        std::ifstream in(file, std::ios::binary);
        if (!in)
            return Error{Errc::not_found,
                         "can't read " + file + "; name a text file, or - for standard input"};
        text << in.rdbuf();
    }
    if (text.str().empty())
        return Error{Errc::invalid_input, "there is no text in " + (file.empty() ? "standard input" : file)};
    return text.str();
}

/// K=V as an option: V is JSON where it is (numbers, lists), else a text; labels and types may stand between
/// commas.
Result<void> add_option(json::object& options, const std::string& option) {
    const auto equals = option.find('=');
    if (equals == std::string::npos || equals == 0)
        return Error{Errc::invalid_input, "--option " + option + ": write NAME=VALUE, e.g. maxWords=50"};
    const std::string name = option.substr(0, equals);
    const std::string text = option.substr(equals + 1);
    boost::system::error_code error;
    json::value value = json::parse(text, error);
    if (error || value.is_null() || value.is_bool()) value = json::string(text);
    const bool list = name == "labels" || name == "types";
    if (list && value.is_string()) {
        json::array words;
        std::istringstream in(text);
        for (std::string word; std::getline(in, word, ',');) words.push_back(json::string(word));
        value = std::move(words);
    }
    options[name] = std::move(value);
    return {};
}

Result<json::object> request_of(const TaskOptions& options) {
    json::object body{{"type", options.type}};
    if (!options.document.empty()) {
        body["documentId"] = options.document;
    } else {
        auto text = read_input(options.file);
        if (!text) return text.error();
        body["content"] = *text;
    }
    if (!options.tenant.empty()) body["tenant"] = options.tenant;
    if (!options.id.empty()) body["id"] = options.id;
    json::object given;
    for (const std::string& option : options.options) {
        auto added = add_option(given, option);
        if (!added) return added.error();
    }
    if (!given.empty()) body["options"] = std::move(given);
    return body;
}

void print(const std::string& text) { std::fputs(text.c_str(), stdout); }

asio::awaitable<Result<int>> run(Client& client, bool as_json, TaskOptions options) {
    auto body = request_of(options);
    if (!body) co_return body.error();
    Client::Call call = Client::post(options.dry_run ? "/v1/tasks?dryRun=true" : "/v1/tasks", *body);
    auto answer = co_await client.ask(std::move(call));
    if (!answer) co_return answer.error();
    const Terminal terminal = Terminal::detect();
    if (options.dry_run || !options.wait) {
        print(as_json           ? http::json_text(*answer) + "\n"
              : options.dry_run ? estimate_text(*answer, terminal)
                                : accepted_text(*answer, terminal));
        co_return 0;
    }
    std::string id(answer->at("id").as_string());
    std::string operation(answer->at("operation").as_string());
    auto task = co_await await_task(client, std::move(id), std::move(operation));
    if (!task) co_return task.error();
    if (as_json) print(http::json_text(*task) + "\n");
    const json::value* error = task->as_object().if_contains("error");
    if (error != nullptr) co_return Error{Errc::invalid_input, std::string(error->as_string())};
    if (!as_json) print(task_text(*task, terminal));
    co_return 0;
}

}  // namespace

asio::awaitable<Result<json::value>> await_task(Client& client, std::string id, std::string operation) {
    while (true) {
        Client::Call poll;
        poll.target = "/v1/operations/" + operation + "?wait=30";
        auto state = co_await client.ask(std::move(poll));
        if (!state) co_return state.error();
        const std::string status(state->at("status").as_string());
        if (status == "succeeded" || status == "failed") break;
    }
    Client::Call look;
    look.target = "/v1/tasks/" + url_encoded(id);
    co_return co_await client.ask(std::move(look));
}

int task(const ClientOptions& client, const TaskOptions& options) {
    return with_client(client, [&](Client& one) { return run(one, client.json, options); });
}

}  // namespace millrace::app
