#include "http/simulator_routes.hpp"

#include <span>

namespace millrace::http {

namespace {

using Segments = std::span<const std::string>;

SimulatedRoute operation_of(Segments path) {
    if (path.size() == 1 && path[0] == "embeddings") return SimulatedRoute::embed;
    if (path.size() == 1 && path[0] == "responses") return SimulatedRoute::respond;
    if (path.size() == 1 && path[0] == "models") return SimulatedRoute::models;
    if (path.size() == 2 && path[0] == "chat" && path[1] == "completions") return SimulatedRoute::chat;
    return SimulatedRoute::none;
}

}  // namespace

bool is_azure_path(const std::vector<std::string>& segments) noexcept {
    return segments.size() > 1 && segments[0] == "openai" && segments[1] != "v1";
}

SimulatedRoute route_of(const std::vector<std::string>& segments, std::string& deployment) {
    const Segments path(segments);
    if (path.size() == 1 && path[0] == "healthz") return SimulatedRoute::health;
    if (path.size() == 1 && path[0] == "stats") return SimulatedRoute::stats;
    if (path.size() == 2 && path[0] == "simulator" && path[1] == "report") return SimulatedRoute::report;
    if (path.size() < 2) return SimulatedRoute::none;
    if (path[0] == "v1") return operation_of(path.subspan(1));
    if (path[0] != "openai") return SimulatedRoute::none;
    if (path[1] == "v1") return operation_of(path.subspan(2));
    // Of the classic form only responses name their model in the body.
    if (path.size() == 2 && path[1] == "responses") return SimulatedRoute::respond;
    if (path.size() < 4 || path[1] != "deployments" || path[2].empty()) return SimulatedRoute::none;
    const SimulatedRoute route = operation_of(path.subspan(3));
    if (route != SimulatedRoute::embed && route != SimulatedRoute::chat) return SimulatedRoute::none;
    deployment = path[2];
    return route;
}

}  // namespace millrace::http
