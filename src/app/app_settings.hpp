// The appsettings.json of a .NET worker, as settings of ours.
#pragma once

#include "app/configuration.hpp"

namespace millrace::app {

/// Puts what `text` (JSON with comments) and `environment` (names such as AzureServiceBus__QueueName, which
/// win) say in the sections AzureServiceBus, AzureOpenAI and AzureSearch into `configuration`: the remote
/// queue, one worker on it and one deployment. `notices` gets a line for each part that is not used.
/// invalid_input: no such JSON, or a key that is needed is missing; the detail is one line and shows no
/// secret.
Result<void> apply_app_settings(std::string_view text, const Environment& environment,
                                Configuration& configuration, std::vector<std::string>& notices);

}  // namespace millrace::app
