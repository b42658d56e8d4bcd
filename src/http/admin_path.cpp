#include "http/admin_path.hpp"

#include "broker/entity.hpp"
#include "http/server_target.hpp"
#include "http/views.hpp"

#include <boost/beast/core/string.hpp>

#include <algorithm>

namespace millrace::http {

using boost::beast::iequals;

namespace {

constexpr std::string_view kSubscriptions = "Subscriptions";
constexpr std::string_view kRules = "Rules";

std::string joined(std::vector<std::string>::const_iterator first,
                   std::vector<std::string>::const_iterator last) {
    std::string name;
    for (; first != last; ++first) name += (name.empty() ? "" : "/") + *first;
    return name;
}

/// `name` percent-encoded but for its slashes.
std::string encoded_name(std::string_view name) {
    std::string text;
    while (true) {
        const std::string_view part = name.substr(0, name.find('/'));
        text += percent_encoded(part);
        if (part.size() == name.size()) return text;
        name.remove_prefix(part.size() + 1);
        text += '/';
    }
}

}  // namespace

Result<AdminPath> parse_admin_path(const std::vector<std::string>& segments) {
    const Error nothing{Errc::not_found, "the path names no queue, topic, subscription or rule"};
    auto last = segments.end();
    if (last != segments.begin() && std::prev(last)->empty()) --last;
    const auto count = static_cast<std::size_t>(last - segments.begin());
    if (count == 0) return nothing;
    if (count == 1 && iequals(segments[0], "$namespaceinfo")) return AdminPath{};
    if (iequals(segments[0], "$Resources")) {
        if (count == 2 && iequals(segments[1], "Queues")) return AdminPath{AdminResource::queues, "", "", ""};
        if (count == 2 && iequals(segments[1], "Topics")) return AdminPath{AdminResource::topics, "", "", ""};
        return nothing;
    }
    const auto is_subscriptions = [](const std::string& part) { return iequals(part, kSubscriptions); };
    const auto middle = std::find_if(segments.begin() + 1, last, is_subscriptions);
    AdminPath path{AdminResource::entity, joined(segments.begin(), middle), "", ""};
    if (path.entity.empty() || path.entity.front() == '$') return nothing;
    if (middle == last) return path;
    const auto after = last - middle - 1;
    path.resource = AdminResource::subscriptions;
    if (after == 0) return path;
    path.subscription = middle[1];
    path.resource = AdminResource::subscription;
    if (after == 1) return path;
    if (!iequals(middle[2], kRules) || after > 3) return nothing;
    path.resource = AdminResource::rules;
    if (after == 2) return path;
    path.rule = middle[3];
    path.resource = AdminResource::rule;
    return path;
}

std::string broker_name(const AdminPath& path) {
    return path.subscription.empty() ? path.entity
                                     : broker::subscription_path(path.entity, path.subscription);
}

std::string url_path(const AdminPath& path) {
    switch (path.resource) {
        case AdminResource::server: return "$namespaceinfo";
        case AdminResource::queues: return "$Resources/queues";
        case AdminResource::topics: return "$Resources/topics";
        default: break;
    }
    std::string text = encoded_name(path.entity);
    if (path.resource == AdminResource::entity) return text;
    text.append("/").append(kSubscriptions);
    if (path.resource == AdminResource::subscriptions) return text;
    text.append("/").append(percent_encoded(path.subscription));
    if (path.resource == AdminResource::subscription) return text;
    text.append("/").append(kRules);
    if (path.resource == AdminResource::rules) return text;
    // "$Default" as clients write it.
    const bool plain_dollar = path.rule.starts_with('$');
    return text.append(plain_dollar ? "/$" : "/").append(percent_encoded(path.rule.substr(plain_dollar)));
}

std::string forward_name(std::string_view written) {
    if (const auto scheme = written.find("://"); scheme != std::string_view::npos) {
        written.remove_prefix(scheme + 3);
        written.remove_prefix(std::min(written.find('/'), written.size()));
    }
    written = written.substr(0, written.find_first_of("?#"));
    while (written.starts_with('/')) written.remove_prefix(1);
    while (written.ends_with('/')) written.remove_suffix(1);
    const auto target = parse_target("/" + std::string(written));
    if (!target) return std::string(written);
    return joined(target->segments.begin(), target->segments.end());
}

}  // namespace millrace::http
