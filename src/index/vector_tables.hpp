// The vectors of all models in memory, and which rows belong to which version.
#pragma once

#include "index/vector_table.hpp"
#include "index/versions.hpp"

#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

namespace millrace::index {

/// One table for each model and length of vector. For the I/O thread.
class VectorTables {
  public:
    explicit VectorTables(Versions& versions) : versions_(versions) {}

    /// A version without rows, seen by nobody yet.
    VersionState* create(std::int64_t id, const std::string& category) {
        return versions_.create(id, category_number(category));
    }

    /// Adds `rows` to `version`, one of those that `create` made.
    void add(VersionState* version, const std::string& model, const QuantizedRows& rows);

    /// Takes the rows of `version` out of memory. No search that sees it runs any more. Null is allowed.
    void drop(VersionState* version);

    /// Null: there are no such vectors.
    const VectorTable* find(const std::string& model, std::size_t dimensions) const;

    /// The number that stands for `category` in a scan; kAnyCategory if it is empty.
    std::uint32_t category_filter(const std::string& category) {
        return category.empty() ? kAnyCategory : category_number(category);
    }

    std::size_t bytes() const noexcept;

  private:
    struct Rows {
        VectorTable* table = nullptr;
        std::vector<Slot> slots;
    };

    std::uint32_t category_number(const std::string& category) {
        return categories_.try_emplace(category, static_cast<std::uint32_t>(categories_.size())).first->second;
    }

    Versions& versions_;
    std::map<std::pair<std::string, std::size_t>, VectorTable> tables_;
    std::unordered_map<const VersionState*, Rows> rows_;
    std::unordered_map<std::string, std::uint32_t> categories_;
};

}  // namespace millrace::index
