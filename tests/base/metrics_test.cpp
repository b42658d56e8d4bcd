#include "telemetry/metrics.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <set>
#include <sstream>
#include <thread>

namespace millrace::telemetry {
namespace {

using testing::HasSubstr;

TEST(Metrics, AreServedAsPrometheusText) {
    Metrics metrics;
    metrics.add(metric::documents_processed, {"manuals"}, 2);
    metrics.set(metric::queue_messages, {"embed-queue", "active"}, 7);
    metrics.observe(metric::embedding_duration, {"manuals"}, 0.03);
    const std::string text = metrics.to_text();
    EXPECT_THAT(text, HasSubstr("# TYPE documents_processed_total counter\n"
                                "documents_processed_total{document_category=\"manuals\"} 2\n"));
    EXPECT_THAT(text, HasSubstr("queue_messages{queue=\"embed-queue\",state=\"active\"} 7\n"));
    EXPECT_THAT(
        text, HasSubstr("embedding_duration_seconds_bucket{document_category=\"manuals\",le=\"+Inf\"} 1\n"));
    EXPECT_TRUE(text.ends_with('\n'));
}

TEST(Metrics, HostileLabelValuesAreEscaped) {
    Metrics metrics;
    metrics.add(metric::documents_processed, {"a\"b\\c\nd"});
    EXPECT_THAT(metrics.to_text(), HasSubstr("{document_category=\"a\\\"b\\\\c\\nd\"} 1\n"));
}

TEST(Metrics, InventedCategoriesDoNotGrowWithoutBound) {
    Metrics metrics;
    const auto calls = Metrics::label_sets_max + 50;
    for (std::size_t i = 0; i < calls; ++i) {
        const std::string category = "c" + std::to_string(i);
        metrics.add(metric::documents_processed, {category});
    }
    EXPECT_EQ(metrics.value(metric::documents_processed, {"other"}), 50);
    EXPECT_EQ(metrics.value(metric::documents_processed, {"c0"}), 1);
}

TEST(Metrics, ACounterKeptElsewhereNeverGoesBack) {
    Metrics metrics;
    metrics.raise_to(metric::store_commits, {}, 10);
    metrics.raise_to(metric::store_commits, {}, 7);
    EXPECT_EQ(metrics.value(metric::store_commits), 10);
}

TEST(Metrics, ManyThreadsCountTogether) {
    Metrics metrics;
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t)
        threads.emplace_back([&] {
            for (int i = 0; i < 1000; ++i) metrics.add(metric::provider_calls, {"local", "ok"});
        });
    threads.clear();
    EXPECT_EQ(metrics.value(metric::provider_calls, {"local", "ok"}), 4000);
}

TEST(Metrics, NamesFollowThePrometheusRules) {
    std::set<std::string_view> names;
    for (const MetricRow* row : kMetricRows) {
        EXPECT_TRUE(names.insert(row->name).second) << row->name;
        EXPECT_FALSE(row->help.empty()) << row->name;
        EXPECT_EQ(row->name.ends_with("_total"), row->kind == MetricKind::counter) << row->name;
        EXPECT_EQ(row->buckets != Buckets::none, row->kind == MetricKind::histogram) << row->name;
        EXPECT_TRUE(row->kind != MetricKind::histogram || row->name.ends_with("_seconds")) << row->name;
    }
}

TEST(Metrics, TheDocumentationNamesEachWithItsHelp) {
    std::ifstream file(MILLRACE_SOURCE_DIR "/docs/metrics.md");
    std::stringstream page;
    page << file.rdbuf();
    for (const MetricRow* row : kMetricRows) {
        EXPECT_THAT(page.str(), HasSubstr("| `" + std::string(row->name) + "` |"));
        EXPECT_THAT(page.str(), HasSubstr("| " + std::string(row->help) + " |"));
    }
}

}  // namespace
}  // namespace millrace::telemetry
