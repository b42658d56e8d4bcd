// A simulator that a test asks without a connection.
#pragma once

#include "base/async.hpp"
#include "http/simulator.hpp"
#include "tests/provider/run.hpp"

#include <boost/json/parse.hpp>

#include <memory>
#include <string>

namespace millrace::http {

struct SimulatorWorld {
    asio::io_context io;
    ManualClock clock;
    std::unique_ptr<Simulator> simulator;

    explicit SimulatorWorld(SimulatorOptions options = {}) {
        auto made = Simulator::make(clock, std::move(options));
        if (!made) throw std::runtime_error(made.error().detail);
        simulator = std::move(*made);
    }

    Response ask(const std::string& method, const std::string& path, const std::string& body = "",
                 Fields headers = {}, const std::string& remote = "127.0.0.1") {
        Request request;
        request.method = method;
        request.path = path;
        request.remote = remote;
        for (std::size_t at = 1; at <= path.size();) {
            const std::size_t end = std::min(path.find('/', at), path.size());
            request.segments.push_back(path.substr(at, end - at));
            at = end + 1;
        }
        request.headers = std::move(headers);
        request.body = body;
        return provider::run(io, simulator->answer(std::move(request)));
    }
    Response embed(const std::string& input, const std::string& more = "") {
        return ask("POST", "/v1/embeddings",
                   R"({"model":"text-embedding-3-small","input":)" + input + more + "}");
    }
    /// A chat completion of `text`; `more` begins with a comma.
    Response chat(const std::string& text, const std::string& more = "") {
        return ask("POST", "/v1/chat/completions",
                   R"({"model":"gpt-4o-mini","messages":[{"role":"user","content":")" + text + R"("}])" +
                       more + "}");
    }
};

inline std::string code_of(const Response& response) {
    const boost::json::value document = boost::json::parse(response.body);
    const boost::json::value& code = document.at("error").at("code");
    return code.is_null() ? "null" : std::string(code.as_string());
}

inline std::string header(const Response& response, std::string_view name) {
    return std::string(find_field(response.headers, name));
}

}  // namespace millrace::http
