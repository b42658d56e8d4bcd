#include "broker/body.hpp"

#include <cstdint>
#include <optional>
#include <string_view>

namespace millrace::broker {

namespace {

constexpr std::uint64_t kData = 0x75, kSequence = 0x76, kAmqpValue = 0x77;
constexpr int kNestingMax = 16;

struct SectionName {
    std::string_view symbol;
    std::uint64_t code;
};
// Descriptors may be written by name.
constexpr SectionName kSectionNames[] = {
    {"amqp:data:binary", kData}, {"amqp:amqp-sequence:list", kSequence}, {"amqp:amqp-value:*", kAmqpValue}};

Error refused(const char* why) {
    return Error{Errc::invalid_input, std::string("the message's body is ") + why};
}

/// Walks over encoded values (AMQP 1.0, part 1, 1.2). After a failure every step answers nothing.
class Walker {
  public:
    explicit Walker(std::string_view bytes) : rest_(bytes) {}

    bool at_end() const noexcept { return rest_.empty(); }
    std::size_t left() const noexcept { return rest_.size(); }
    bool failed() const noexcept { return failed_; }

    /// True if the next value has a descriptor.
    bool described() const noexcept { return !rest_.empty() && rest_[0] == '\0'; }

    /// A value that has no descriptor: its constructor and the bytes that it holds, without their size.
    struct Plain {
        std::uint8_t code = 0;
        std::string_view content;
    };
    Plain plain() {
        const std::uint8_t code = byte();
        // The upper half of a constructor says how large the value is (part 1, 1.2.2).
        const int width = code >> 4;
        switch (width) {
            case 0x4: return {code, {}};
            case 0x5:
            case 0x6:
            case 0x7:
            case 0x8:
            case 0x9: return {code, take(std::uint64_t{1} << (width - 5))};
            case 0xa:
            case 0xc:
            case 0xe: return {code, take(number(1))};
            case 0xb:
            case 0xd:
            case 0xf: return {code, take(number(4))};
            default: failed_ = true; return {};
        }
    }

    /// The descriptor of a section; 0 for one that is no part of a body.
    std::uint64_t section() {
        if (byte() != 0) failed_ = true;
        const Plain descriptor = plain();
        if (descriptor.code == 0x44 || descriptor.code == 0x53 || descriptor.code == 0x80) {
            return number_in(descriptor.content);
        }
        for (const SectionName& name : kSectionNames) {
            if (name.symbol == descriptor.content) return name.code;
        }
        return 0;
    }

    /// Passes over a value, described or not.
    void skip() {
        for (int depth = 0; !failed_ && described(); ++depth) {
            byte();
            plain();
            if (depth == kNestingMax) failed_ = true;
        }
        plain();
    }

  private:
    static std::uint64_t number_in(std::string_view bytes) {
        std::uint64_t number = 0;
        for (const char c : bytes) number = number << 8 | static_cast<std::uint8_t>(c);
        return number;
    }
    std::uint64_t number(std::size_t bytes) { return number_in(take(bytes)); }
    std::uint8_t byte() { return static_cast<std::uint8_t>(number(1)); }
    std::string_view take(std::uint64_t bytes) {
        if (failed_ || bytes > rest_.size()) {
            failed_ = true;
            rest_ = {};
            return {};
        }
        const std::string_view taken = rest_.substr(0, bytes);
        rest_.remove_prefix(bytes);
        return taken;
    }

    std::string_view rest_;
    bool failed_ = false;
};

bool is_null(std::uint8_t code) { return code == 0x40; }
bool is_binary(std::uint8_t code) { return code == 0xa0 || code == 0xb0; }
bool is_text(std::uint8_t code) { return code == 0xa1 || code == 0xb1; }

}  // namespace

Result<std::string> plain_body(const Message& message) {
    if (message.body_format == kPlainBody) return message.body;
    std::string content;
    Walker walker(message.body);
    while (!walker.at_end() && !walker.failed()) {
        const std::uint64_t section = walker.section();
        if (section == kSequence) return refused("an AMQP sequence, not bytes or text");
        if (section != kData && section != kAmqpValue) {
            walker.skip();
            continue;
        }
        if (walker.described()) return refused("an AMQP value that is neither bytes nor text");
        const Walker::Plain value = walker.plain();
        if (walker.failed()) break;
        const bool fits = is_binary(value.code) || (section == kAmqpValue && is_text(value.code));
        if (!fits && !(section == kAmqpValue && is_null(value.code))) {
            return refused("an AMQP value that is neither bytes nor text");
        }
        content += value.content;
    }
    if (walker.failed()) return refused("not made of whole AMQP sections");
    return content;
}

std::string_view sections_before_body(std::string_view sections) {
    Walker walker(sections);
    std::size_t end = 0;
    while (!walker.at_end()) {
        const std::uint64_t section = walker.section();
        if (section == kData || section == kSequence || section == kAmqpValue) break;
        walker.skip();
        if (walker.failed()) break;
        end = sections.size() - walker.left();
    }
    return sections.substr(0, end);
}

}  // namespace millrace::broker
