// The provider simulator's view of one completion: its body checked as OpenAI does, a text that fits. No
// sockets.
#pragma once

#include "http/server.hpp"
#include "http/simulator.hpp"

#include <boost/json/value.hpp>

#include <optional>
#include <string>
#include <string_view>
#include <variant>

namespace millrace::http {

enum class ChatApi { chat, responses };

struct ChatCall {
    ChatApi api = ChatApi::chat;
    std::string model;
    std::string prompt;   ///< every message, one after the other
    std::int64_t prompt_tokens = 0;
    std::optional<std::int64_t> output_max;   ///< as asked for
    std::int64_t model_output_max = 0;
    std::optional<boost::json::value> schema;
    bool json = false;    ///< any JSON object
    std::uint64_t hash = 0;   ///< of the body
};

/// How an answer ends.
enum class Ending { whole, refused, filtered, cut_off };

struct ChatAnswer {
    std::string body;
    std::int64_t completion_tokens = 0;
};

/// The call in `body`, or OpenAI's answer to what is wrong with it. `deployment` names the model where the
/// URL does.
std::variant<ChatCall, Response> read_chat_call(std::string_view body, ChatApi api,
                                                const std::string& deployment,
                                                const SimulatorOptions& options);

/// The answer to `call`: words of its prompt, in the form asked for; the same for the same call. Cut off
/// where it would be longer than the call allows.
ChatAnswer answer_chat(const ChatCall& call, Ending ending, std::string_view id, TimePoint now,
                       const SimulatorOptions& options);

}  // namespace millrace::http
