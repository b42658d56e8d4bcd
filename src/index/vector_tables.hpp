// The vectors of all models in memory, and which rows belong to which version.
#pragma once

#include "index/vector_table.hpp"
#include "index/versions.hpp"

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace millrace::index {

/// Where to look for the vectors near one.
struct ScanPlan {
    TableView view;
    VectorQuery query;
    /// Rows to look up in the view's graph; 0: scan.
    std::size_t effort = 0;
};

class VectorTables;

/// A version in memory that goes again with its owner, unless it is kept.
class LoadedVersion {
  public:
    LoadedVersion() = default;
    LoadedVersion(VectorTables& tables, VersionState* version) : tables_(&tables), version_(version) {}
    ~LoadedVersion();
    LoadedVersion(LoadedVersion&& other) noexcept
        : tables_(other.tables_), version_(std::exchange(other.version_, nullptr)) {}
    LoadedVersion& operator=(LoadedVersion&& other) noexcept {
        std::swap(tables_, other.tables_);
        std::swap(version_, other.version_);
        return *this;
    }

    /// Null if there is none.
    VersionState* get() const noexcept { return version_; }
    void keep() noexcept { version_ = nullptr; }

  private:
    VectorTables* tables_ = nullptr;
    VersionState* version_ = nullptr;
};

/// One table for each model and length of vector. For the I/O thread.
class VectorTables {
  public:
    /// Told about every table whose rows change.
    using OnChange = std::function<void(const std::shared_ptr<VectorTable>&)>;

    VectorTables(Versions& versions, OnChange on_change)
        : versions_(versions), on_change_(std::move(on_change)) {}

    /// A version without rows, seen by nobody yet.
    VersionState* create(std::int64_t id, const std::string& category) {
        return versions_.create(id, category_number(category));
    }

    /// Adds `rows` to `version`, one of those that `create` made.
    void add(VersionState* version, const std::string& model, const QuantizedRows& rows);

    /// Takes the rows of `version` out of memory. No search that sees it runs any more. Null is allowed.
    void drop(VersionState* version);

    /// How to find the `count` vectors of `model` nearest to `vector` that a search of `state` sees, in
    /// `category` if it isn't empty. A view without rows: there are none.
    ScanPlan plan(const std::string& model, const std::vector<float>& vector, Stamp state,
                  const std::string& category, std::size_t count);

    std::size_t bytes() const noexcept;

  private:
    struct Table {
        std::shared_ptr<VectorTable> vectors;
        std::vector<std::size_t> rows_by_category;
    };
    struct Rows {
        Table* table = nullptr;
        std::vector<Slot> slots;
    };

    std::uint32_t category_number(const std::string& category) {
        return categories_.try_emplace(category, static_cast<std::uint32_t>(categories_.size()))
            .first->second;
    }
    Table& table(const std::string& model, std::size_t dimensions);

    Versions& versions_;
    OnChange on_change_;
    std::map<std::pair<std::string, std::size_t>, Table> tables_;
    std::unordered_map<const VersionState*, Rows> rows_;
    std::unordered_map<std::string, std::uint32_t> categories_;
};

}  // namespace millrace::index
