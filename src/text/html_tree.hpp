// A parsed HTML document whose cost is bounded.
#pragma once

#include "base/error.hpp"
#include "text/readers.hpp"

#include <gumbo.h>

#include <cstddef>
#include <memory>
#include <string_view>
#include <vector>

namespace millrace::text {

/// Parses HTML with gumbo, which copes with anything but knows no bounds: unclosed formatting elements alone
/// can make it build a tree of quadratic size. So it gets its memory from an arena that ends the parse when
/// memory or time run out, and is never asked to free its tree, which it does by recursion. One thread per
/// tree; not movable.
class HtmlTree {
  public:
    /// `html` is UTF-8 and outlives the tree.
    HtmlTree(std::string_view html, const Budget& budget) : html_(html), budget_(budget) {}
    HtmlTree(const HtmlTree&) = delete;
    HtmlTree& operator=(const HtmlTree&) = delete;

    /// The document node, valid as long as the tree. over_limit: nesting, memory or time.
    Result<const GumboNode*> parse();

  private:
    enum class Stop { none, memory, time };

    static void* allocate(void* tree, std::size_t size);
    void* take(std::size_t size);
    bool parse_within_bounds();

    std::string_view html_;
    const Budget& budget_;
    std::vector<std::unique_ptr<std::byte[]>> blocks_;
    std::size_t block_free_ = 0;
    std::byte* next_ = nullptr;
    std::size_t taken_ = 0;
    std::size_t calls_ = 0;
    Stop stop_ = Stop::none;
    GumboOutput* output_ = nullptr;
    void* jump_ = nullptr;
};

}  // namespace millrace::text
