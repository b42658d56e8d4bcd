// Vectors that processes share: what one of them has paid for, no other pays for again.
#pragma once

#include "base/clock.hpp"
#include "provider/provider.hpp"
#include "store/database.hpp"

#include <boost/asio/awaitable.hpp>

#include <string>
#include <vector>

namespace millrace::provider {

/// Passes calls on to `inner`, but for embeddings of texts that are remembered: by the SHA-256 of the text,
/// the model's name and the length of its vectors. New vectors are stored durably before they are returned.
/// Where the database is out of reach everything is asked for, and what comes is not remembered; the log says
/// so. All calls on the I/O thread.
class Remembered final : public Provider {
  public:
    /// All of them outlive it.
    Remembered(Provider& inner, store::Database& database, const Clock& clock)
        : inner_(inner),
          database_(database),
          clock_(clock),
          identity_(inner.model().name + "/" + std::to_string(inner.model().dimensions)) {}

    const ModelInfo& model() const noexcept override { return inner_.model(); }
    /// `usage` is what was asked for now.
    boost::asio::awaitable<Outcome<Embeddings>> embed(std::vector<std::string> inputs,
                                                      CallContext context) override;
    /// None of them where the database is out of reach.
    boost::asio::awaitable<std::vector<bool>> known(std::vector<std::string> inputs) override;
    boost::asio::awaitable<Outcome<Completion>> complete(CompletionRequest request,
                                                         CallContext context) override {
        return inner_.complete(std::move(request), std::move(context));
    }
    boost::asio::awaitable<Outcome<RawAnswer>> call(RawRequest request, CallContext context) override {
        return inner_.call(std::move(request), std::move(context));
    }

    /// Forgets what was stored before `before`; answers how many vectors. Throws MachineError.
    static boost::asio::awaitable<std::int64_t> prune(store::Database& database, TimePoint before);

  private:
    boost::asio::awaitable<std::vector<std::vector<float>>> find(const std::vector<std::string>& hashes);
    boost::asio::awaitable<void> store(std::vector<std::string> hashes, const Embeddings& embeddings);

    Provider& inner_;
    store::Database& database_;
    const Clock& clock_;
    std::string identity_;
};

}  // namespace millrace::provider
