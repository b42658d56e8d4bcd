// A deployment whose calls keep to its quota, share requests and are tried again.
#pragma once

#include "base/async.hpp"
#include "base/task_group.hpp"
#include "provider/openai_protocol.hpp"
#include "provider/provider.hpp"
#include "quota/gate.hpp"

#include <functional>
#include <map>
#include <random>

namespace millrace::provider {

struct EmbeddingsRequest;

struct PacedOptions {
    quota::Limits limits;
    quota::Price price;
    std::int64_t output_tokens_default = 1024;  ///< reserved, and asked for, where a request names no maximum
    int tries_max =
        3;  ///< of one piece of work, after transient failures; the caller's own retries come on top
    /// Counts tokens exactly; empty: estimated from the characters. May be called on the I/O thread with
    /// texts of some kilobytes.
    std::function<std::int64_t(std::string_view)> count;
    CpuPool* pool = nullptr;  ///< for long answers that are shared; none: the I/O thread does it
};

/// Passes calls on to `inner` when the gate lets them. Embeddings that wait at one moment share a request,
/// raw ones (`call`) with those that ask for the same but for their inputs. Each caller gets its own vectors
/// and its own share of the cost, and one whose input the provider rejects is found by halving the request:
/// the others are asked for again without it. A 429 is no failure of the callers: the gate learns from it and
/// they wait on. `tries_max` of `inner` should be 1, so that every try has a reservation of its own. All
/// calls on the I/O thread.
class Paced final : public Provider {
  public:
    /// `inner`, `gate` and `clock` outlive it.
    Paced(asio::any_io_executor io, Provider& inner, quota::Gate& gate, Clock& clock, PacedOptions options);
    ~Paced() override;

    const ModelInfo& model() const noexcept override { return inner_.model(); }
    asio::awaitable<Outcome<Embeddings>> embed(std::vector<std::string> inputs, CallContext context) override;
    asio::awaitable<Outcome<Completion>> complete(CompletionRequest request, CallContext context) override;
    asio::awaitable<Outcome<RawAnswer>> call(RawRequest request, CallContext context) override;

    /// Cancels what is under way; the gate is stopped before.
    asio::awaitable<void> stop();

  private:
    struct Work;
    struct EmbedWork;
    struct RawWork;
    struct SharedAnswer;
    struct Called;
    struct Heard;

    std::shared_ptr<Heard> listen(CallContext& context, const quota::Pass& pass);
    asio::awaitable<void> tell_sent(quota::Reservation reservation, TimePoint at);
    std::int64_t count(std::string_view text) const;
    std::int64_t output_tokens(std::int64_t asked, std::int64_t prompt) const;
    void enter(const std::shared_ptr<Work>& work);
    asio::awaitable<void> await_end(std::shared_ptr<Work> work);
    template <class T, class F>
    asio::awaitable<Outcome<T>> alone(std::int64_t prompt, std::int64_t output, CallContext context, F ask);
    template <class W>
    asio::awaitable<Outcome<typename W::Answer>> share(std::shared_ptr<W> work);
    template <class W>
    asio::awaitable<void> carry(quota::Pass pass);
    asio::awaitable<Outcome<RawAnswer>> call_shared(RawRequest request, EmbeddingsRequest embeddings,
                                                    std::int64_t prompt, CallContext context);
    asio::awaitable<Outcome<Embeddings>> ask_together(std::vector<std::shared_ptr<EmbedWork>> works,
                                                      CallContext context);
    asio::awaitable<Outcome<SharedAnswer>> ask_together(std::vector<std::shared_ptr<RawWork>> works,
                                                        CallContext context);
    static bool is_unsent(const Called& called);
    static bool cost_is_unknown(const Called& called);
    asio::awaitable<void> settle(const quota::Pass& pass, const Called& called);
    asio::awaitable<void> settle_later(quota::Pass pass, Called called);
    void share_out(const std::vector<std::shared_ptr<EmbedWork>>& works, Outcome<Embeddings> outcome);
    void share_out(const std::vector<std::shared_ptr<RawWork>>& works, Outcome<SharedAnswer> outcome);
    template <class W>
    void halve(const std::vector<std::shared_ptr<W>>& works);
    std::uint64_t pack_of(const std::string& shape);
    std::optional<Duration> pause_before_retry(const Failure& failure, int tries_done);

    asio::any_io_executor io_;
    Provider& inner_;
    quota::Gate& gate_;
    Clock& clock_;
    PacedOptions options_;
    TaskGroup tasks_;
    std::uint64_t next_pack_ = 1;
    std::map<std::string, std::uint64_t> shapes_;  ///< of raw embeddings requests; their packs
    std::mt19937_64 random_{std::random_device{}()};
};

}  // namespace millrace::provider
