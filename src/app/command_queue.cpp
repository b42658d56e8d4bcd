// millrace queue and dlq: what queues hold, and what to do with dead letters.
#include "app/commands.hpp"
#include "app/table.hpp"
#include "http/json_text.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include <charconv>
#include <cstdio>
#include <map>

namespace millrace::app {

namespace json = boost::json;

namespace {

void print(const std::string& text) { std::fwrite(text.data(), 1, text.size(), stdout); }

void print_json(const json::value& value) { print(http::json_text(value) + "\n"); }

std::string text_of(const json::value& value, std::string_view name) {
    const json::value* found = value.as_object().if_contains(name);
    if (found == nullptr || found->is_null()) return {};
    return found->is_string() ? std::string(found->get_string()) : json::serialize(*found);
}

std::string number_of(const json::value& value, std::string_view name) {
    return count_text(value.at(name).to_number<std::uint64_t>());
}

std::string age_of(const json::value& queue) {
    const json::value& age = queue.at("oldestAgeSeconds");
    return age.is_null() ? "" : time_text(age.to_number<double>());
}

std::string rate_of(const json::value& queue, std::string_view name) {
    char text[32];
    std::snprintf(text, sizeof text, "%.1f", queue.at("rates").at(name).to_number<double>());
    return text;
}

std::string messages_target(const std::string& queue, std::string_view state, std::int64_t limit) {
    std::string target = "/v1/queues/" + url_encoded(queue) + "/messages?limit=" + std::to_string(limit);
    if (!state.empty()) target += "&state=" + std::string(state);
    return target;
}

asio::awaitable<Result<int>> list(Client& client, bool as_json, bool dead_letters_only) {
    Client::Call call{.target = "/v1/queues"};
    auto answer = co_await client.ask(std::move(call));
    if (!answer) co_return answer.error();
    json::array shown;
    for (const json::value& queue : answer->at("queues").as_array())
        if (!dead_letters_only || queue.at("deadLettered").to_number<std::uint64_t>() > 0)
            shown.push_back(queue);
    if (as_json) {
        print_json(json::object{{"queues", std::move(shown)}});
        co_return 0;
    }
    if (shown.empty()) print(dead_letters_only ? "no dead letters\n" : "no queues\n");
    if (shown.empty()) co_return 0;
    std::vector<std::vector<std::string>> rows;
    for (const json::value& queue : shown)
        rows.push_back({text_of(queue, "name"), number_of(queue, "active"), number_of(queue, "locked"),
                        number_of(queue, "scheduled"), number_of(queue, "deferred"),
                        number_of(queue, "deadLettered"), age_of(queue), rate_of(queue, "enqueuedPerSecond"),
                        rate_of(queue, "completedPerSecond")});
    const std::vector<Column> columns = {{"queue"},
                                         {"active", Align::right},
                                         {"locked", Align::right},
                                         {"scheduled", Align::right},
                                         {"deferred", Align::right},
                                         {"dead", Align::right},
                                         {"oldest", Align::right},
                                         {"in/s", Align::right},
                                         {"out/s", Align::right}};
    print(table_text(columns, rows, Terminal::detect()));
    co_return 0;
}

/// Members of nested objects as "outer.inner  value" lines.
void print_members(const json::object& object, const std::string& prefix,
                   std::vector<std::vector<std::string>>& rows) {
    for (const auto& member : object) {
        const std::string name = prefix + std::string(member.key());
        if (const json::object* inner = member.value().if_object())
            print_members(*inner, name + ".", rows);
        else
            rows.push_back({name, text_of(object, member.key())});
    }
}

asio::awaitable<Result<int>> show(Client& client, bool as_json, QueueOptions options) {
    Client::Call call{.target = "/v1/queues/" + url_encoded(options.name)};
    auto answer = co_await client.ask(std::move(call));
    if (!answer) co_return answer.error();
    if (as_json) {
        print_json(*answer);
        co_return 0;
    }
    std::vector<std::vector<std::string>> rows;
    print_members(answer->as_object(), "", rows);
    print(table_text({{"property"}, {"value"}}, rows, Terminal::detect()));
    co_return 0;
}

asio::awaitable<Result<int>> peek(Client& client, bool as_json, QueueOptions options) {
    Client::Call call{.target = messages_target(options.name, options.state, options.limit)};
    auto answer = co_await client.ask(std::move(call));
    if (!answer) co_return answer.error();
    if (as_json) {
        print_json(*answer);
        co_return 0;
    }
    const json::array& messages = answer->at("messages").as_array();
    if (messages.empty()) print("no messages\n");
    if (messages.empty()) co_return 0;
    std::vector<std::vector<std::string>> rows;
    for (const json::value& message : messages)
        rows.push_back({text_of(message, "sequence"), text_of(message, "messageId"),
                        text_of(message, "state"), text_of(message, "deliveryCount"),
                        text_of(message, "enqueuedAt"), text_of(message, "body")});
    const auto room = static_cast<std::size_t>(std::max(20, Terminal::detect().columns - 90));
    print(table_text({{"sequence", Align::right},
                      {"message id", Align::left, 32},
                      {"state"},
                      {"deliveries", Align::right},
                      {"enqueued"},
                      {"body", Align::left, room}},
                     rows, Terminal::detect()));
    co_return 0;
}

asio::awaitable<Result<int>> show_dead_letters(Client& client, bool as_json, QueueOptions options) {
    Client::Call call{.target = messages_target(options.name, "deadLettered", options.limit)};
    auto answer = co_await client.ask(std::move(call));
    if (!answer) co_return answer.error();
    json::array shown;
    for (const json::value& message : answer->at("messages").as_array())
        if (options.reason.empty() || text_of(message, "deadLetterReason") == options.reason)
            shown.push_back(message);
    if (as_json) {
        print_json(json::object{{"queue", options.name}, {"messages", std::move(shown)}});
        co_return 0;
    }
    if (shown.empty()) print("no dead letters\n");
    const Terminal terminal = Terminal::detect();
    for (const json::value& message : shown) {
        const std::string subject = text_of(message, "subject");
        print(terminal.bold(text_of(message, "deadLetterReason")) + "  " + text_of(message, "messageId") +
              (subject.empty() ? "" : "  " + subject) + "  " + terminal.dim(text_of(message, "enqueuedAt")) +
              "\n");
        for (const std::string& line :
             wrap(text_of(message, "deadLetterDescription"), terminal.columns - 4, 3, terminal.utf8))
            if (!line.empty()) print("    " + line + "\n");
    }
    if (!answer->at("next").is_null()) print("more with --limit, at most 100\n");
    co_return 0;
}

Result<double> parse_rate(std::string_view text) {
    if (text.empty()) return 0.0;
    if (text.ends_with("/s")) text.remove_suffix(2);
    double rate = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), rate);
    if (error != std::errc{} || end != text.data() + text.size() || rate <= 0)
        return Error{Errc::invalid_input, "--rate takes messages per second, e.g. --rate 10/s"};
    return rate;
}

