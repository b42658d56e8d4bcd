#include "amqp/address.hpp"

#include <algorithm>
#include <optional>

namespace millrace::amqp {

namespace {

int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

/// Percent-encoding that is broken stays as it is.
std::string percent_decoded(std::string_view text) {
    std::string decoded;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const int high = text[i] == '%' && i + 2 < text.size() ? hex_digit(text[i + 1]) : -1;
        const int low = high < 0 ? -1 : hex_digit(text[i + 2]);
        if (low < 0) {
            decoded.push_back(text[i]);
            continue;
        }
        decoded.push_back(static_cast<char>(high * 16 + low));
        i += 2;
    }
    return decoded;
}

/// Takes `suffix`, which is in lower case, off the end of `text`; false if it is not there.
bool strip(std::string& text, std::string_view suffix) {
    if (text.size() < suffix.size()) return false;
    const auto same = [](char a, char b) { return (a >= 'A' && a <= 'Z' ? a - 'A' + 'a' : a) == b; };
    if (!std::equal(text.end() - static_cast<std::ptrdiff_t>(suffix.size()), text.end(), suffix.begin(),
                    same))
        return false;
    text.resize(text.size() - suffix.size());
    return true;
}

}  // namespace

Address parse_address(std::string_view text) {
    if (const std::size_t scheme = text.find("://"); scheme != std::string_view::npos) {
        const std::size_t path = text.find('/', scheme + 3);
        text = path == std::string_view::npos ? std::string_view() : text.substr(path);
    }
    if (text.starts_with('/')) text.remove_prefix(1);
    Address address{Node::entity, percent_decoded(text)};
    if (std::string whole = address.entity; strip(whole, "$cbs") && whole.empty()) return {Node::tokens, {}};
    if (strip(address.entity, "/$management")) address.node = Node::management;
    if (strip(address.entity, "/$transfer/$deadletterqueue")) address.entity += "/$DeadLetterQueue";
    return address;
}

}  // namespace millrace::amqp
