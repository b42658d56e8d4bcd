#include "broker/entity.hpp"

#include "base/utf8.hpp"

#include <algorithm>
#include <cctype>

namespace millrace::broker {

namespace {

constexpr std::string_view kSubscriptions = "/Subscriptions/";

Error bad(std::string_view name, std::string_view why) {
    return Error{Errc::invalid_input,
                 "entity \"" + std::string(name.substr(0, 300)) + "\": " + std::string(why)};
}

bool is_name_character(char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '.' || c == '-' || c == '_' || c == '/';
}

bool is_border(char c) { return c == '/'; }

bool equal_ignoring_case(std::string_view a, std::string_view b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) {
        return std::tolower(static_cast<unsigned char>(x)) == std::tolower(static_cast<unsigned char>(y));
    });
}

Result<void> check_path(std::string_view name) {
    if (name.empty()) return bad(name, "the name is empty");
    if (name.size() > limits::entity_name_chars_max)
        return bad(name, "the name is longer than 260 characters");
    if (!std::all_of(name.begin(), name.end(), is_name_character)) {
        return bad(name, "a name has only letters, digits, '.', '-', '_' and '/'");
    }
    if (is_border(name.front()) || is_border(name.back()) || name.find("//") != std::string_view::npos) {
        return bad(name, "'/' stands only between two parts of a name");
    }
    return {};
}

// The last part of a path before which "/Subscriptions/" stands, or npos.
std::size_t subscription_at(std::string_view path) {
    const auto found = std::search(
        path.begin(), path.end(), kSubscriptions.begin(), kSubscriptions.end(), [](char x, char y) {
            return std::tolower(static_cast<unsigned char>(x)) == std::tolower(static_cast<unsigned char>(y));
        });
    return found == path.end() ? std::string_view::npos : static_cast<std::size_t>(found - path.begin());
}

Result<void> check_kind(std::string_view name, EntityKind kind) {
    const std::size_t at = subscription_at(name);
    if ((kind == EntityKind::subscription) != (at != std::string_view::npos)) {
        return bad(name, "a subscription, and nothing else, is named TOPIC/Subscriptions/NAME");
    }
    if (kind != EntityKind::subscription) return {};
    const std::string_view last = name.substr(at + kSubscriptions.size());
    if (at == 0 || last.empty() || last.find('/') != std::string_view::npos) {
        return bad(name, "a subscription is named TOPIC/Subscriptions/NAME");
    }
    if (last.size() > limits::subscription_name_chars_max) {
        return bad(name, "the subscription's own name is longer than 50 characters");
    }
    return {};
}

Result<void> check_times(std::string_view name, const EntityOptions& options) {
    if (options.lock_time < limits::lock_time_min || options.lock_time > limits::lock_time_max) {
        return bad(name, "the lock time must be between 5 seconds and 5 minutes");
    }
    if (options.duplicate_window && (*options.duplicate_window < limits::duplicate_window_min ||
                                     *options.duplicate_window > limits::duplicate_window_max)) {
        return bad(name, "the duplicate detection window must be between 20 seconds and 7 days");
    }
    if (options.time_to_live && *options.time_to_live < std::chrono::seconds(1)) {
        return bad(name, "the time to live must be at least 1 second");
    }
    if (options.delete_on_idle && *options.delete_on_idle < limits::delete_on_idle_min) {
        return bad(name, "it can be deleted when idle for 5 minutes or more, not less");
    }
    return {};
}

}  // namespace

Result<void> check_entity(std::string_view name, const EntityOptions& options) {
    if (auto path = check_path(name); !path) return path;
    if (auto kind = check_kind(name, options.kind); !kind) return kind;
    if (auto times = check_times(name, options); !times) return times;
    if (options.delivery_count_max < 1 || options.delivery_count_max > limits::delivery_count_max_max) {
        return bad(name, "the maximum delivery count must be between 1 and 2000");
    }
    if (options.kind == EntityKind::topic && (options.requires_session || !options.forward_to.empty() ||
                                              !options.forward_dead_letters_to.empty())) {
        return bad(name, "a topic has no sessions and does not forward; its subscriptions do");
    }
    if (options.requires_session && !options.forward_to.empty()) {
        return bad(name, "an entity with sessions cannot forward");
    }
    if (options.kind == EntityKind::subscription && options.duplicate_window) {
        return bad(name, "duplicates are detected by the topic, not by its subscriptions");
    }
    if (options.kind == EntityKind::subscription && options.status == EntityStatus::send_disabled) {
        return bad(name, "nobody sends to a subscription; disable sending to its topic");
    }
    const std::string& notes = options.user_metadata;
    if (first_characters(notes, limits::user_metadata_chars_max).size() != notes.size()) {
        return bad(name, "the user metadata is longer than 1,024 characters");
    }
    if (equal_ignoring_case(name, options.forward_to) ||
        equal_ignoring_case(name, options.forward_dead_letters_to)) {
        return bad(name, "it cannot forward to itself");
    }
    return {};
}

std::string dead_letter_queue_of(std::string_view entity) {
    return std::string(entity) + "/$DeadLetterQueue";
}

std::string subscription_path(std::string_view topic, std::string_view subscription) {
    return std::string(topic) + std::string(kSubscriptions) + std::string(subscription);
}

}  // namespace millrace::broker
