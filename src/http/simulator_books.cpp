#include "http/simulator_books.hpp"

#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>

#include <algorithm>
#include <cstdio>

namespace millrace::http {

namespace json = boost::json;

namespace {

constexpr std::size_t kMinutesMax = 7 * 24 * 60;
constexpr unsigned kTooMany = 429;

std::string hex(std::uint64_t number) {
    char digits[17];
    std::snprintf(digits, sizeof digits, "%016llx", static_cast<unsigned long long>(number));
    return digits;
}

}  // namespace

std::uint64_t hash_of(std::string_view text) noexcept {
    std::uint64_t hash = 0xcbf29ce484222325;   // FNV-1a
    for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
    return hash;
}

SimulatorBooks::Minute& SimulatorBooks::minute_of(TimePoint at) {
    const auto index =
        static_cast<std::size_t>(std::max<std::int64_t>(0, (at - start_) / std::chrono::minutes(1)));
    if (index >= minutes_.size()) minutes_.resize(std::min(index, kMinutesMax - 1) + 1);
    return minutes_[std::min(index, minutes_.size() - 1)];
}

void SimulatorBooks::note(const Decision& decision) {
    Minute& minute = minute_of(decision.at);
    ++calls_;
    if (decision.admitted) {
        ++granted_;
        ++minute.granted;
        prompt_tokens_ += decision.prompt_tokens;
        completion_tokens_ += decision.completion_tokens;
        minute.tokens += decision.prompt_tokens + decision.completion_tokens;
        inputs_ += decision.inputs.size();
        for (const BilledInput& input : decision.inputs) {
            if (times_billed_[input.hash]++ == 0) needed_tokens_ += input.tokens;
        }
    } else if (decision.status == kTooMany) {
        ++throttled_;
        ++minute.throttled;
    } else {
        ++refused_;
    }
    if (log_) write(decision);
}

void SimulatorBooks::write(const Decision& decision) const {
    json::array inputs;
    for (const BilledInput& input : decision.inputs) inputs.emplace_back(hex(input.hash));
    const json::object line = {
        {"at_ms", to_millis(decision.at)},
        {"operation", decision.operation},
        {"client", decision.client},
        {"tokens_estimated", decision.estimated_tokens},
        {"tokens_billed", decision.prompt_tokens + decision.completion_tokens},
        {"admitted", decision.admitted},
        {"status", decision.status},
        {"inputs", std::move(inputs)},
    };
    log_(json::serialize(line) + "\n");
}

json::object SimulatorBooks::report() const {
    const std::int64_t billed = prompt_tokens_ + completion_tokens_;
    json::array minutes;
    for (const Minute& minute : minutes_)
        minutes.push_back(
            {{"granted", minute.granted}, {"throttled", minute.throttled}, {"tokens", minute.tokens}});
    const double needed = static_cast<double>(std::max<std::int64_t>(needed_tokens_, 1));
    return {
        {"calls", calls_},
        {"granted", granted_},
        {"refused", refused_},
        {"throttled", throttled_},
        {"billedTokens", {{"prompt", prompt_tokens_}, {"completion", completion_tokens_}, {"total", billed}}},
        {"inputs",
         {{"billed", inputs_},
          {"distinct", times_billed_.size()},
          {"repeated", inputs_ - times_billed_.size()}}},
        {"neededTokens", needed_tokens_},
        {"amplification", needed_tokens_ == 0 ? 1.0 : static_cast<double>(billed) / needed},
        {"minutes", std::move(minutes)},
    };
}

}  // namespace millrace::http
