#include "telemetry/log.hpp"

#include "base/clock.hpp"

#include <spdlog/logger.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <array>
#include <cstdio>
#include <memory>
#include <mutex>

namespace millrace::telemetry {

namespace {

constexpr std::array<std::string_view, 6> kLevelNames = {"trace", "debug", "info", "warning", "error", "off"};

bool is_control(unsigned char byte) noexcept { return byte < 0x20 || byte == 0x7f; }

void append_escaped(std::string& line, std::string_view text) {
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (c == '"' || c == '\\') {
            line += '\\';
            line += c;
        } else if (c == '\n') {
            line += "\\n";
        } else if (is_control(byte)) {
            std::array<char, 8> code{};
            std::snprintf(code.data(), code.size(), "\\u%04x", byte);
            line += code.data();
        } else {
            line += c;
        }
    }
}

void append_quoted(std::string& line, std::string_view text) {
    line += '"';
    append_escaped(line, text);
    line += '"';
}

bool needs_quotes(std::string_view text) noexcept {
    if (text.empty()) return true;
    for (const char c : text)
        if (c == ' ' || c == '"' || c == '=' || c == '\\' || is_control(static_cast<unsigned char>(c)))
            return true;
    return false;
}

std::string text_line(std::string_view time, Level level, std::string_view message, FieldList fields) {
    std::string line(time);
    line += ' ';
    line += to_string(level);
    line += ' ';
    append_escaped(line, message);
    for (const Field& field : fields) {
        line += ' ';
        line += field.name();
        line += '=';
        if (field.number())
            line += std::to_string(*field.number());
        else if (needs_quotes(field.text()))
            append_quoted(line, field.text());
        else
            line += field.text();
    }
    return line;
}

std::string json_line(std::string_view time, Level level, std::string_view message, FieldList fields) {
    std::string line = "{\"time\":";
    append_quoted(line, time);
    line += ",\"level\":";
    append_quoted(line, to_string(level));
    line += ",\"message\":";
    append_quoted(line, message);
    for (const Field& field : fields) {
        line += ',';
        append_quoted(line, field.name());
        line += ':';
        if (field.number())
            line += std::to_string(*field.number());
        else
            append_quoted(line, field.text());
    }
    line += '}';
    return line;
}

class FunctionSink final : public spdlog::sinks::base_sink<std::mutex> {
  public:
    explicit FunctionSink(std::function<void(std::string_view)> function) : function_(std::move(function)) {}

  private:
    void sink_it_(const spdlog::details::log_msg& message) override {
        function_(std::string_view(message.payload.data(), message.payload.size()));
    }
    void flush_() override {}

    std::function<void(std::string_view)> function_;
};

spdlog::level::level_enum spdlog_level(Level level) noexcept {
    switch (level) {
        case Level::trace: return spdlog::level::trace;
        case Level::debug: return spdlog::level::debug;
        case Level::info: return spdlog::level::info;
        case Level::warning: return spdlog::level::warn;
        case Level::error: return spdlog::level::err;
        case Level::off: return spdlog::level::off;
    }
    return spdlog::level::off;
}

}  // namespace

std::optional<Level> level_named(std::string_view name) noexcept {
    for (std::size_t i = 0; i < kLevelNames.size(); ++i)
        if (kLevelNames[i] == name) return static_cast<Level>(i);
    return std::nullopt;
}

std::string_view to_string(Level level) noexcept { return kLevelNames[static_cast<std::size_t>(level)]; }

std::string format_line(Format format, std::string_view time, Level level, std::string_view message,
                        FieldList fields) {
    return format == Format::json ? json_line(time, level, message, fields)
                                  : text_line(time, level, message, fields);
}

namespace {

class Writer {
  public:
    explicit Writer(const LogOptions& options)
        : format_(options.format), logger_("millrace", make_sink(options)) {
        logger_.set_pattern("%v");
        logger_.set_level(spdlog_level(options.level));
        logger_.flush_on(spdlog::level::trace);
    }

    bool enabled(Level level) const noexcept { return logger_.should_log(spdlog_level(level)); }

    void write(Level level, std::string_view message, FieldList fields) {
        const std::string line =
            format_line(format_, to_rfc3339(SystemClock().now()), level, message, fields);
        logger_.log(spdlog_level(level), spdlog::string_view_t(line.data(), line.size()));
    }

  private:
    static spdlog::sink_ptr make_sink(const LogOptions& options) {
        if (options.sink) return std::make_shared<FunctionSink>(options.sink);
        return std::make_shared<spdlog::sinks::stderr_sink_mt>();
    }

    Format format_;
    spdlog::logger logger_;
};

struct ProcessLog {
    std::mutex mutex;
    std::shared_ptr<Writer> writer = std::make_shared<Writer>(LogOptions{});
};

ProcessLog& process_log() {
    static ProcessLog log;
    return log;
}

std::shared_ptr<Writer> current_writer() {
    ProcessLog& log = process_log();
    const std::lock_guard lock(log.mutex);
    return log.writer;
}

void log_where(Level level, std::string_view what, std::string_view where, std::string_view why) {
    if (why.empty())
        log(level, what, {{"at", where}});
    else
        log(level, what, {{"at", where}, {"why", why}});
}

}  // namespace

void configure_log(LogOptions options) {
    auto writer = std::make_shared<Writer>(options);
    ProcessLog& log = process_log();
    const std::lock_guard lock(log.mutex);
    log.writer = std::move(writer);
}

void log(Level level, std::string_view message, FieldList fields) {
    const auto writer = current_writer();
    if (writer->enabled(level)) writer->write(level, message, fields);
}

void log_debug(std::string_view what, std::string_view where, std::string_view why) {
    log_where(Level::debug, what, where, why);
}
void log_info(std::string_view what, std::string_view where, std::string_view why) {
    log_where(Level::info, what, where, why);
}
void log_warning(std::string_view what, std::string_view where, std::string_view why) {
    log_where(Level::warning, what, where, why);
}
void log_error(std::string_view what, std::string_view where, std::string_view why) {
    log_where(Level::error, what, where, why);
}

}  // namespace millrace::telemetry
