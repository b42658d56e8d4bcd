#include "app/progress.hpp"

#include <algorithm>

namespace millrace::app {

namespace {

constexpr std::chrono::milliseconds kRedrawInterval{100};
constexpr int kBarColumnsMax = 40;
constexpr std::size_t kNumbersColumns = 30;

/// `width` columns filled to `share` with eighths of a block, or with '#' where blocks can't be shown.
std::string bar(double share, int width, bool utf8) {
    static constexpr const char* kEighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
    const auto eighths = static_cast<int>(std::clamp(share, 0.0, 1.0) * width * 8);
    std::string text;
    const int whole = eighths / 8;
    for (int i = 0; i < whole; ++i) text += utf8 ? "█" : "#";
    int used = whole;
    if (utf8 && eighths % 8 != 0) text += kEighths[eighths % 8], ++used;
    for (; used < width; ++used) text += utf8 ? " " : "-";
    return text;
}

std::string numbers(const ProgressRow& row) {
    if (row.total == 0 && row.done == 0) return "";
    std::string text = count_text(row.done);
    if (row.total != row.done || row.failed > 0) text += "/" + count_text(row.total);
    text += " " + row.unit;
    if (row.failed > 0) text += ", " + count_text(row.failed) + " failed";
    return text;
}

}  // namespace

std::string progress_line(const ProgressRow& row, const Terminal& terminal, std::size_t label_width) {
    const int fixed = static_cast<int>(label_width + kNumbersColumns) + 12;
    const int width = std::clamp(terminal.columns - fixed, 10, kBarColumnsMax);
    const double share = row.total == 0 ? 0 : static_cast<double>(row.done) / static_cast<double>(row.total);
    char percent[16];
    std::snprintf(percent, sizeof percent, "%3.0f %%", share * 100);
    const std::string left = terminal.utf8 ? "▕" : "[";
    const std::string right = terminal.utf8 ? "▏" : "]";
    const std::string filled = bar(share, width, terminal.utf8);
    std::string line = "  " + fit(row.label, label_width, terminal.utf8) + " " + terminal.dim(left);
    line += row.failed > 0 ? terminal.red(filled) : terminal.accent(filled);
    line += terminal.dim(right) + " " + (row.total == 0 ? std::string("     ") : std::string(percent));
    return line + "  " + numbers(row);
}

Progress::Progress(Terminal terminal, std::FILE* out, std::vector<ProgressRow> rows)
    : terminal_(terminal), out_(out), rows_(std::move(rows)), printed_(rows_.size(), false) {}

Progress::~Progress() { finish(); }

void Progress::show() {
    if (!terminal_.moving) {
        print_completed(false);
        return;
    }
    const auto now = Clock::now();
    if (on_screen_ && now - drawn_ < kRedrawInterval) return;
    drawn_ = now;
    draw();
}

/// One write per frame, each line cleared only behind its text: no flicker.
void Progress::draw() {
    std::size_t label_width = 0;
    for (const auto& row : rows_) label_width = std::max(label_width, display_width(row.label));
    std::string frame;
    if (on_screen_) frame = "\x1b[" + std::to_string(rows_.size()) + "A";
    for (const auto& row : rows_) frame += "\r" + progress_line(row, terminal_, label_width) + "\x1b[K\n";
    std::fwrite(frame.data(), 1, frame.size(), out_);
    std::fflush(out_);
    on_screen_ = true;
}

void Progress::print_completed(bool all) {
    const std::chrono::duration<double> time = Clock::now() - start_;
    std::size_t label_width = 0;
    for (const auto& row : rows_) label_width = std::max(label_width, display_width(row.label));
    for (std::size_t i = 0; i < rows_.size(); ++i) {
        const ProgressRow& row = rows_[i];
        const bool complete = row.total > 0 && row.done == row.total;
        if (printed_[i]) continue;
        // Rows are stages: what is done of a later one is not all of it before those above have ended.
        if (!complete && !all) break;
        printed_[i] = true;
        const std::string line = "  " + fit(row.label, label_width) + "  " +
                                 fit(numbers(row), kNumbersColumns) + "  " + time_text(time.count()) + "\n";
        std::fwrite(line.data(), 1, line.size(), out_);
    }
    std::fflush(out_);
}

void Progress::finish() {
    if (finished_) return;
    finished_ = true;
    if (terminal_.moving)
        draw();
    else
        print_completed(true);
}

}  // namespace millrace::app
