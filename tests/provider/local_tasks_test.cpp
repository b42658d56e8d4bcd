// What the local providers answer to each kind of task.
#include "provider/local.hpp"
#include "provider/local_entities.hpp"
#include "provider/local_sentiment.hpp"
#include "provider/local_summary.hpp"
#include "tests/provider/run.hpp"

#include <gtest/gtest.h>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include <algorithm>

namespace millrace::provider {
namespace {

namespace json = boost::json;

struct World {
    asio::io_context io;
    CpuPool pool{2};
    std::unique_ptr<Provider> provider = make_local_hash(pool);

    Outcome<Completion> ask(CompletionRequest request) {
        return run(io, provider->complete(std::move(request)));
    }
    Outcome<Completion> ask(const std::string& task, const std::string& input,
                            std::vector<std::string> labels = {}) {
        CompletionRequest request;
        request.task = task;
        request.input = input;
        request.labels = std::move(labels);
        return ask(std::move(request));
    }
    json::value answer(const std::string& task, const std::string& input,
                       std::vector<std::string> labels = {}) {
        return json::parse(ask(task, input, std::move(labels)).value().text);
    }
};

constexpr char kArticle[] =
    "The water mill stands at the river. A mill race carries water from the river to the wheel of the mill. "
    "My aunt once visited it. Millers regulated the flow of water in the mill race with gates, so that the "
    "wheel of the mill turned evenly in dry and in wet months. The weather was nice that day.\n\n"
    "Bread was sold on Saturdays. Today the river still drives the mill, and its wheel makes electric power "
    "from the flow of water. Cats like the place. Visitors can see the mill race and the wheel in summer. "
    "Lunch is at noon.";

TEST(LocalSummary, IsMadeOfTheSentencesThatTheTextIsAbout) {
    World world;
    const json::value answer = world.answer("summarize", kArticle);
    const std::string summary(answer.at("summary").as_string());
    EXPECT_NE(summary.find("mill"), std::string::npos);
    for (const char* aside : {"My aunt", "Cats like", "Lunch is", "Bread was"})
        EXPECT_EQ(summary.find(aside), std::string::npos) << summary;
    EXPECT_LT(summary.size(), sizeof kArticle / 2);
    EXPECT_GE(answer.at("keyPoints").as_array().size(), 3u);
    for (const json::value& point : answer.at("keyPoints").as_array())
        EXPECT_NE(std::string(kArticle).find(point.as_string().c_str()), std::string::npos) << point;
}

TEST(LocalSummary, KeepsTheTextsOrderAndItsBound) {
    const ExtractedSummary whole = extract_summary(kArticle);
    std::size_t last = 0;
    for (const std::string& point : whole.key_points) {
        const std::size_t at = std::string(kArticle).find(point);
        EXPECT_GE(at, last) << point;
        last = at;
    }
    const ExtractedSummary small = extract_summary(kArticle, 12);
    EXPECT_LE(small.summary.size(), 12u * 4);
    EXPECT_FALSE(small.summary.empty());
}

TEST(LocalSummary, DoesNotSayTheSameThingTwice) {
    const std::string again = "The reactor was shut down after the alarm in the pump hall. ";
    const ExtractedSummary summary =
        extract_summary(again + again + again +
                        "Engineers found a broken valve in the pump hall near the reactor. It rained. " +
                        "The operator will replace every valve of the same type in all reactors this year.");
    const std::size_t first = summary.summary.find("alarm");
    ASSERT_NE(first, std::string::npos);
    EXPECT_EQ(summary.summary.find("alarm", first + 1), std::string::npos) << summary.summary;
}

TEST(LocalClassification, PicksTheLabelNearestToTheText) {
    World world;
    const std::vector<std::string> labels = {"sports", "billing_question", "TechnicalProblem"};
    struct Case {
        std::string text, label;
    };
    const Case cases[] = {
        {"I was charged twice, my billing statement is wrong and I have a question about it.",
         "billing_question"},
        {"There is a technical problem: the application crashes when I log in.", "TechnicalProblem"},
        {"The team won the sports tournament after a long season of sports events.", "sports"},
    };
    for (const Case& c : cases) {
        const json::value answer = world.answer("classify", c.text, labels);
        EXPECT_EQ(answer.at("label"), json::value(c.label)) << answer;
        double sum = 0, last = 1;
        for (const json::value& one : answer.at("scores").as_array()) {
            const double score = one.at("score").to_number<double>();
            EXPECT_LE(score, last);
            sum += last = score;
        }
        EXPECT_NEAR(sum, 1, 1e-3);
        EXPECT_EQ(answer.at("scores").as_array().size(), 3u);
        EXPECT_EQ(answer.at("confidence"), answer.at("scores").at(0).at("score"));
    }
}

TEST(LocalClassification, ByMoodFollowsTheMoodOfTheText) {
    World world;
    const std::vector<std::string> labels = {"positive", "negative"};
    EXPECT_EQ(world.answer("classify", "What a wonderful, friendly place!", labels).at("label"), "positive");
    EXPECT_EQ(world.answer("classify", "Terrible. Everything was broken and dirty.", labels).at("label"),
              "negative");
}

TEST(LocalClassification, NeedsLabels) {
    World world;
    const auto refused = world.ask("classify", "text");
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, FailureKind::rejected);
}

std::string typed(const std::string& text, const std::string& name) {
    for (const FoundEntity& one : find_entities(text)) {
        if (one.text == name) return std::string(one.type) + " " + std::to_string(one.count);
    }
    return "";
}

TEST(LocalEntities, AreFoundByFormLexiconAndNeighbours) {
    struct Case {
        std::string text, name, found;
    };
    const Case cases[] = {
        {"Write to jane.doe@example.co.uk today.", "jane.doe@example.co.uk", "email 1"},
        {"See https://example.com/a?b=c, or not.", "https://example.com/a?b=c", "url 1"},
        {"It began on 2024-03-05 at noon.", "2024-03-05", "date 1"},
        {"It began on 5 March 2024.", "5 March 2024", "date 1"},
        {"It began on March 5, 2024 at noon.", "March 5, 2024", "date 1"},
        {"Es begann am 05.03.2024 in Wien.", "05.03.2024", "date 1"},
        {"Es begann am 5. M\xC3\xA4rz 2024 in Wien.", "5. M\xC3\xA4rz 2024", "date 1"},
        {"It cost $1,234.56 then.", "$1,234.56", "money 1"},
        {"It cost 5 million euros then.", "5 million euros", "money 1"},
        {"Es kostete 3,50 \xE2\x82\xAC damals.", "3,50 \xE2\x82\xAC", "money 1"},
        {"The flight to New York City and back to Paris.", "New York City", "location 1"},
        {"They met in Berlin's oldest pub.", "Berlin", "location 1"},
        {"She works at Acme Widgets Inc. in town.", "Acme Widgets Inc", "organization 1"},
        {"He studied at the University of Oxford for years.", "University of Oxford", "organization 1"},
        {"A letter from Microsoft came.", "Microsoft", "organization 1"},
        {"Yesterday Dr. Elena Petrova spoke.", "Elena Petrova", "person 1"},
        {"The book by Alan Turing is old. Turing wrote it alone. People like Turing.", "Alan Turing",
         "person 3"},
        {"In 1990 J. K. Rowling wrote.", "J. K. Rowling", "person 1"},
        {"It was Kowalczyk said to be there.", "Kowalczyk", "person 1"},
        {"We deploy with Kubernetes each day.", "Kubernetes", "other 1"},
        {"The meeting was on Monday. However, nobody came.", "However", ""},
        {"The meeting was on Monday. However, nobody came.", "Monday", ""},
        {"Bread is good. We eat bread.", "Bread", ""},
        {"How To Install The Printer Driver\n\nfirst, open the box and look.", "Printer Driver", ""},
        {"Der Hund und die Katze spielen mit der Maus. Die Sonne scheint und das Wetter ist gut.", "Katze",
         ""},
        {"\xE4\xBC\x9A\xE8\xAE\xAE\xE4\xBA\x8E"
         "2024\xE5\xB9\xB4"
         "3\xE6\x9C\x88"
         "5\xE6\x97\xA5\xE4\xB8\xBE\xE8\xA1\x8C",
         "2024\xE5\xB9\xB4"
         "3\xE6\x9C\x88"
         "5\xE6\x97\xA5",
         "date 1"},
    };
    for (const Case& c : cases) EXPECT_EQ(typed(c.text, c.name), c.found) << c.text;
}

TEST(LocalEntities, AreCountedAndTheMostFrequentComesFirst) {
    World world;
    const json::value answer =
        world.answer("entities", "Paris is large. London is larger. In Paris we met. I like Paris.");
    const json::array& entities = answer.at("entities").as_array();
    ASSERT_EQ(entities.size(), 2u) << answer;
    EXPECT_EQ(json::serialize(entities[0]), R"({"text":"Paris","type":"location","count":3})");
    EXPECT_EQ(json::serialize(entities[1]), R"({"text":"London","type":"location","count":1})");
}

TEST(LocalSentiment, HearsNegationStrengthAndBut) {
    struct Case {
        std::string text, sentiment;
    };
    const Case cases[] = {
        {"The staff was friendly and the food delicious.", "positive"},
        {"The staff was rude and the food awful.", "negative"},
        {"The train leaves at nine from platform two.", "neutral"},
        {"The food was not good.", "negative"},
        {"It isn't bad at all.", "positive"},
        {"I can't recommend this.", "negative"},
        {"The room was nice but the service was terrible and the bed broken.", "negative"},
        {"I love the screen. It is wonderful! I hate the keyboard. It is horrible!", "mixed"},
        {"Das Essen war ausgezeichnet und das Personal freundlich.", "positive"},
        {"Das Essen war leider nicht gut.", "negative"},
        {"El hotel era excelente, muy bonito.", "positive"},
        {"", "neutral"},
    };
    for (const Case& c : cases) EXPECT_EQ(judge_sentiment(c.text).sentiment, c.sentiment) << c.text;
    EXPECT_GT(judge_sentiment("It was extremely good!").score, judge_sentiment("It was good.").score);
    EXPECT_LT(judge_sentiment("It was somewhat good.").score, judge_sentiment("It was good.").score);
}

TEST(LocalSentiment, ShowsAFewSentencesWithTheirScores) {
    std::string text;
    for (int i = 0; i < 3000; ++i)
        text += i % 3 == 0 ? "This is bad. " : i % 3 == 1 ? "It is a fact. " : "Very good! ";
    const TextSentiment mood = judge_sentiment(text);
    EXPECT_EQ(mood.sentences.size(), 20u);
    for (const SentenceSentiment& one : mood.sentences) {
        EXPECT_NE(one.sentiment, "neutral");
        EXPECT_LE(std::abs(one.score), 1);
    }
}

TEST(LocalTasks, FollowASchemaOfOnesOwn) {
    World world;
    CompletionRequest request;
    request.task = "triage";
    request.input =
        "Printer is broken\n\nMaria Lopez wrote that the printer in Berlin fails. She is very unhappy.";
    request.schema =
        R"({"type":"object","properties":{"title":{"type":"string"},"urgency":{"type":"integer","minimum":1},
        "sentiment":{"enum":["positive","neutral","negative","mixed"]},"people":{"type":"array","items":{"type":"string"}},
        "location":{"type":["string","null"]}},"required":["title","urgency","sentiment","people","location"]})";
    const auto answer = world.ask(request);
    ASSERT_TRUE(answer) << answer.error().detail;
    EXPECT_EQ(answer->text, R"({"title":"Printer is broken","urgency":1,"sentiment":"negative",)"
                            R"("people":["Maria Lopez"],"location":"Berlin"})");
    request.task = "sentiment";
    request.schema = R"({"type":"object","properties":{"score":{"type":"number"},"why":{"type":"string"}}})";
    const json::value reduced = json::parse(world.ask(request)->text);
    EXPECT_LT(reduced.at("score").to_number<double>(), 0);
    EXPECT_EQ(reduced.at("why"), "");
    request.schema = "no schema";
    EXPECT_EQ(world.ask(request).error().kind, FailureKind::rejected);
}

