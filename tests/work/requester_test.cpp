#include "work/requester.hpp"

#include "base/ids.hpp"

#include <gtest/gtest.h>

namespace millrace::work {
namespace {

TEST(Requester, IsWrittenAndReadAgain) {
    broker::Message message;
    set_requester(message, {"acme", true});
    EXPECT_EQ(requester_of(message), (Requester{"acme", true}));
    EXPECT_EQ(requester_of(broker::Message()), Requester());
}

TEST(Requester, ATenantOfAnyLengthHasAShortNameOfItsOwn) {
    const auto tenant_of = [](const std::string& tenant) {
        broker::Message message;
        message.properties[kTenantProperty] = tenant;
        return requester_of(message).tenant;
    };
    const std::string longest(kTenantBytesMax, 'a');
    EXPECT_EQ(tenant_of(longest), longest);
    EXPECT_EQ(tenant_of(longest + "b").size(), 64u);
    EXPECT_NE(tenant_of(longest + "b"), tenant_of(longest + "c"));
}

}  // namespace
}  // namespace millrace::work
