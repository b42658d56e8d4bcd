#include "handlers/stages.hpp"

#include "handlers/tasks.hpp"

namespace millrace::handlers {

const HandlerRow* find_handler(std::string_view name) noexcept {
    for (const auto& row : kHandlers) {
        if (row.name == name) return &row;
    }
    return nullptr;
}

work::Handler make_handler(Services& services, const HandlerRow& row, Adoption adoption) {
    if (row.run == nullptr) return make_task_handler(services, *services.task_parts);
    return make_stage_handler(services, std::string(row.stage), row.run, adoption);
}

}  // namespace millrace::handlers
