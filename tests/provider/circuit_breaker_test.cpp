#include "provider/circuit_breaker.hpp"

#include <gtest/gtest.h>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include <deque>

namespace millrace::provider {
namespace {

using std::chrono::seconds;

/// Answers when the test says so.
class Service final : public Provider {
  public:
    explicit Service(asio::any_io_executor io) : told_(io) {}
    const ModelInfo& model() const noexcept override { return model_; }
    asio::awaitable<Outcome<Embeddings>> embed(std::vector<std::string>, CallContext) override {
        auto answering = answer<Embeddings>();
        co_return co_await std::move(answering);
    }
    asio::awaitable<Outcome<Completion>> complete(CompletionRequest, CallContext) override {
        auto answering = answer<Completion>();
        co_return co_await std::move(answering);
    }
    asio::awaitable<Outcome<RawAnswer>> call(RawRequest, CallContext) override {
        auto answering = answer<RawAnswer>();
        co_return co_await std::move(answering);
    }
    void tell(std::optional<Failure> failure) {
        answers.push_back(std::move(failure));
        told_.notify();
    }

    int calls = 0;
    std::deque<std::optional<Failure>> answers;

  private:
    template <class T>
    asio::awaitable<Outcome<T>> answer() {
        calls += 1;
        while (answers.empty()) co_await told_.wait();
        const std::optional<Failure> failure = answers.front();
        answers.pop_front();
        if (failure) co_return *failure;
        co_return T();
    }

    ModelInfo model_;
    Signal told_;
};

class CircuitBreakerTest : public testing::Test {
  protected:
    /// Lets every call end that a test has left waiting.
    ~CircuitBreakerTest() override {
        breaker_.stop();
        for (int i = 0; i < 10; ++i) tell(std::nullopt);
    }
    void call() {
        auto keep = [this](std::exception_ptr, Outcome<Embeddings> outcome) {
            ended_.push_back(outcome ? "ok" : name(outcome.error().kind));
        };
        asio::co_spawn(io_, breaker_.embed({"text"}, {}), std::move(keep));
        turn();
    }
    /// A search, whose outcome is put behind the others.
    void search(FailFast& fast) {
        auto keep = [this](std::exception_ptr, Outcome<Embeddings> outcome) {
            ended_.push_back(outcome ? "ok" : name(outcome.error().kind));
        };
        asio::co_spawn(io_, fast.embed({"query"}, {}), std::move(keep));
        turn();
    }
    void turn() {
        io_.restart();
        io_.poll();
    }
    void advance(Duration time) {
        clock_.advance(time);
        turn();
    }
    void tell(std::optional<Failure> failure) {
        service_.tell(std::move(failure));
        turn();
    }
    /// Calls that fail one after the other until the breaker opens.
    void bring_down() {
        for (int i = 0; i < CircuitBreaker::kFailuresToOpen; ++i) {
            service_.tell(kDown);
            call();
        }
        ended_.clear();
    }
    static std::string name(FailureKind kind) {
        switch (kind) {
            case FailureKind::throttled: return "throttled";
            case FailureKind::transient: return "transient";
            case FailureKind::rejected: return "rejected";
            case FailureKind::content_filtered: return "filtered";
            case FailureKind::refused: return "refused";
            case FailureKind::cut_off: return "cut off";
            case FailureKind::held: return "held";
            case FailureKind::unavailable: break;
        }
        return "unavailable";
    }
    using Names = std::vector<std::string>;

    inline static const Failure kDown{FailureKind::transient, 503, "down", {}};

