// Puts the text of a document together: white space, breaks, headings.
#pragma once

#include "text/extract.hpp"

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace millrace::text {

/// Every reader of a format writes into one of these. Breaks are remembered and written only when text
/// follows, the strongest of several winning, so the text has no blank beginning, end or double gap. Control
/// characters, soft hyphens, zero-width spaces and byte order marks are dropped; no-break spaces become
/// spaces. Input is well-formed UTF-8. One thread.
class TextBuilder {
  public:
    explicit TextBuilder(std::size_t bytes_max) : bytes_max_(bytes_max) {}

    /// Adds running text: white space collapses into one space.
    void flow(std::string_view text);
    /// Adds text as it stands: spaces, tabs and line ends are kept, but for spaces at the end of a line and
    /// more than two empty lines in a row.
    void verbatim(std::string_view text);

    void space() { space_ = true; }
    void cell();
    void line() { gap(1); }
    void paragraph() { gap(2); }
    /// Begins a line; `text`, e.g. "- ", stands before what comes next. An empty `text` takes a marker back
    /// that nothing came for.
    void marker(std::string_view text);

    /// Between the two the text of a heading is added. `level` from 1; headings do not nest.
    void heading_begin(int level);
    void heading_end();

    /// A page begins here.
    void page() { pages_.push_back(kUnplaced); }

    std::size_t size() const { return text_.size(); }
    /// True once text was refused because it would pass `bytes_max`.
    bool is_full() const { return full_; }

    /// The result; `title` falls back to the first heading. The builder is empty afterwards.
    ExtractedText take(std::string title);

  private:
    static constexpr std::size_t kUnplaced = static_cast<std::size_t>(-1);

    void gap(int newlines);
    void put(std::string_view text);
    void put_gap();
    void place_marks();
    std::string heading_path() const;

    std::size_t bytes_max_;
    std::string text_;
    std::vector<Section> sections_;
    std::vector<std::size_t> pages_;
    std::size_t pages_placed_ = 0;
    std::vector<std::pair<int, std::string>> headings_;  ///< those that stand above the present place
    std::string indent_;  ///< spaces and tabs since the last text, verbatim
    std::string marker_;
    std::size_t heading_at_ = kUnplaced;
    int heading_level_ = 0;
    int newlines_ = 0;
    bool cell_ = false;
    bool space_ = false;
    bool full_ = false;
};

/// `text` on one line: white space collapsed, cut at `bytes_max` between characters.
std::string one_line(std::string_view text, std::size_t bytes_max);

}  // namespace millrace::text
