// A real RabbitMQ for the tests of a program: the one that tools/fetch_clients.py has fetched.
#pragma once

#include "amqp/remote_queue.hpp"
#include "tests/support/process.hpp"
#include "tests/support/temporary_directory.hpp"

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>

namespace millrace::amqp::test {

/// One node for all tests of the program, started by the first that asks for it. One that runs already, of
/// another version, is named by the environment: MILLRACE_TEST_RABBITMQ_PORT, on 127.0.0.1.
class RabbitNode {
  public:
    /// There is one to be started: if it then does not start, that is a failure.
    static bool is_installed() { return named() != nullptr || std::filesystem::exists(folder()); }
    static RabbitNode& shared() {
        static RabbitNode node;
        return node;
    }
    ~RabbitNode() {
        if (!process_) return;
        process_->signal(SIGTERM);
        process_->wait();
    }
    RabbitNode(const RabbitNode&) = delete;

    /// 0: it did not start.
    unsigned short port() const noexcept { return port_; }
    std::string said() const { return process_ ? process_->err : std::string(); }

    RemoteOptions options(const std::string& password = "guest") const {
        RemoteOptions options;
        const std::string to = "@127.0.0.1:" + std::to_string(port_);
        options.target = parse_connection_string("amqp://guest:" + password + to).value();
        options.backoff_first = Duration(10);
        options.connect_wait = std::chrono::seconds(10);
        options.operation_time = std::chrono::seconds(20);
        return options;
    }

  private:
    RabbitNode() {
        if (const char* port = named()) {
            port_ = static_cast<unsigned short>(std::stoi(port));
            return;
        }
        process_ = std::make_unique<millrace::test::Process>(std::vector<std::string>{
            "/usr/bin/python3", std::string(MILLRACE_SOURCE_DIR) + "/tests/clients/rabbitmq.py", "start",
            files_.path().string()});
        if (!process_->wait_for("}\n")) return;
        port_ = static_cast<unsigned short>(std::stoi(process_->out.substr(process_->out.find(": ") + 2)));
    }
    static const char* named() { return std::getenv("MILLRACE_TEST_RABBITMQ_PORT"); }
    static std::string folder() { return std::string(MILLRACE_SOURCE_DIR) + "/build/clients/rabbitmq"; }

    millrace::test::TemporaryDirectory files_;
    std::unique_ptr<millrace::test::Process> process_;
    unsigned short port_ = 0;
};

/// A name that no other test and no earlier run has used at the node.
inline std::string name_at_node(const std::string& what) { return what + "-" + to_hex(random_uuid()); }

}  // namespace millrace::amqp::test
