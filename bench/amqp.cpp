// One sample of bench/amqp_bench.py: sends, or receives and completes, a number of messages over AMQP 1.0.
#include "amqp/message.hpp"
#include "bench/support/amqp_load.hpp"
#include "bench/support/program.hpp"

#include <CLI/CLI.hpp>

#include <cstdio>

namespace {

using namespace millrace;
using namespace millrace::bench;

int measure(const AmqpShape& shape) {
    asio::io_context io{1};
    AmqpRun run(io.get_executor());
    run.shape = shape;
    broker::Message message;
    message.body.assign(shape.body_bytes, 'b');
    run.payload = amqp::write_message(message, true);
    AmqpResult result;
    spawn(io.get_executor(), play_amqp(io.get_executor(), run, result));
    io.run();
    if (!run.failure.empty()) throw std::runtime_error(run.failure);
    std::printf("{\"messages\": %zu, \"seconds\": %.4f, \"client_cpu\": %.3f, \"server_cpu\": %.3f}\n",
                shape.messages, result.seconds, result.client_cpu_seconds, result.server_cpu_seconds);
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    AmqpShape shape;
    CLI::App app("Sends or receives over AMQP 1.0; bench/amqp_bench.py runs it");
    app.add_flag("--receive", shape.receives, "receives and completes instead of sending");
    app.add_option("--port", shape.port, "of the peer, on 127.0.0.1")->required();
    app.add_option("--address", shape.address, "of the queue")->required();
    app.add_option("--server", shape.server, "the peer's process id")->required();
    app.add_option("--connections", shape.connections, "at the same time");
    app.add_option("--in-flight", shape.in_flight, "messages without an answer, of all connections");
    app.add_option("--messages", shape.messages, "to send or receive");
    app.add_option("--bytes", shape.body_bytes, "of each body");
    CLI11_PARSE(app, argc, argv);
    return run_program("bench_amqp", [&] { return measure(shape); });
}
