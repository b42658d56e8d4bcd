// Rows of text in aligned columns.
#pragma once

#include "app/terminal.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace millrace::app {

enum class Align { left, right };

struct Column {
    std::string_view title;
    Align align = Align::left;
    std::size_t width_max = 60;   ///< longer text is cut
};

/// The table as lines: titles, then rows; columns two spaces apart, no spaces at the end of a line. A row may
/// end early.
std::string table_text(const std::vector<Column>& columns, const std::vector<std::vector<std::string>>& rows,
                       const Terminal& terminal);

}  // namespace millrace::app