TEST(LocalTasks, FollowASchemaThatNestsDeeply) {
    World world;
    CompletionRequest request;
    request.task = "triage";
    request.input = "It rains.";
    std::string list = R"({"type":"string"})";
    for (int i = 0; i < 40; ++i) list = R"({"type":"array","items":)" + list + "}";
    request.schema = R"({"type":"object","properties":{"lists":)" + list + R"(},"required":["lists"]})";
    const auto answer = world.ask(request);
    ASSERT_TRUE(answer) << answer.error().detail;
    EXPECT_TRUE(answer->text.starts_with(R"({"lists":[)")) << answer->text;
}

TEST(LocalTasks, WithoutASchemaAreAnsweredByASummary) {
    World world;
    const auto answer = world.ask("anything", "One sentence is all there is.");
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->text, "One sentence is all there is.");
}

TEST(LocalTasks, SayWhoAnsweredAndWhatItWouldCost) {
    World world;
    for (const char* task : {"summarize", "entities", "sentiment", "classify"}) {
        const auto answer = world.ask(task, kArticle, {"mills", "cats"});
        ASSERT_TRUE(answer) << task;
        EXPECT_EQ(answer->model, "local-extractive");
        EXPECT_NEAR(static_cast<double>(answer->usage.prompt_tokens), sizeof kArticle / 4.0, 2) << task;
        EXPECT_GT(answer->usage.completion_tokens, 0) << task;
        EXPECT_EQ(answer->text, world.ask(task, kArticle, {"mills", "cats"})->text) << "the same each time";
    }
    EXPECT_TRUE(world.provider->model().completes);
    const auto nothing = world.ask("summarize", "");
    EXPECT_EQ(nothing.error().kind, FailureKind::rejected);
}

