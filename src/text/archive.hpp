// A ZIP archive in memory whose unpacking is bounded.
#pragma once

#include "base/error.hpp"
#include "text/readers.hpp"

#include <zip.h>

#include <memory>
#include <string>
#include <string_view>

namespace millrace::text {

/// Reads entries of a ZIP archive. What an archive says of its own sizes is not believed: unpacking stops
/// where the limit is. One thread.
class Archive {
  public:
    /// `bytes` outlives the archive. corrupt: not a ZIP archive, or cut off. over_limit: too many entries.
    static Result<Archive> open(std::string_view bytes, const Budget& budget);

    const Budget& budget() const { return *budget_; }
    bool contains(const std::string& name) const;
    /// The bytes of entry `name`. not_found: there is none. corrupt: damaged or encrypted. over_limit: all
    /// that was read so far, with this, passes `unpacked_bytes_max`, or it takes too long.
    Result<std::string> read(const std::string& name);

  private:
    struct Close {
        void operator()(zip_t* archive) const { zip_discard(archive); }
    };
    Archive(zip_t* archive, const Budget& budget) : archive_(archive), budget_(&budget) {}

    std::unique_ptr<zip_t, Close> archive_;
    const Budget* budget_;
    std::size_t unpacked_ = 0;
};

}  // namespace millrace::text
