#include "index/vector_tables.hpp"

namespace millrace::index {

void VectorTables::add(VersionState* version, const std::string& model, const QuantizedRows& rows) {
    if (rows.size() == 0) return;
    Rows& target = rows_[version];
    if (target.table == nullptr) {
        target.table = &tables_.try_emplace({model, rows.dimensions}, rows.dimensions).first->second;
    }
    if (target.table->dimensions() != rows.dimensions) return;
    target.slots.reserve(target.slots.size() + rows.size());
    for (std::size_t at = 0; at < rows.size(); ++at) target.slots.push_back(target.table->add(rows, at, version));
}

void VectorTables::drop(VersionState* version) {
    if (version == nullptr) return;
    const auto found = rows_.find(version);
    if (found != rows_.end()) {
        for (const Slot slot : found->second.slots) found->second.table->free(slot);
        rows_.erase(found);
    }
    versions_.recycle(version);
}

const VectorTable* VectorTables::find(const std::string& model, std::size_t dimensions) const {
    const auto found = tables_.find({model, dimensions});
    return found == tables_.end() ? nullptr : &found->second;
}

std::size_t VectorTables::bytes() const noexcept {
    std::size_t sum = 0;
    for (const auto& [key, table] : tables_) sum += table.bytes();
    return sum;
}

}  // namespace millrace::index