/// What a redrive would take, where the server can tell.
std::string price_text(const json::value& answer) {
    const json::object& object = answer.as_object();
    if (!object.contains("estimated")) return {};
    std::string text;
    const auto looked_at = answer.at("estimated").to_number<std::uint64_t>();
    const auto failing = answer.at("failing").to_number<std::uint64_t>();
    if (answer.at("calls").to_number<std::uint64_t>() > 0)
        text += "  " + number_of(answer, "promptTokens") + " prompt tokens, at most " +
                number_of(answer, "outputTokensMax") + " of answers, cost at most " +
                text_of(answer, "costMax") + "\n";
    if (const json::value& seconds = answer.at("secondsUntilDone"); !seconds.is_null())
        if (seconds.to_number<double>() > 0)
            text += "  done in about " + time_text(seconds.to_number<double>()) + "\n";
    if (failing > 0) text += "  " + count_text(failing) + " would fail again\n";
    if (looked_at < answer.at("matched").to_number<std::uint64_t>())
        text += "  so much for the first " + count_text(looked_at) + " of them\n";
    return text;
}

asio::awaitable<Result<int>> change(Client& client, bool as_json, QueueOptions options, std::string action) {
    const auto rate = parse_rate(options.rate);
    if (!rate) co_return rate.error();
    json::object filter;
    if (!options.reason.empty()) filter["reason"] = options.reason;
    if (!options.message_id.empty()) filter["messageId"] = options.message_id;
    json::object body{{"filter", std::move(filter)}, {"dryRun", options.dry_run}};
    if (*rate > 0) body["rate"] = *rate;
    Client::Call call =
        Client::post("/v1/queues/" + url_encoded(options.name) + "/dead-letters:" + action, body);
    auto answer = co_await client.ask(std::move(call));
    if (!answer) co_return answer.error();
    if (as_json) {
        print_json(*answer);
        co_return 0;
    }
    const bool drop = action == "drop";
    const auto matched = answer->at("matched").to_number<std::uint64_t>();
    const auto done = answer->at(drop ? "dropped" : "moved").to_number<std::uint64_t>();
    const std::string what = counted(matched, "dead letter");
    if (options.dry_run)
        print(what + " would be " + (drop ? "dropped" : "moved back to " + options.name) + "\n" +
              price_text(*answer));
    else if (!drop && done < matched)
        print(what + " on the way back to " + options.name + (*rate > 0 ? " at the given rate\n" : "\n"));
    else
        print(counted(done, "dead letter") + (drop ? " dropped\n" : " moved back to " + options.name + "\n"));
    co_return 0;
}

}  // namespace

int queue_list(const ClientOptions& client, const QueueOptions&) {
    return with_client(client, [&](Client& one) { return list(one, client.json, false); });
}
int queue_show(const ClientOptions& client, const QueueOptions& options) {
    return with_client(client, [&](Client& one) { return show(one, client.json, options); });
}
int queue_peek(const ClientOptions& client, const QueueOptions& options) {
    return with_client(client, [&](Client& one) { return peek(one, client.json, options); });
}
int dead_letters_list(const ClientOptions& client, const QueueOptions&) {
    return with_client(client, [&](Client& one) { return list(one, client.json, true); });
}
int dead_letters_show(const ClientOptions& client, const QueueOptions& options) {
    return with_client(client, [&](Client& one) { return show_dead_letters(one, client.json, options); });
}
int dead_letters_redrive(const ClientOptions& client, const QueueOptions& options) {
    return with_client(client, [&](Client& one) { return change(one, client.json, options, "redrive"); });
}
int dead_letters_drop(const ClientOptions& client, const QueueOptions& options) {
    return with_client(client, [&](Client& one) { return change(one, client.json, options, "drop"); });
}

}  // namespace millrace::app
