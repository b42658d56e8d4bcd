// Metrics: counters, gauges and histograms by row of the metric table, served as Prometheus text.
#pragma once

#include "telemetry/metric_table.hpp"

#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace millrace::telemetry {

/// Values for the label names of a row, in the row's order. Not owned.
using LabelValues = std::initializer_list<std::string_view>;

/// The metrics of one server. Any thread. The kind of call must fit the kind of the row, and the number of
/// values its label names (asserted). A row keeps at most `label_sets_max` combinations of values; later ones
/// are counted under the value "other", so that a caller who invents categories can't fill the memory.
class Metrics {
  public:
    static constexpr std::size_t label_sets_max = 500;

    Metrics();
    ~Metrics();
    Metrics(const Metrics&) = delete;

    /// Adds to a counter; `amount` is not negative.
    void add(const MetricRow& row, LabelValues labels = {}, double amount = 1);
    /// Brings a counter that another part keeps up to `total`; a smaller total changes nothing.
    void raise_to(const MetricRow& row, LabelValues labels, double total);
    /// Sets a gauge.
    void set(const MetricRow& row, LabelValues labels, double value);
    /// Puts one value into a histogram.
    void observe(const MetricRow& row, LabelValues labels, double value);

    /// What was counted so far: a counter's total, a gauge's value, a histogram's number of values; 0 if
    /// never touched.
    double value(const MetricRow& row, LabelValues labels = {}) const;

    /// Everything in the Prometheus text format 0.0.4, ending with a line feed.
    std::string to_text() const;

  private:
    class Registry;
    std::unique_ptr<Registry> registry_;
};

}  // namespace millrace::telemetry
