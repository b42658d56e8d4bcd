#include "provider/use_lite.hpp"

#include "provider/use_lite_math.hpp"
#include "provider/use_lite_weights.hpp"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <optional>

namespace millrace::provider {

namespace {

constexpr std::uint32_t kEmbeddingRows = 8002;
constexpr std::uint32_t kEmbeddingWidth = 256;
constexpr std::uint32_t kWidth = UseLite::kDimensions;
constexpr std::uint32_t kFfnWidth = 1536;
constexpr std::size_t kHeads = 4;

/// At most `bytes` of `text`, without half a character at the end.
std::string_view cut(std::string_view text, std::size_t bytes) {
    if (text.size() <= bytes) return text;
    while (bytes > 0 && (static_cast<unsigned char>(text[bytes]) & 0xc0) == 0x80) --bytes;
    return text.substr(0, bytes);
}

/// A row per place p in the text: the sines of p times each timescale, then the cosines.
std::vector<float> position_table(std::span<const float> timescales) {
    std::vector<float> table(UseLite::kPiecesMax * kEmbeddingWidth);
    for (std::size_t p = 0; p < UseLite::kPiecesMax; ++p) {
        float* row = table.data() + p * kEmbeddingWidth;
        for (std::size_t i = 0; i < timescales.size(); ++i) {
            row[i] = std::sin(static_cast<float>(p) * timescales[i]);
            row[timescales.size() + i] = std::cos(static_cast<float>(p) * timescales[i]);
        }
    }
    return table;
}

}  // namespace

/// Texts under way, one after the other, and buffers with a row per piece of theirs.
struct UseLite::Workspace {
    explicit Workspace(std::size_t rows_max)
        : input(rows_max * kWidth),
          state(rows_max * kWidth),
          normed(rows_max * kWidth),
          wide(rows_max * kFfnWidth),
          scores(rows_max * kPiecesMax) {}

    std::vector<std::size_t> lengths;  ///< of each text, in rows
    std::size_t rows = 0;              ///< their sum
    std::vector<float> input;          ///< of the block at hand
    std::vector<float> state;          ///< its output
    std::vector<float> normed;
    std::vector<float> wide;
    std::vector<float> scores;
    PackedMatrix packed;               ///< keys or values of one head of one text
};

/// Takes tensors out of a file of weights and remembers the first that was not as expected.
class UseLite::Loader {
  public:
    explicit Loader(const WeightsFile& file) : file_(file) {}

    std::vector<float> vector(const std::string& name, std::uint32_t rows, std::uint32_t columns) {
        const auto tensor = file_.tensor(name, rows, columns);
        if (!tensor) return fail(tensor.error());
        return {tensor->values.begin(), tensor->values.end()};
    }

    Norm norm(const std::string& name, std::uint32_t width) {
        return {vector(name + ".scale", 1, width), vector(name + ".bias", 1, width)};
    }

    Dense dense(const std::string& name, std::uint32_t inner, std::uint32_t columns) {
        Dense dense;
        dense.bias = vector(name + ".bias", 1, columns);
        const auto kernel = vector(name + ".kernel", inner, columns);
        if (!kernel.empty()) dense.kernel.pack(kernel.data(), columns, inner, columns);
        return dense;
    }

    Block block(const std::string& name, std::uint32_t width) {
        return {.width = width,
                .attention_norm = norm(name + ".attention.norm", width),
                .qkv = dense(name + ".attention.qkv", width, 3 * width),
                .out = dense(name + ".attention.out", width, kWidth),
                .ffn_norm = norm(name + ".ffn.norm", kWidth),
                .ffn_in = dense(name + ".ffn.in", kWidth, kFfnWidth),
                .ffn_out = dense(name + ".ffn.out", kFfnWidth, kWidth)};
    }

    const std::optional<Error>& error() const { return error_; }

  private:
    std::vector<float> fail(const Error& error) {
        if (!error_) error_ = error;
        return {};
    }

