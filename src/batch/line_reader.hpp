// A file of lines, read in pieces.
#pragma once

#include "base/error.hpp"
#include "base/limits.hpp"

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

namespace millrace::batch {

/// One line that is not blank.
struct Line {
    std::int64_t number = 0;  ///< from 1; blank lines count
    std::string text;         ///< without its end; empty if too long
    bool too_long = false;    ///< longer than the reader takes
};

/// Reads lines that end with LF or CR LF; a byte order mark before the first is passed over. Holds one piece
/// of the file and one line. Blocks on the disk: use it on the CPU pool, one call at a time.
class LineReader {
  public:
    /// not_found: there is no such file, or it can't be read; the detail names it.
    static Result<std::unique_ptr<LineReader>> open(
        const std::filesystem::path& path, std::size_t line_bytes_max = limits::batch_line_bytes_max);
    ~LineReader();
    LineReader(const LineReader&) = delete;

    /// The next line; false at the end. Throws MachineError where the disk fails.
    bool next(Line& line);

    /// Offset behind the last line that was read, its end included.
    std::uint64_t offset() const noexcept { return offset_; }
    /// True if the last line had no end: the file was cut off there, or nobody wrote one.
    bool unended() const noexcept { return unended_; }
    std::uint64_t size() const noexcept { return size_; }

  private:
    LineReader(int descriptor, std::size_t line_bytes_max)
        : descriptor_(descriptor), line_bytes_max_(line_bytes_max) {}
    bool fill();
    bool take_line(Line& line);

    int descriptor_;
    std::size_t line_bytes_max_;
    std::uint64_t size_ = 0;
    std::string piece_;
    std::size_t at_ = 0;  ///< in `piece_`
    std::uint64_t offset_ = 0;
    std::int64_t number_ = 0;
    bool unended_ = false;
};

}  // namespace millrace::batch
