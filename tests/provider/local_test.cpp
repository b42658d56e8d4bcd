#include "provider/local.hpp"

#include "provider/feature_hash.hpp"
#include "provider/local_batch.hpp"
#include "tests/provider/provider_contract.hpp"
#include "tests/support/temporary_directory.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>

#include <atomic>
#include <filesystem>
#include <mutex>
#include <random>
#include <set>

namespace millrace::provider {

struct LocalWorld {
    asio::io_context io;
    CpuPool pool{2};
    std::unique_ptr<Provider> local = std::move(make_local(pool, MILLRACE_ASSETS).value());

    Provider& provider() { return *local; }
};

struct LocalHashWorld {
    asio::io_context io;
    CpuPool pool{2};
    std::unique_ptr<Provider> local = make_local_hash(pool);

    Provider& provider() { return *local; }
};

INSTANTIATE_TYPED_TEST_SUITE_P(Local, ProviderContract, LocalWorld);
INSTANTIATE_TYPED_TEST_SUITE_P(LocalHash, ProviderContract, LocalHashWorld);

namespace {

std::vector<std::vector<float>> embed_all(Provider& provider, asio::io_context& io,
                                          std::vector<std::string> texts) {
    return run(io, provider.embed(std::move(texts))).value().vectors;
}

/// Texts of many lengths, the same in every run.
std::vector<std::string> various_texts(std::size_t count) {
    const char* words[] = {"queue",  "message", "LOCK", "the", "expires",
                           "Straße", "vector",  "of",   "42",  "日本語"};
    std::mt19937 random(7);
    std::vector<std::string> texts(count);
    for (std::string& text : texts) {
        const std::size_t length = 1 + random() % 120;
        for (std::size_t i = 0; i < length; ++i)
            text += std::string(words[random() % 10]) + (i % 9 == 8 ? ". " : " ");
    }
    return texts;
}

TEST(Local, NamesItsModelsForWhatTheyAre) {
    LocalWorld local;
    EXPECT_EQ(local.provider().model().name, "local-use-hash-1024");
    EXPECT_EQ(local.provider().model().dimensions, 1024u);
    LocalHashWorld hash;
    EXPECT_EQ(hash.provider().model().name, "local-hash-1024");
    EXPECT_EQ(hash.provider().model().dimensions, 1024u);
}

template <class World>
void expect_the_same_bits_in_any_company() {
    World world;
    const auto texts = various_texts(70);
    const auto together = embed_all(world.provider(), world.io, texts);
    for (std::size_t i = 0; i < texts.size(); i += 7) {
        EXPECT_EQ(embed_all(world.provider(), world.io, {texts[i]}).front(), together[i]) << texts[i];
    }
    auto reversed = texts;
    std::reverse(reversed.begin(), reversed.end());
    auto backwards = embed_all(world.provider(), world.io, reversed);
    std::reverse(backwards.begin(), backwards.end());
    EXPECT_EQ(backwards, together);
}

TEST(Local, GivesTheSameBitsInAnyCompany) { expect_the_same_bits_in_any_company<LocalWorld>(); }
TEST(LocalHash, GivesTheSameBitsInAnyCompany) { expect_the_same_bits_in_any_company<LocalHashWorld>(); }

TEST(Local, FindsParaphrasesThatShareNoWords) {
    struct Case {
        const char *query, *paraphrase, *unrelated;
    };
    const Case cases[] = {
        {"How do I change my password?", "Resetting login credentials", "The harvest of apples was good"},
        {"cheap places to stay overnight", "Budget hotels and hostels", "A theorem about prime numbers"},
        {"company earnings fell sharply", "The firm's profits dropped a lot",
         "Children were singing in the choir"},
        {"the film was boring", "I fell asleep during that dull movie", "Install the package with apt"},
        {"airplane ticket reservation", "Booking a flight", "Lungs of mammals and birds"},
        {"ways to lose weight", "Tips for getting slimmer by diet", "Configure the proxy before the server"},
    };
    LocalWorld world;
    for (const Case& c : cases) {
        const auto vectors = embed_all(world.provider(), world.io, {c.query, c.paraphrase, c.unrelated});
        EXPECT_GT(dot_product(vectors[0], vectors[1]), dot_product(vectors[0], vectors[2]) + 0.05) << c.query;
    }
}

TEST(Local, ReadsWordsInCapitalsAsOrdinaryOnes) {
    LocalWorld world;
    const auto vectors =
        embed_all(world.provider(), world.io,
                  {"THE SERVER REFUSED: ERROR-CODE E5, RETRY", "the server refused: error-code E5, retry",
                   "McDonald and iPhone at the USA", "mcdonald and iphone at the usa"});
    EXPECT_EQ(vectors[0], vectors[1]);
    EXPECT_NE(vectors[2], vectors[3]);  // mixed case stays: it tells names
}

TEST(Local, CountsThePiecesAndTheWordsItRead) {
    LocalWorld local;
    std::string long_text;
    for (int i = 0; i < 129; ++i) long_text += "the ";
    EXPECT_EQ(run(local.io, local.provider().embed({"The quick brown fox jumps over the lazy dog."}))
                  ->usage.prompt_tokens,
              12);
    EXPECT_EQ(run(local.io, local.provider().embed({long_text, "a"}))->usage.prompt_tokens, 129);
    LocalHashWorld hash;
    EXPECT_EQ(run(hash.io, hash.provider().embed({"three short words", "and two"}))->usage.prompt_tokens, 5);
}

TEST(Local, RefusesATextThatIsTooLong) {
    LocalHashWorld world;
    const auto refused = run(world.io, world.provider().embed({"a", std::string((1 << 20) + 1, 'x')}));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, FailureKind::rejected);
    EXPECT_THAT(refused.error().detail, testing::HasSubstr("1048577 bytes"));
    EXPECT_TRUE(run(world.io, world.provider().embed({std::string(1 << 20, 'x')})));
}

TEST(Local, TakesAnyBytes) {
    LocalWorld world;
    const std::vector<std::string> texts = {"\xff\xfe",
                                            "\xe2\x80",
                                            std::string(3, '\0'),
                                            "\xf0\x9f\x99\x82",
                                            std::string(100'000, 'x'),
                                            std::string(20'000, '\xc3')};
    for (const auto& vector : embed_all(world.provider(), world.io, texts)) {
        EXPECT_NEAR(dot_product(vector, vector), 1, 1e-4);
    }
}

TEST(Local, SaysWhichFileIsMissingAndWhatToDo) {
    CpuPool pool(1);
    const test::TemporaryDirectory empty;
    const auto none = make_local(pool, empty.path());
    ASSERT_FALSE(none);
    EXPECT_EQ(none.error().code, Errc::not_found);
    EXPECT_THAT(none.error().detail, testing::HasSubstr("use_lite.weights"));
    EXPECT_THAT(none.error().detail, testing::HasSubstr("tools/fetch_assets.py"));
}

// ---------------------------------------------------------------------------------------------------- turns

struct Turns {
    asio::io_context io;
    CpuPool pool{2};
    std::mutex mutex;
    std::multiset<std::size_t> sizes;

    std::shared_ptr<const EmbedTexts> counting() {
        auto count = [this](std::span<const std::string> texts, std::span<std::vector<float>> vectors) {
            const std::lock_guard lock(mutex);
            sizes.insert(texts.size());
            for (std::size_t i = 0; i < texts.size(); ++i) vectors[i] = {static_cast<float>(texts[i].size())};
            return static_cast<std::int64_t>(10 * texts.size());
        };
        return std::make_shared<const EmbedTexts>(count);
    }
};

TEST(LocalBatch, CutsACallIntoTurnsAndPutsThemTogether) {
    Turns turns;
    std::vector<std::string> inputs;
    for (std::size_t i = 1; i <= 11; ++i) inputs.push_back(std::string(i, 'x'));
    const auto embeddings = run(turns.io, embed_in_turns(turns.pool, turns.counting(), inputs, 4));
    EXPECT_EQ(turns.sizes, (std::multiset<std::size_t>{3, 4, 4}));
    EXPECT_EQ(embeddings.usage.prompt_tokens, 110);
    ASSERT_EQ(embeddings.vectors.size(), 11u);
    for (std::size_t i = 0; i < 11; ++i) EXPECT_EQ(embeddings.vectors[i].front(), static_cast<float>(i + 1));
}

TEST(LocalBatch, PassesOnWhatATurnThrowsAndStopsThere) {
    Turns turns;
    std::atomic<int> calls = 0;
    auto fail = [&](auto, auto) -> std::int64_t {
        if (++calls >= 3) throw MachineError("out of memory");
        return 0;
    };
    const auto failing = std::make_shared<const EmbedTexts>(fail);
    const std::vector<std::string> inputs(100'000, "x");
    EXPECT_THROW(run(turns.io, embed_in_turns(turns.pool, failing, inputs, 1)), MachineError);
    turns.pool.stop();  // a turn of the other lane may still run
    EXPECT_LT(calls, 100'000);
}

TEST(LocalBatch, LetsOtherWorkOfThePoolInBetweenTurns) {
    Turns turns;
    CpuPool pool(1);
    std::vector<std::string> order;
    auto turn = [&](auto, auto) -> std::int64_t {
        order.push_back("turn");
        return 0;
    };
    const std::vector<std::string> inputs(50, "x");
    auto batch = [&]() -> asio::awaitable<int> {
        co_await embed_in_turns(pool, std::make_shared<const EmbedTexts>(turn), inputs, 1);
        co_return 0;
    };
    auto other = [&]() -> asio::awaitable<void> {
        auto note = [&] { order.push_back("other"); };
        co_await pool.run(note);
    };
    asio::co_spawn(turns.io, other(), [](std::exception_ptr) {});
    run(turns.io, batch());
    const auto place = std::find(order.begin(), order.end(), "other") - order.begin();
    EXPECT_LE(place, 2);
    EXPECT_EQ(order.size(), 51u);
}

TEST(LocalBatch, DropsTheRestOfACancelledCall) {
    Turns turns;
    std::atomic<int> calls = 0;
    asio::cancellation_signal cancel;
    auto turn = [&](auto, auto) -> std::int64_t {
        if (++calls == 2) asio::post(turns.io, [&] { cancel.emit(asio::cancellation_type::all); });
        return 0;
    };
    auto embed_texts = std::make_shared<const EmbedTexts>(turn);
    const std::vector<std::string> inputs(100'000, "x");
    bool cancelled = false;
    auto on_end = [&](std::exception_ptr failure, const Embeddings&) { cancelled = failure != nullptr; };
    asio::co_spawn(turns.io, embed_in_turns(turns.pool, embed_texts, inputs, 1),
                   asio::bind_cancellation_slot(cancel.slot(), on_end));
    turns.io.run();
    EXPECT_TRUE(cancelled);
    EXPECT_LT(calls, 100'000);
    EXPECT_EQ(embed_texts.use_count(), 1);
}

}  // namespace
}  // namespace millrace::provider
