#include "provider/use_lite_weights.hpp"

#include <openssl/sha.h>

#include <bit>
#include <cstring>
#include <fstream>

namespace millrace::provider {

namespace {

static_assert(std::endian::native == std::endian::little, "the file is read as it lies in memory");

constexpr std::string_view kMagic = "MRWEIGHT";
constexpr std::uint32_t kVersion = 1;
constexpr std::size_t kTensorsMax = 4096;
constexpr std::uintmax_t kFileBytesMax = std::uintmax_t{1} << 30;
constexpr std::size_t kNameBytes = 40;

struct Header {
    char magic[8];
    std::uint32_t version;
    std::uint32_t tensors;
};

struct Row {
    char name[kNameBytes];
    std::uint32_t rows;
    std::uint32_t columns;
    std::uint64_t first;  ///< index of the first number in the data
};

static_assert(sizeof(Header) == 16 && sizeof(Row) == 56);

bool read(std::ifstream& file, void* to, std::size_t bytes) {
    file.read(static_cast<char*>(to), static_cast<std::streamsize>(bytes));
    return static_cast<std::size_t>(file.gcount()) == bytes;
}

}  // namespace

Error WeightsFile::error(const std::string& what) const {
    return {Errc::corrupt, path_ + ": " + what + "; run tools/fetch_assets.py again"};
}

Result<WeightsFile> WeightsFile::load(const std::filesystem::path& path) {
    WeightsFile weights;
    weights.path_ = path.string();
    std::error_code failure;
    const std::uintmax_t size = std::filesystem::file_size(path, failure);
    std::ifstream file(path, std::ios::binary);
    if (failure || !file) {
        return Error{Errc::not_found, path.string() + ": can't be read; run tools/fetch_assets.py"};
    }
    Header header;
    if (!read(file, &header, sizeof header) || std::string_view(header.magic, kMagic.size()) != kMagic) {
        return weights.error("not a file of weights");
    }
    if (header.version != kVersion) {
        return weights.error("version " + std::to_string(header.version) + ", but this program reads " +
                             std::to_string(kVersion));
    }
    const std::uintmax_t data_from = sizeof header + header.tensors * sizeof(Row) + SHA256_DIGEST_LENGTH;
    if (header.tensors > kTensorsMax || size < data_from || size > kFileBytesMax ||
        (size - data_from) % 4 != 0) {
        return weights.error("cut off or damaged");
    }
    std::string table(header.tensors * sizeof(Row), '\0');
    std::string digest(SHA256_DIGEST_LENGTH, '\0');
    weights.data_.resize((size - data_from) / 4);
    if (!read(file, table.data(), table.size()) || !read(file, digest.data(), digest.size()) ||
        !read(file, weights.data_.data(), weights.data_.size() * 4)) {
        return weights.error("cut off");
    }
    auto parsed = weights.parse(table, digest);
    if (!parsed) return parsed.error();
    return weights;
}

Result<void> WeightsFile::parse(std::string_view table, std::string_view digest) {
    std::size_t next = 0;
    for (; !table.empty(); table.remove_prefix(sizeof(Row))) {
        Row row;
        std::memcpy(&row, table.data(), sizeof row);
        const std::uint64_t count = std::uint64_t{row.rows} * row.columns;
        if (row.first != next || count == 0 || count > data_.size() - next)
            return error("damaged or cut off");
        const std::string name(row.name, strnlen(row.name, kNameBytes));
        tensors_[name] = {row.rows, row.columns, std::span<const float>(data_).subspan(next, count)};
        next += count;
    }
    if (next != data_.size()) return error("longer than its table says");
    unsigned char computed[SHA256_DIGEST_LENGTH];
    SHA256(reinterpret_cast<const unsigned char*>(data_.data()), data_.size() * 4, computed);
    if (std::memcmp(computed, digest.data(), sizeof computed) != 0)
        return error("damaged: its checksum is wrong");
    return {};
}

Result<Tensor> WeightsFile::tensor(std::string_view name, std::uint32_t rows, std::uint32_t columns) const {
    const auto found = tensors_.find(name);
    if (found == tensors_.end()) return error("holds no " + std::string(name));
    const Tensor& tensor = found->second;
    if (tensor.rows != rows || tensor.columns != columns)
        return error(std::string(name) + " has another shape");
    return tensor;
}

}  // namespace millrace::provider
