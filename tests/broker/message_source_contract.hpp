// What every MessageSource must do. A test program includes this file and instantiates the suite once per
// engine: INSTANTIATE_TEST_SUITE_P(Embedded, MessageSourceContract, testing::Values(make_embedded));
#pragma once

#include "tests/broker/contract/dead_letters.hpp"
#include "tests/broker/contract/fixture.hpp"
#include "tests/broker/contract/receiving.hpp"
#include "tests/broker/contract/sending.hpp"
#include "tests/broker/contract/sessions.hpp"
#include "tests/broker/contract/settling.hpp"
#include "tests/broker/contract/timing.hpp"
#include "tests/broker/contract/topics.hpp"
