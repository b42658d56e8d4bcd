// millrace quota: what deployments allow, and how much of it is used.
#include "app/commands.hpp"
#include "app/table.hpp"
#include "http/json_text.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include <cstdio>

namespace millrace::app {

namespace json = boost::json;

namespace {

std::string count_of(const json::value& row, std::string_view name) {
    const json::value& value = row.at(name);
    return value.is_null() ? "" : count_text(value.to_number<std::uint64_t>());
}

std::string time_of(const json::value& row, std::string_view name) {
    const json::value& value = row.at(name);
    const double seconds = value.is_null() ? 0 : value.to_number<double>();
    return seconds > 0 ? time_text(seconds) : "";
}

std::string used_of(const json::value& row, std::string_view used, std::string_view limit) {
    const json::value& most = row.at(limit);
    std::string text = count_of(row, used);
    if (most.is_null()) return text;
    const double share = row.at(used).to_number<double>() * 100 / most.to_number<double>();
    char percent[16];
    std::snprintf(percent, sizeof percent, " (%.0f %%)", share);
    return text + percent;
}

std::string cost_of(const json::value& row) {
    char text[32];
    std::snprintf(text, sizeof text, "%.2f", row.at("costToday").to_number<double>());
    return text;
}

asio::awaitable<Result<int>> show(Client& client, bool as_json) {
    Client::Call call{.target = "/v1/quota"};
    auto answer = co_await client.ask(std::move(call));
    if (!answer) co_return answer.error();
    if (as_json) {
        const std::string text = http::json_text(*answer) + "\n";
        std::fwrite(text.data(), 1, text.size(), stdout);
        co_return 0;
    }
    std::vector<std::vector<std::string>> rows;
    for (const json::value& row : answer->at("deployments").as_array())
        rows.push_back({std::string(row.at("deployment").as_string()), count_of(row, "tokensPerMinute"),
                        used_of(row, "tokensUsed", "tokensPerMinute"), count_of(row, "tokensReserved"),
                        count_of(row, "requestsPerMinute"), count_of(row, "requestsUsed"),
                        count_of(row, "calls"), count_of(row, "waitingCalls"), time_of(row, "drainSeconds"),
                        time_of(row, "pausedSeconds"), cost_of(row)});
    if (rows.empty()) {
        std::puts("no deployment has a quota: all of them compute on the server itself");
        co_return 0;
    }
    const std::vector<Column> columns = {{"deployment"},
                                         {"tokens/min", Align::right},
                                         {"used", Align::right},
                                         {"reserved", Align::right},
                                         {"requests/min", Align::right},
                                         {"used", Align::right},
                                         {"calls", Align::right},
                                         {"waiting", Align::right},
                                         {"drains in", Align::right},
                                         {"paused", Align::right},
                                         {"cost today", Align::right}};
    const std::string text = table_text(columns, rows, Terminal::detect());
    std::fwrite(text.data(), 1, text.size(), stdout);
    co_return 0;
}

}  // namespace

int quota(const ClientOptions& client) {
    return with_client(client, [&](Client& one) { return show(one, client.json); });
}

}  // namespace millrace::app
