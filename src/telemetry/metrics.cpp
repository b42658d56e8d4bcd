#include "telemetry/metrics.hpp"

#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <cassert>
#include <map>
#include <mutex>
#include <set>
#include <variant>
#include <vector>

namespace millrace::telemetry {

namespace {

prometheus::Histogram::BucketBoundaries bounds_of(Buckets buckets) {
    if (buckets == Buckets::request_seconds)
        return {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10};
    return {0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92};
}

std::vector<std::string> names_in(std::string_view list) {
    std::vector<std::string> names;
    while (!list.empty()) {
        const auto comma = list.find(',');
        names.emplace_back(list.substr(0, comma));
        list = comma == std::string_view::npos ? "" : list.substr(comma + 1);
    }
    return names;
}

using Family = std::variant<prometheus::Family<prometheus::Counter>*, prometheus::Family<prometheus::Gauge>*,
                            prometheus::Family<prometheus::Histogram>*>;

}  // namespace

class Metrics::Registry {
  public:
    Registry() {
        for (const MetricRow* row : kMetricRows) {
            auto& entry = entries_[row];
            entry.label_names = names_in(row->labels);
            entry.family = make_family(*row);
        }
    }

    template <class T>
    T& metric(const MetricRow& row, LabelValues values) {
        const std::lock_guard lock(mutex_);
        Entry& entry = entries_.at(&row);
        assert(values.size() == entry.label_names.size());
        return std::get<prometheus::Family<T>*>(entry.family)->Add(labels_for(entry, values));
    }

    prometheus::Histogram& histogram(const MetricRow& row, LabelValues values) {
        const std::lock_guard lock(mutex_);
        Entry& entry = entries_.at(&row);
        assert(values.size() == entry.label_names.size());
        auto* family = std::get<prometheus::Family<prometheus::Histogram>*>(entry.family);
        return family->Add(labels_for(entry, values), bounds_of(row.buckets));
    }

    prometheus::Registry registry;
    std::mutex raise_mutex;

  private:
    struct Entry {
        std::vector<std::string> label_names;
        Family family;
        std::set<prometheus::Labels> known;
    };

    Family make_family(const MetricRow& row) {
        const std::string name(row.name);
        const std::string help(row.help);
        switch (row.kind) {
            case MetricKind::counter:
                return &prometheus::BuildCounter().Name(name).Help(help).Register(registry);
            case MetricKind::gauge: return &prometheus::BuildGauge().Name(name).Help(help).Register(registry);
            case MetricKind::histogram: break;
        }
        return &prometheus::BuildHistogram().Name(name).Help(help).Register(registry);
    }

    static prometheus::Labels labels_for(Entry& entry, LabelValues values) {
        prometheus::Labels labels;
        auto name = entry.label_names.begin();
        for (const std::string_view value : values) labels.emplace(*name++, value);
        if (entry.known.contains(labels)) return labels;
        if (entry.known.size() >= label_sets_max)
            for (auto& [label, value] : labels) value = "other";
        else
            entry.known.insert(labels);
        return labels;
    }

    mutable std::mutex mutex_;
    std::map<const MetricRow*, Entry> entries_;
};

Metrics::Metrics() : registry_(std::make_unique<Registry>()) {}
Metrics::~Metrics() = default;

void Metrics::add(const MetricRow& row, LabelValues labels, double amount) {
    registry_->metric<prometheus::Counter>(row, labels).Increment(amount);
}

void Metrics::raise_to(const MetricRow& row, LabelValues labels, double total) {
    const std::lock_guard lock(registry_->raise_mutex);
    auto& counter = registry_->metric<prometheus::Counter>(row, labels);
    const double more = total - counter.Value();
    if (more > 0) counter.Increment(more);
}

void Metrics::set(const MetricRow& row, LabelValues labels, double value) {
    registry_->metric<prometheus::Gauge>(row, labels).Set(value);
}

void Metrics::observe(const MetricRow& row, LabelValues labels, double value) {
    registry_->histogram(row, labels).Observe(value);
}

double Metrics::value(const MetricRow& row, LabelValues labels) const {
    switch (row.kind) {
        case MetricKind::counter: return registry_->metric<prometheus::Counter>(row, labels).Value();
        case MetricKind::gauge: return registry_->metric<prometheus::Gauge>(row, labels).Value();
        case MetricKind::histogram: break;
    }
    const auto collected = registry_->histogram(row, labels).Collect();
    return static_cast<double>(collected.histogram.sample_count);
}

std::string Metrics::to_text() const {
    return prometheus::TextSerializer().Serialize(registry_->registry.Collect());
}

}  // namespace millrace::telemetry
