// LIKE of the filter language.
#pragma once

#include "base/error.hpp"

#include <cstddef>
#include <optional>
#include <string_view>

namespace millrace::broker::sql {

/// What the evaluations that share it may still cost: nodes computed and bytes looked at.
struct Budget {
    std::size_t left;
    /// False when nothing is left.
    bool spend(std::size_t steps) noexcept {
        if (steps > left) return false;
        left -= steps;
        return true;
    }
};

/// The answer to an evaluation that has used up its budget.
Error too_costly();

/// True if all of `text` fits `pattern`: '%' stands for any characters, '_' for one, each of them for itself
/// after `escape`, a single character. invalid_input: an escape of another length, or one at the end of the
/// pattern; `too_costly`. At most the product of both lengths.
Result<bool> like(std::string_view text, std::string_view pattern, std::optional<std::string_view> escape,
                  Budget& budget);

}  // namespace millrace::broker::sql