TEST(LocalTasks, TakeAnyTextInAnyScript) {
    World world;
    std::string bytes;
    for (int i = 0; i < 5000; ++i) bytes.push_back(static_cast<char>(i * 37 + i / 7));
    const std::string texts[] = {
        bytes,
        std::string(200'000, 'x'),
        std::string(50'000, '\n'),
        std::string(50'000, '@'),
        std::string(50'000, '$'),
        std::string(3, '\0'),
        " \t ",
        "\xF0\x9F\x98\x80\xF0\x9F\x98\xA1",
        "\xE4\xB8\xAD\xE6\x96\x87\xE6\x98\xAF\xE4\xB8\x80\xE7\xA7\x8D\xE8\xAF\xAD\xE8\xA8\x80\xE3\x80\x82\xE5"
        "\xAE\x83\xE5\xBE\x88\xE5\xA4\x8D\xE6\x9D\x82\xE3\x80\x82",
        "\xD0\x9C\xD0\xBE\xD1\x81\xD0\xBA\xD0\xB2\xD0\xB0 \xE2\x80\x94 "
        "\xD1\x81\xD1\x82\xD0\xBE\xD0\xBB\xD0\xB8\xD1\x86\xD0\xB0. \xD0\x9E\xD0\xBD\xD0\xB0 "
        "\xD0\xB1\xD0\xBE\xD0\xBB\xD1\x8C\xD1\x88\xD0\xB0\xD1\x8F.",
        "\xD9\x85\xD8\xB1\xD8\xAD\xD8\xA8\xD8\xA7 \xD8\xA8\xD8\xA7\xD9\x84\xD8\xB9\xD8\xA7\xD9\x84\xD9\x85.",
    };
    for (const std::string& text : texts) {
        for (const char* task : {"summarize", "entities", "sentiment", "classify"}) {
            const auto answer = world.ask(task, text, {"one", "", "\xFF"});
            ASSERT_TRUE(answer) << task << ": " << answer.error().detail;
            EXPECT_TRUE(json::parse(answer->text).is_object()) << task;
        }
    }
}

}  // namespace
}  // namespace millrace::provider
