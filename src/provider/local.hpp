// The providers that need no key and no server: they compute on this machine's CPU pool.
#pragma once

#include "base/async.hpp"
#include "provider/provider.hpp"

#include <filesystem>
#include <memory>

namespace millrace::provider {

/// The model "local-use-hash-1024": Universal Sentence Encoder Lite for meaning beside a feature hash for
/// names and rare words; docs/local-model.md. Reads its weights from `assets`, about 28 MB and 30 ms, on the
/// calling thread. Errors: not_found if a file is missing, corrupt if one is damaged; the detail says which
/// and what to do, and `make_local_hash` still works then.
///
/// Of both providers: `pool` outlives them. The same text gives the same vector, bit for bit, in whatever
/// company it is embedded; queries and documents are embedded alike. `Usage::prompt_tokens` counts what the
/// model read: word pieces (at most 128 of a text), or words for the hash alone. An empty list, a list or a
/// text that is too long and an empty text are `rejected`, and nothing is computed. Many calls may be under
/// way at once; a large one takes turns with the rest of the pool's work.
///
/// Both complete as "local-extractive" (local_tasks.hpp): extracts, lexicons and rules, no model that writes.
/// Their usage is estimated from the characters.
Result<std::unique_ptr<Provider>> make_local(CpuPool& pool, const std::filesystem::path& assets);

/// The model "local-hash-1024": the feature hash alone. It sees shared words and parts of words, no
/// paraphrase.
std::unique_ptr<Provider> make_local_hash(CpuPool& pool);

}  // namespace millrace::provider