    const WeightsFile& file_;
    std::optional<Error> error_;
};

Result<UseLite> UseLite::load(const std::filesystem::path& folder) {
    const auto file = WeightsFile::load(folder / "use_lite.weights");
    if (!file) return file.error();
    auto unigram = Unigram::load(folder / "use_lite.vocab");
    if (!unigram) return unigram.error();
    if (unigram->size() > kEmbeddingRows) {
        return Error{Errc::corrupt, (folder / "use_lite.vocab").string() + ": has pieces without weights"};
    }
    Loader loader(*file);
    const auto timescales = loader.vector("timescales", 1, kEmbeddingWidth / 2);
    UseLite model;
    model.unigram_ = std::move(*unigram);
    model.embedding_ = loader.vector("embedding", kEmbeddingRows, kEmbeddingWidth);
    model.positions_ = position_table(timescales);
    model.residual_ = loader.dense("block0.residual", kEmbeddingWidth, kWidth);
    model.blocks_ = {loader.block("block0", kEmbeddingWidth), loader.block("block1", kWidth)};
    model.head_ = loader.dense("head", kWidth, kWidth);
    if (loader.error()) return *loader.error();
    return model;
}

std::vector<std::int32_t> UseLite::pieces(std::string_view text) const {
    auto ids = unigram_.encode(cut(text, kTextBytesMax));
    if (ids.size() > kPiecesMax) ids.resize(kPiecesMax);
    return ids;
}

std::size_t UseLite::embed(std::span<const std::string_view> texts,
                           std::span<const std::span<float>> vectors) const {
    assert(texts.size() == vectors.size());
    std::vector<std::vector<std::int32_t>> ids;
    std::size_t count = 0;
    for (const std::string_view text : texts) count += ids.emplace_back(pieces(text)).size();

    const std::size_t rows_max = std::min(count, kPiecesMax);
    Workspace work(rows_max);
    std::size_t first = 0;  // of the texts in `work`
    for (std::size_t i = 0; i < texts.size(); ++i) {
        if (work.rows + ids[i].size() > rows_max) {
            run(vectors.subspan(first, i - first), work);
            first = i;
        }
        look_up(ids[i], work);
    }
    run(vectors.subspan(first), work);
    return count;
}

/// Computes the vectors of the texts in `work` and empties it.
void UseLite::run(std::span<const std::span<float>> vectors, Workspace& work) const {
    assert(vectors.size() == work.lengths.size());
    run_block(blocks_[0], &residual_, work);
    std::swap(work.input, work.state);
    run_block(blocks_[1], nullptr, work);
    const float* state = work.state.data();
    for (std::size_t i = 0; i < vectors.size(); ++i) {
        pool(state, work.lengths[i], vectors[i]);
        state += work.lengths[i] * kWidth;
    }
    work.lengths.clear();
    work.rows = 0;
}

/// Appends a text to those in `work`.
void UseLite::look_up(std::span<const std::int32_t> ids, Workspace& work) const {
    assert(!ids.empty());
    float* row = work.input.data() + work.rows * kEmbeddingWidth;
    const float* position = positions_.data();
    for (const std::int32_t id : ids) {
        const float* piece = embedding_.data() + static_cast<std::size_t>(id) * kEmbeddingWidth;
        // Twice: the graph adds the embedding to its sum with the position.
        for (std::size_t i = 0; i < kEmbeddingWidth; ++i) row[i] = piece[i] + (piece[i] + position[i]);
        row += kEmbeddingWidth;
        position += kEmbeddingWidth;
    }
    work.lengths.push_back(ids.size());
    work.rows += ids.size();
}

void UseLite::run_block(const Block& block, const Dense* residual, Workspace& work) const {
    const std::size_t rows = work.rows;
    float* state = work.state.data();
    float* wide = work.wide.data();
    float* normed = work.normed.data();
    layer_norm(work.input.data(), rows, block.attention_norm.scale, block.attention_norm.bias, normed);
    multiply(normed, block.width, rows, block.qkv.kernel, block.qkv.bias, Finish::store, wide,
             3 * block.width);
    std::size_t first = 0;
    for (const std::size_t length : work.lengths) {
        attend(block.width, first, length, work);
        first += length;
    }
    if (residual != nullptr) {
        multiply(work.input.data(), block.width, rows, residual->kernel, residual->bias, Finish::store, state,
                 kWidth);
    } else {
        std::copy_n(work.input.begin(), rows * kWidth, state);
    }
    multiply(normed, block.width, rows, block.out.kernel, block.out.bias, Finish::add, state, kWidth);

    layer_norm(state, rows, block.ffn_norm.scale, block.ffn_norm.bias, normed);
    multiply(normed, kWidth, rows, block.ffn_in.kernel, block.ffn_in.bias, Finish::relu, wide, kFfnWidth);
    multiply(wide, kFfnWidth, rows, block.ffn_out.kernel, block.ffn_out.bias, Finish::add, state, kWidth);
}

/// Scaled dot-product attention in `kHeads` heads among the `rows` rows of one text, from the queries, keys
/// and values in `work.wide` into `work.normed`. A. Vaswani et al., "Attention Is All You Need", 2017,
/// section 3.2.
void UseLite::attend(std::size_t width, std::size_t first, std::size_t rows, Workspace& work) const {
    const std::size_t size = width / kHeads;
    const std::size_t stride = 3 * width;
    const float factor = 1 / std::sqrt(static_cast<float>(size));
    for (std::size_t head = 0; head < kHeads; ++head) {
        const float* queries = work.wide.data() + first * stride + head * size;
        const float* keys = queries + width;
        const float* values = keys + width;
        float* result = work.normed.data() + first * width + head * size;
        work.packed.pack_transposed(keys, stride, size, rows);
        multiply(queries, stride, rows, work.packed, {}, Finish::store, work.scores.data(), kPiecesMax);
        softmax(work.scores.data(), rows, rows, kPiecesMax, factor);
        work.packed.pack(values, stride, rows, size);
        multiply(work.scores.data(), kPiecesMax, rows, work.packed, {}, Finish::store, result, width);
    }
}

/// The text's vector from the mean of its rows.
void UseLite::pool(const float* state, std::size_t rows, std::span<float> vector) const {
    std::vector<float> mean(kWidth);
    for (std::size_t row = 0; row < rows; ++row) {
        for (std::size_t i = 0; i < kWidth; ++i) mean[i] += state[row * kWidth + i];
    }
    for (float& x : mean) x /= static_cast<float>(rows);
    multiply(mean.data(), kWidth, 1, head_.kernel, head_.bias, Finish::store, vector.data(), kWidth);
    for (float& x : vector) x = std::tanh(x);
    normalise(vector);
}

}  // namespace millrace::provider
