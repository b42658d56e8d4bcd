// How deep the JSON that passes through may nest.
#pragma once

#include <boost/json/parse_options.hpp>

namespace millrace {

/// Options for the library's `parse`, of requests, schemas and answers. All who read one of them take these,
/// so that none refuses what another has let in: schemas nest deeper than the library's default of 32.
inline constexpr boost::json::parse_options kDeepJson{.max_depth = 200};

}  // namespace millrace