    asio::io_context io_;
    ManualClock clock_;
    Service service_{io_.get_executor()};
    CircuitBreaker breaker_{io_.get_executor(), service_, clock_};
    Names ended_;
};

TEST_F(CircuitBreakerTest, OpensAfterFailuresInARowAndHoldsCallsBack) {
    bring_down();
    EXPECT_TRUE(breaker_.open());
    const int before = service_.calls;
    call();
    call();
    EXPECT_EQ(service_.calls, before);
    EXPECT_EQ(breaker_.waiting(), 2u);
}

TEST_F(CircuitBreakerTest, OneProbeGoesAheadAndItsSuccessLetsAllGo) {
    bring_down();
    const int before = service_.calls;
    for (int i = 0; i < 3; ++i) call();
    advance(seconds(1));
    EXPECT_EQ(service_.calls, before + 1);
    tell(std::nullopt);
    EXPECT_FALSE(breaker_.open());
    EXPECT_EQ(service_.calls, before + 3);
    tell(std::nullopt);
    tell(std::nullopt);
    EXPECT_EQ(ended_, (Names{"ok", "ok", "ok"}));
    EXPECT_EQ(breaker_.waiting(), 0u);
}

TEST_F(CircuitBreakerTest, AFailedProbeDoublesThePauseUpToAMinute) {
    bring_down();
    for (const Duration bound : {seconds(1), seconds(2), seconds(4), seconds(8), seconds(16), seconds(32),
                                 seconds(60), seconds(60)}) {
        const int before = service_.calls;
        call();
        advance(bound / 2 - Duration(1));
        EXPECT_EQ(service_.calls, before) << "sooner than half of " << bound.count() << " ms";
        advance(bound / 2 + Duration(1));
        EXPECT_EQ(service_.calls, before + 1) << "later than " << bound.count() << " ms";
        tell(kDown);
    }
}

TEST_F(CircuitBreakerTest, AThrottledCallHoldsAllForAsLongAsItWasAsked) {
    service_.tell(Failure{FailureKind::throttled, 429, "slow down", seconds(30)});
    call();
    EXPECT_EQ(ended_, Names{"throttled"});
    call();
    advance(seconds(29));
    EXPECT_EQ(service_.calls, 1);
    advance(seconds(1));
    EXPECT_EQ(service_.calls, 2);
}

TEST_F(CircuitBreakerTest, ALateSuccessOfAnEarlierCallDoesNotEndTheHold) {
    call();
    call();
    tell(Failure{FailureKind::throttled, 429, "slow down", seconds(30)});
    tell(std::nullopt);
    EXPECT_EQ(ended_, (Names{"throttled", "ok"}));
    EXPECT_TRUE(breaker_.open());
    call();
    advance(seconds(29));
    EXPECT_EQ(service_.calls, 2);
    advance(seconds(1));
    EXPECT_EQ(service_.calls, 3);
}

TEST_F(CircuitBreakerTest, AskedToWaitForNoTimeItTakesItsOwn) {
    service_.tell(Failure{FailureKind::throttled, 429, "slow down", Duration(0)});
    call();
    call();
    EXPECT_EQ(service_.calls, 1);
    advance(seconds(1));
    EXPECT_EQ(service_.calls, 2);
}

TEST_F(CircuitBreakerTest, FailuresAreTheServicesOwnWhereNoOtherCallSucceeds) {
    service_.tell(kDown);
    call();
    EXPECT_EQ(ended_, Names{"unavailable"});
}

TEST_F(CircuitBreakerTest, FailuresBesideSuccessesAreTheInputs) {
    service_.tell(std::nullopt);
    call();
    service_.tell(kDown);
    call();
    EXPECT_EQ(ended_, (Names{"ok", "transient"}));
    advance(CircuitBreaker::kProof + Duration(1));
    service_.tell(kDown);
    call();
    EXPECT_EQ(ended_, (Names{"ok", "transient", "unavailable"}));
}

TEST_F(CircuitBreakerTest, ARefusalIsAnAnswerOfAServiceThatIsUp) {
    bring_down();
    call();
    advance(seconds(1));
    tell(Failure{FailureKind::rejected, 400, "too long", {}});
    EXPECT_EQ(ended_, Names{"rejected"});
    EXPECT_FALSE(breaker_.open());
}

TEST_F(CircuitBreakerTest, ACallerThatCannotWaitIsToldAtOnceThatTheServiceIsDown) {
    FailFast fast(breaker_, service_, seconds(10));
    service_.tell(std::nullopt);
    search(fast);
    bring_down();
    const int before = service_.calls;
    search(fast);
    EXPECT_EQ(ended_, Names{"unavailable"});
    EXPECT_EQ(service_.calls, before);
}

TEST_F(CircuitBreakerTest, AfterThePauseACallerThatCannotWaitIsTheProbeThoughThereIsNoOtherWork) {
    FailFast fast(breaker_, service_, seconds(10));
    bring_down();
    const int before = service_.calls;
    advance(seconds(1));
    search(fast);
    EXPECT_EQ(service_.calls, before + 1);
    search(fast);
    EXPECT_EQ(ended_, Names{"unavailable"}) << "while it probes others are told at once";
    tell(std::nullopt);
    EXPECT_EQ(ended_, (Names{"unavailable", "ok"}));
    EXPECT_FALSE(breaker_.open());
    service_.tell(std::nullopt);
    search(fast);
    EXPECT_EQ(ended_, (Names{"unavailable", "ok", "ok"}));
}

TEST_F(CircuitBreakerTest, AProbeOfACallerThatCannotWaitHoldsCallsAgainWhereItFails) {
    FailFast fast(breaker_, service_, seconds(10));
    bring_down();
    advance(seconds(1));
    service_.tell(kDown);
    search(fast);
    const int before = service_.calls;
    search(fast);
    EXPECT_EQ(ended_, (Names{"unavailable", "unavailable"}));
    EXPECT_EQ(service_.calls, before);
    advance(seconds(2));
    search(fast);
    EXPECT_EQ(service_.calls, before + 1);
    breaker_.stop();
    search(fast);
    EXPECT_EQ(service_.calls, before + 1) << "the process ends";
    tell(kDown);
}

TEST_F(CircuitBreakerTest, AProbeThatIsGivenUpLetsTheNextCallProbe) {
    FailFast fast(breaker_, service_, Duration(1));
    bring_down();
    advance(seconds(1));
    const int before = service_.calls;
    search(fast);
    io_.restart();
    io_.run();
    EXPECT_EQ(service_.calls, before + 1);
    EXPECT_EQ(ended_, Names{"unavailable"});
    service_.tell(std::nullopt);
    call();
    EXPECT_EQ(ended_, (Names{"unavailable", "ok"}));
    EXPECT_FALSE(breaker_.open());
}

TEST_F(CircuitBreakerTest, ACallerThatCannotWaitGivesUpOnAServiceThatHangs) {
    FailFast fast(breaker_, service_, Duration(1));
    std::string detail;
    auto keep = [&](std::exception_ptr, Outcome<Embeddings> outcome) { detail = outcome.error().detail; };
    asio::co_spawn(io_, fast.embed({"query"}, {}), std::move(keep));
    io_.restart();
    io_.run();
    EXPECT_TRUE(detail.starts_with("no answer within")) << detail;
}

TEST_F(CircuitBreakerTest, EveryKindOfCallIsHeldBackAndLetGoTogether) {
    bring_down();
    const int before = service_.calls;
    const auto keep = [this](std::exception_ptr, auto outcome) {
        ended_.push_back(outcome ? "ok" : name(outcome.error().kind));
    };
    CompletionRequest question;
    question.input = "text";
    RawRequest raw;
    asio::co_spawn(io_, breaker_.complete(question, {}), keep);
    asio::co_spawn(io_, breaker_.call(raw, {}), keep);
    call();
    EXPECT_EQ(breaker_.waiting(), 3u);
    EXPECT_EQ(service_.calls, before);
    advance(seconds(1));
    for (int i = 0; i < 3; ++i) tell(std::nullopt);
    EXPECT_EQ(ended_, (Names{"ok", "ok", "ok"}));
}

TEST_F(CircuitBreakerTest, AStopEndsTheWait) {
    bring_down();
    call();
    breaker_.stop();
    turn();
    EXPECT_EQ(ended_, Names{"throttled"});
    call();
    EXPECT_EQ(ended_, (Names{"throttled", "throttled"}));
}

}  // namespace
}  // namespace millrace::provider
