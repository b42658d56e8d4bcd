#include "index/vector_tables.hpp"

namespace millrace::index {

namespace {

// Where fewer of the rows fit a filter, the graph would be searched mostly in vain.
constexpr double kShareMin = 0.1;
constexpr double kReserve = 1.25;
constexpr std::size_t kEffortMax = 4000;

}  // namespace

LoadedVersion::~LoadedVersion() {
    if (version_ != nullptr) tables_->drop(version_);
}

VectorTables::Table& VectorTables::table(const std::string& model, std::size_t dimensions) {
    Table& found = tables_[{model, dimensions}];
    if (!found.vectors) found.vectors = std::make_shared<VectorTable>(dimensions);
    return found;
}

void VectorTables::add(VersionState* version, const std::string& model, const QuantizedRows& rows) {
    if (rows.size() == 0) return;
    Rows& target = rows_[version];
    if (target.table == nullptr) target.table = &table(model, rows.dimensions);
    VectorTable& vectors = *target.table->vectors;
    if (vectors.dimensions() != rows.dimensions) return;
    for (std::size_t at = 0; at < rows.size(); ++at) target.slots.push_back(vectors.add(rows, at, version));

    auto& counts = target.table->rows_by_category;
    if (counts.size() <= version->category) counts.resize(version->category + 1);
    counts[version->category] += rows.size();
    on_change_(target.table->vectors);
}

void VectorTables::drop(VersionState* version) {
    if (version == nullptr) return;
    const auto found = rows_.find(version);
    if (found != rows_.end()) {
        Table& from = *found->second.table;
        for (const Slot slot : found->second.slots) from.vectors->free(slot);
        from.rows_by_category[version->category] -= found->second.slots.size();
        rows_.erase(found);
        on_change_(from.vectors);
    }
    versions_.recycle(version);
}

ScanPlan VectorTables::plan(const std::string& model, const std::vector<float>& vector, Stamp state,
                            const std::string& category, std::size_t count) {
    const auto found = tables_.find({model, vector.size()});
    if (found == tables_.end()) return {};
    const auto& [vectors, counts] = found->second;
    ScanPlan plan{vectors->view(), {vector, state, kAnyCategory, count}, 0};
    std::size_t fitting = vectors->size();
    if (!category.empty()) {
        plan.query.category = category_number(category);
        fitting = plan.query.category < counts.size() ? counts[plan.query.category] : 0;
    }
    const double share =
        static_cast<double>(fitting) / static_cast<double>(std::max<std::size_t>(1, plan.view.rows));
    if (!vectors->has_graph() || share < kShareMin) return plan;
    const auto effort = static_cast<std::size_t>(kReserve * static_cast<double>(count) / share);
    if (effort <= kEffortMax) plan.effort = effort;
    return plan;
}

std::size_t VectorTables::bytes() const noexcept {
    std::size_t sum = 0;
    for (const auto& [key, table] : tables_) sum += table.vectors->bytes();
    return sum;
}

}  // namespace millrace::index
