#include "broker/sessions.hpp"

namespace millrace::broker {

std::uint32_t Sessions::intern(std::string_view id) {
    const auto known = numbers_.find(id);
    if (known != numbers_.end()) return known->second;
    if (free_.empty()) {
        table_.emplace_back();
        in_use_.push_back(false);
        free_.push_back(static_cast<std::uint32_t>(table_.size()));
    }
    const std::uint32_t number = free_.back();
    free_.pop_back();
    in_use_[number - 1] = true;
    Session& session = table_[number - 1];
    session.id = id;
    numbers_.emplace(session.id, number);
    return number;
}

std::optional<std::uint32_t> Sessions::find(std::string_view id) const {
    const auto known = numbers_.find(id);
    if (known == numbers_.end()) return std::nullopt;
    return known->second;
}

std::vector<std::string> Sessions::ids(const std::optional<std::string>& after, std::size_t most) const {
    std::vector<std::string> some;
    auto next = after ? numbers_.upper_bound(*after) : numbers_.begin();
    for (; next != numbers_.end() && some.size() < most; ++next) {
        if (table_[next->second - 1].messages > 0) some.emplace_back(next->first);
    }
    return some;
}

void Sessions::update(std::uint32_t number) {
    // Freed already, by an update on the way here.
    if (!in_use_[number - 1]) return;
    Session& session = table_[number - 1];
    const std::int64_t key = session.nonce != 0 ? -1 : session.first_ready().value_or(-1);
    if (key != session.listed) {
        if (session.listed != -1) available_.erase({session.listed, number});
        if (key != -1) available_.emplace(key, number);
        session.listed = key;
    }
    if (session.messages != 0 || session.nonce != 0 || !session.receivers.empty()) return;
    numbers_.erase(session.id);
    session = Session{};
    in_use_[number - 1] = false;
    free_.push_back(number);
}

}  // namespace millrace::broker
