// The OpenAI provider against the simulator, over a real connection, in one process and on one thread.
#pragma once

#include "http/server.hpp"
#include "http/simulator.hpp"
#include "provider/http_client.hpp"
#include "provider/openai.hpp"
#include "tests/provider/run.hpp"

#include <memory>
#include <string>

namespace millrace::provider {

struct OpenAiWorld {
    asio::io_context io;
    ManualClock clock;
    SystemClock wall;
    std::unique_ptr<http::Simulator> simulator;
    std::unique_ptr<http::Server> server;
    std::unique_ptr<HttpClient> client;
    std::unique_ptr<Provider> openai;

    explicit OpenAiWorld(http::SimulatorOptions simulated = {}, OpenAiOptions options = {},
                         const std::string& path = "/v1", CpuPool* pool = nullptr) {
        simulator = std::move(http::Simulator::make(clock, std::move(simulated)).value());
        http::ServerOptions server_options;
        server_options.port = 0;
        server =
            std::move(http::Server::start(io.get_executor(), server_options, simulator->handler()).value());
        client = std::move(HttpClient::make(io.get_executor()).value());
        options.server.endpoint = "http://127.0.0.1:" + std::to_string(server->port()) + path;
        if (options.server.model.empty()) options.server.model = "text-embedding-3-small";
        if (options.seed == 0) options.seed = 1;
        auto made = make_openai(*client, clock, std::move(options), pool);
        if (!made) throw std::runtime_error(made.error().detail);
        openai = std::move(*made);
    }

    Provider& provider() { return *openai; }

    Outcome<Embeddings> embed(std::vector<std::string> inputs) {
        CallContext context;
        context.on_rate = [this](const RateHeaders& rate) { rates.push_back(rate); };
        return wait_for(openai->embed(std::move(inputs), std::move(context)));
    }
    Outcome<Completion> complete(CompletionRequest request) {
        return wait_for(openai->complete(std::move(request)));
    }
    Outcome<RawAnswer> call(RawRequest request) { return wait_for(openai->call(std::move(request))); }

    std::vector<RateHeaders> rates;  ///< what each answer to `embed` has said about the quota

    /// Runs `asked`; turns the clock whenever the provider sleeps, and adds up those waits.
    template <class T>
    T wait_for(asio::awaitable<T> asked) {
        std::optional<T> result;
        auto work = [&]() -> asio::awaitable<void> { result.emplace(co_await std::move(asked)); };
        spawn(io.get_executor(), work());
        io.restart();
        const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(30);
        while (!result && std::chrono::steady_clock::now() < give_up) {
            io.run_one_for(Duration(100));
            while (clock.sleepers() > 0) {
                clock.advance(Duration(10));
                slept += Duration(10);
                io.poll();
            }
        }
        return std::move(result.value());
    }
    Duration slept{};
};

}  // namespace millrace::provider
