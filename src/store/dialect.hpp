// The common SQL text as PostgreSQL reads it.
#pragma once

#include <string>
#include <string_view>

namespace millrace::store {

/// `sql` with `$1`, `$2`, … for its parameters: `?` is the next one after the highest so far, `?3` the third.
/// What stands in quotes is left as it is.
std::string to_postgres(std::string_view sql);

/// `text` where PostgreSQL holds it as it is, that is well-formed UTF-8 without NUL; else `buffer`, which
/// gets it with U+FFFD for every byte that is not.
std::string_view to_postgres_text(std::string_view text, std::string& buffer);

}  // namespace millrace::store
