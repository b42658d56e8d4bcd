#include "text/html_tree.hpp"

#include "text/html_nesting.hpp"

#include <algorithm>
#include <csetjmp>
#include <cstddef>

namespace millrace::text {
namespace {

constexpr std::size_t kBlockBytes = std::size_t{256} * 1024;
constexpr std::size_t kCallsPerLookAtTheClock = 64;

}  // namespace

void* HtmlTree::take(std::size_t size) {
    size = (size + alignof(std::max_align_t) - 1) & ~(alignof(std::max_align_t) - 1);
    if (++calls_ % kCallsPerLookAtTheClock == 0 && budget_.is_late()) stop_ = Stop::time;
    if (size > budget_.limits().memory_bytes_max - std::min(taken_, budget_.limits().memory_bytes_max)) {
        stop_ = Stop::memory;
    }
    if (stop_ != Stop::none) return nullptr;
    if (size > block_free_) {
        const std::size_t block = std::max(size, kBlockBytes);
        blocks_.push_back(std::make_unique_for_overwrite<std::byte[]>(block));
        next_ = blocks_.back().get();
        block_free_ = block;
    }
    taken_ += size;
    block_free_ -= size;
    return std::exchange(next_, next_ + size);
}

// Leaves the parser by longjmp: between here and `parse_within_bounds` there is only C.
void* HtmlTree::allocate(void* tree, std::size_t size) {
    auto* const self = static_cast<HtmlTree*>(tree);
    if (void* const memory = self->take(size)) return memory;
    std::longjmp(*static_cast<std::jmp_buf*>(self->jump_), 1);
}

bool HtmlTree::parse_within_bounds() {
    std::jmp_buf jump;
    jump_ = &jump;
    if (setjmp(jump) != 0) return false;
    GumboOptions options = kGumboDefaultOptions;
    options.allocator = &HtmlTree::allocate;
    options.deallocator = [](void*, void*) {};
    options.userdata = this;
    options.max_errors = 0;
    output_ = gumbo_parse_with_options(&options, html_.data(), html_.size());
    jump_ = nullptr;
    return true;
}

Result<const GumboNode*> HtmlTree::parse() {
    if (nesting_of(html_) > budget_.limits().nesting_max) return budget_.too_deep();
    if (parse_within_bounds()) return output_->document;
    return stop_ == Stop::time ? budget_.too_late() : budget_.too_much_memory();
}

}  // namespace millrace::text
