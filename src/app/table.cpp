#include "app/table.hpp"

#include <algorithm>

namespace millrace::app {

namespace {

std::string cell(std::string_view text, std::size_t width, Align align, bool utf8) {
    const std::size_t needed = display_width(text);
    if (align == Align::right && needed < width) return fit("", width - needed) + std::string(text);
    return fit(text, width, utf8);
}

void trim_end(std::string& line) {
    while (line.ends_with(' ')) line.pop_back();
}

}  // namespace

std::string table_text(const std::vector<Column>& columns, const std::vector<std::vector<std::string>>& rows,
                       const Terminal& terminal) {
    std::vector<std::size_t> widths;
    for (std::size_t i = 0; i < columns.size(); ++i) {
        std::size_t width = display_width(columns[i].title);
        for (const auto& row : rows)
            if (i < row.size())
                width = std::max(width, std::min(display_width(row[i]), columns[i].width_max));
        widths.push_back(width);
    }
    std::string titles;
    for (std::size_t i = 0; i < columns.size(); ++i)
        titles += (i > 0 ? "  " : "") + cell(columns[i].title, widths[i], columns[i].align, terminal.utf8);
    trim_end(titles);
    std::string text = terminal.dim(titles) + "\n";
    for (const auto& row : rows) {
        std::string line;
        for (std::size_t i = 0; i < row.size() && i < columns.size(); ++i)
            line += (i > 0 ? "  " : "") + cell(one_line(row[i]), widths[i], columns[i].align, terminal.utf8);
        trim_end(line);
        text += line + "\n";
    }
    return text;
}

}  // namespace millrace::app
