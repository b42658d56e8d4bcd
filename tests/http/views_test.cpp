#include "http/views.hpp"

#include <gtest/gtest.h>
#include <boost/json/serialize.hpp>

namespace millrace::http {
namespace {

TEST(Views, ShowPropertiesOfEveryType) {
    broker::Delivery delivery;
    delivery.message.properties = {
        {"null", broker::Value()},
        {"uint", broker::Encoded{"\x52\x07"}},
        {"symbol", broker::Encoded{"\xa3\x02hi"}},
        {"list", broker::Encoded{std::string("\xc0\x01\x00", 3)}},
        {"text", std::string("t")},
    };
    const auto view = view_of(delivery, 100);
    EXPECT_EQ(boost::json::serialize(view.at("properties")),
              R"({"list":{"amqp":"wAEA"},"null":null,"symbol":"hi","text":"t","uint":7})");
}

TEST(Views, ShowResultsHoweverDeepTheyNest) {
    work::TaskView task;
    task.result = std::string(60, '[') + std::string(60, ']');
    EXPECT_EQ(boost::json::serialize(view_of(task).at("result")), task.result);
}

}  // namespace
}  // namespace millrace::http
