#include "handlers/stages.hpp"

namespace millrace::handlers {

const HandlerRow* find_handler(std::string_view name) noexcept {
    for (const auto& row : kHandlers) {
        if (row.name == name) return &row;
    }
    return nullptr;
}

}  // namespace millrace::handlers
