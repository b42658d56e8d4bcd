#include "provider/provider.hpp"

namespace millrace::provider {

void throw_exception_from_error(const Failure& failure, const boost::source_location&) {
    throw std::logic_error("unchecked provider failure: " + failure.detail);
}

boost::asio::awaitable<std::vector<bool>> Provider::known(std::vector<std::string> inputs) {
    co_return std::vector<bool>(inputs.size(), false);
}

boost::asio::awaitable<Outcome<Completion>> Provider::complete(CompletionRequest, CallContext) {
    co_return Failure{FailureKind::rejected, 0, model().name + ": the model embeds and answers nothing"};
}

boost::asio::awaitable<Outcome<RawAnswer>> Provider::call(RawRequest, CallContext) {
    co_return Failure{FailureKind::rejected, 0, model().name + ": no server to pass OpenAI requests on to"};
}

}  // namespace millrace::provider
