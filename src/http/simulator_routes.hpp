// The addresses that the provider simulator answers.
#pragma once

#include <string>
#include <vector>

namespace millrace::http {

/// What a path asks for.
enum class SimulatedRoute { none, embed, chat, respond, models, health, stats, report };

/// The route of a path's `segments`; `deployment` becomes the model's name where Azure's classic form puts it
/// into the path. Azure's forms with and without /v1 are known.
SimulatedRoute route_of(const std::vector<std::string>& segments, std::string& deployment);

/// True for Azure's addresses, whose answers are in Azure's form.
bool is_azure_path(const std::vector<std::string>& segments) noexcept;

}  // namespace millrace::http
