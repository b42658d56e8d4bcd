// Stored message properties that a damaged disk may hold, and queries that a person may type.
#include "broker/codec.hpp"
#include "fuzz/fuzz.hpp"
#include "index/keyword.hpp"

namespace millrace::fuzz {

std::vector<std::string> seeds() {
    broker::Message message;
    message.correlation_id = "c";
    message.subject = "s";
    message.time_to_live = std::chrono::seconds(5);
    message.properties = {
        {"a", std::int64_t(-1)}, {"b", 1.5}, {"c", std::string("x")}, {"d", true}, {"e", {}}};
    return {
        broker::encode_properties(message, {}),
        broker::encode_properties({}, {.enqueued_sequence = 77, .dead_letter_source = "orders"}),
        "how do I \"quote\" NEAR(a b) AND -c OR col:x*",
    };
}

void check(std::string_view input) {
    broker::Message message;
    broker::Origin origin;
    if (broker::decode_properties(input, message, origin)) {
        broker::Message again;
        broker::Origin origin_again;
        const auto bytes = broker::encode_properties(message, origin);
        require(broker::decode_properties(bytes, again, origin_again).has_value(),
                "what is encoded is decoded");
        require(broker::encode_properties(again, origin_again) == bytes, "decoding and encoding agree");
    }
    const auto words = index::query_words(input);
    require(words.size() <= index::kQueryWordsMax, "a query has not too many words");
    for (const bool all : {true, false}) {
        require(words.empty() == index::match_expression(words, all).empty(), "words make an expression");
    }
}

}  // namespace millrace::fuzz
