// Values and frame bodies of AMQP 1.0 as a peer may write them.
#include "amqp/performatives.hpp"
#include "fuzz/fuzz.hpp"

namespace millrace::fuzz {
namespace {

using namespace amqp;

constexpr int kBytesOfValueMax = 64;  ///< memory that one byte may become, about

std::size_t count(const Value& value) {
    std::size_t all = 1;
    if (const auto* list = value.as<List>()) {
        for (const Value& one : list->items) all += count(one);
    } else if (const auto* map = value.as<Map>()) {
        for (const auto& [key, held] : map->entries) all += count(key) + count(held);
    } else if (const auto* array = value.as<Array>()) {
        for (const Value& one : array->items) all += count(one);
    } else if (const auto* described = value.as<Described>()) {
        all += count(*described->descriptor) + count(*described->value);
    }
    return all;
}

Map some_map() {
    Map map;
    map.set("text", std::string(300, 'x'));
    map.set_symbol("numbers", List{{std::uint8_t{1}, std::int64_t{-1}, 1.5, char32_t{'x'}, Uuid{}, Null{}}});
    map.set("array", Array{0x81, {std::int64_t{1}, std::int64_t{2}}});
    map.set("symbols", Array{0xb3, {Symbol{"a"}, Symbol{"b"}}});
    map.set("described", described(0x13700000006, List{{std::string("1=1"), true}}));
    return map;
}

void check_value(std::string_view input) {
    Reader skipping(input);
    const std::string_view skipped = skipping.skip();
    require(skipped.size() <= input.size(), "no more is skipped than there is");
    Reader reader(input);
    const Value value = reader.value();
    if (reader.failed()) return;
    require(!skipping.failed() && skipping.position() == reader.position(), "skipping and reading agree");
    const std::size_t values = count(value);
    require(values <= kValuesMax + 1 && values <= reader.position() * kBytesOfValueMax, "values are bounded");
    const std::string bytes = encode(value);
    const auto again = decode(bytes);
    require(again.has_value() && encode(*again) == bytes, "decoding and encoding agree");
}

void check_performative(std::string_view input) {
    Reader reader(input);
    const Performative performative = read_performative(reader);
    if (reader.failed()) {
        require(reader.problem()[0] != '\0', "a failure has a reason");
        return;
    }
    std::string bytes;
    append(bytes, performative);
    Reader again(bytes);
    const Performative same = read_performative(again);
    require(!again.failed() && again.at_end(), "what is written is read");
    std::string twice;
    append(twice, same);
    require(twice == bytes, "reading and writing agree");
}

}  // namespace

std::vector<std::string> seeds() {
    Condition error{"amqp:not-found", "no such", some_map()};
    Attach attach;
    attach.name = "name";
    attach.source = Source{.address = "a", .filter = some_map(), .capabilities = {"queue"}};
    attach.target = Target{.address = "b", .expiry_policy = "never"};
    attach.properties = some_map();
    const Performative all[] = {
        Open{"c", "h", 512, 7, 1000, some_map()},
        Begin{std::uint16_t{1}, 2, 3, 4, 5, some_map()},
        attach,
        Attach{.target = Target{.coordinator = true}},
        Flow{1, 2, 3, 4, 5, 6, 7, 8, true, true},
        Transfer{1, 2, "tag", 3, true, true, Received{1, 2}, true},
        Disposition{true, 1, 9, true, Modified{true, true, some_map()}},
        Disposition{true, 1, 9, true, Rejected{error}},
        Detach{1, true, error},
        End{error},
        Close{},
        SaslMechanisms{{"PLAIN", "ANONYMOUS"}},
        SaslInit{"PLAIN", "r", "h"},
        SaslOutcome{1},
    };
    std::vector<std::string> bytes = {encode(some_map()), encode(Array{0xd1, {some_map()}})};
    for (const Performative& one : all) append(bytes.emplace_back(), one);
    return bytes;
}

void check(std::string_view input) {
    check_value(input);
    check_performative(input);
}

}  // namespace millrace::fuzz
