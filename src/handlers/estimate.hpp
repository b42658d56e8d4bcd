// What documents and dead letters would take, found out by the code that would do the work; nothing is stored
// and nobody is called.
#pragma once

#include "handlers/services.hpp"
#include "handlers/stages.hpp"
#include "work/estimate.hpp"

#include <optional>

namespace millrace::handlers {

/// What `document` would take if it were accepted now: extracted, cut and counted as the pipeline does it.
/// Passages whose text has a vector already are cached and cost nothing. One that could not become text is no
/// failure of the estimate: its `error` says what dead letter it would be.
asio::awaitable<work::DocumentEstimate> estimate_document(Services& services, work::NewDocument document);

/// What is left to do for a dead letter of the queue that `row` serves: for a document the steps from that
/// queue on, for a task all of its calls. Nothing for a version that was superseded, and a task that is done.
asio::awaitable<work::LetterEstimate> estimate_letter(Services& services, const HandlerRow& row,
                                                      broker::Message letter);

/// How long what was found to wait is taken to be so.
inline constexpr Duration kBacklogKept = std::chrono::seconds(3);

/// What waits for models. All calls on the I/O thread.
class BacklogView {
  public:
    /// `services` outlive it.
    explicit BacklogView(Services& services) : services_(services) {}

    /// Passages of documents that were cut up and have not failed, counted at most kBacklogKept ago, and
    /// `tasks_queued` in their queue. The latter may be of any type, so they wait for each deployment that
    /// answers. Outlives the call.
    asio::awaitable<work::Backlog> read(std::int64_t tasks_queued);

  private:
    asio::awaitable<void> look();

    Services& services_;
    work::Load passages_;
    std::optional<TimePoint> looked_at_;
};

}  // namespace millrace::handlers
