// Entity options as the `options` column holds them: JSON, absent members being the defaults.
#pragma once

#include "broker/entity.hpp"

#include <string>
#include <string_view>

namespace millrace::broker {

std::string options_to_json(const EntityOptions& options);
/// corrupt: not what `options_to_json` makes.
Result<EntityOptions> options_from_json(std::string_view json);

}  // namespace millrace::broker
