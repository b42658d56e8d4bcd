#include "store/dialect.hpp"
#include "store/postgres.hpp"

#include <libpq-fe.h>

#include <bit>
#include <charconv>

namespace millrace::store {

namespace {

// Type numbers of the server's catalogue pg_type, which never change.
constexpr Oid kBool = 16, kInt8 = 20, kInt2 = 21, kInt4 = 23, kFloat4 = 700, kFloat8 = 701, kNumeric = 1700;

/// `count` bytes of network order as a number with its sign.
std::int64_t big_endian(const char* bytes, int count) {
    std::uint64_t value = (bytes[0] & 0x80) != 0 ? ~std::uint64_t{0} : 0;
    for (int i = 0; i < count; ++i) value = value << 8 | static_cast<unsigned char>(bytes[i]);
    return static_cast<std::int64_t>(value);
}

/// The whole part of a `numeric`, the type of a sum of BIGINT: 16-bit fields count, weight, sign, scale, then
/// digits to the base of 10,000, the first of which counts 10,000 to the power of weight.
std::int64_t whole_number(const char* bytes) {
    const std::int64_t count = big_endian(bytes, 2);
    const std::int64_t weight = big_endian(bytes + 2, 2);
    std::int64_t value = 0;
    for (std::int64_t i = 0; i <= weight; ++i)
        value = value * 10'000 + (i < count ? big_endian(bytes + 8 + 2 * i, 2) : 0);
    return big_endian(bytes + 4, 2) == 0 ? value : -value;
}

}  // namespace

PostgresStatement::PostgresStatement(PostgresConnection& connection, std::string_view sql, std::string name)
    : connection_(connection), sql_(to_postgres(sql)), name_(std::move(name)) {}

PostgresStatement::~PostgresStatement() { PQclear(rows_); }

bool PostgresStatement::step() {
    if (rows_ == nullptr) {
        connection_.submit(*this, true);
        connection_.wait();
    }
    row_ += 1;
    if (rows_ != nullptr && row_ < PQntuples(rows_)) return true;
    reset();
    return false;
}

void PostgresStatement::run() { connection_.submit(*this, false); }

void PostgresStatement::reset() noexcept {
    PQclear(rows_);
    rows_ = nullptr;
    row_ = -1;
    bound_ = 0;
}

std::int64_t PostgresStatement::integer(int column) const noexcept {
    if (is_null(column)) return 0;
    const char* const bytes = PQgetvalue(rows_, row_, column);
    const std::string_view value(bytes, static_cast<std::size_t>(PQgetlength(rows_, row_, column)));
    std::int64_t number = 0;
    switch (PQftype(rows_, column)) {
        case kBool: return bytes[0];
        case kInt2: return big_endian(bytes, 2);
        case kInt4: return big_endian(bytes, 4);
        case kInt8: return big_endian(bytes, 8);
        case kNumeric: return whole_number(bytes);
        case kFloat4:
        case kFloat8: return static_cast<std::int64_t>(real(column));
        default: std::from_chars(value.data(), value.data() + value.size(), number); return number;
    }
}

double PostgresStatement::real(int column) const noexcept {
    if (is_null(column)) return 0;
    const char* const bytes = PQgetvalue(rows_, row_, column);
    switch (PQftype(rows_, column)) {
        case kFloat8: return std::bit_cast<double>(big_endian(bytes, 8));
        case kFloat4: return std::bit_cast<float>(static_cast<std::uint32_t>(big_endian(bytes, 4)));
        default: return static_cast<double>(integer(column));
    }
}

bool PostgresStatement::is_null(int column) const noexcept { return PQgetisnull(rows_, row_, column) != 0; }

std::string_view PostgresStatement::text(int column) const noexcept {
    return {PQgetvalue(rows_, row_, column), static_cast<std::size_t>(PQgetlength(rows_, row_, column))};
}

PostgresStatement::Parameter& PostgresStatement::parameter(int position) {
    if (parameters_.size() < static_cast<std::size_t>(position)) parameters_.resize(position);
    bound_ = std::max(bound_, position);
    Parameter& one = parameters_[static_cast<std::size_t>(position) - 1];
    one.null = false;
    one.binary = false;
    return one;
}

// As text, which the server reads as whatever type the place has.
void PostgresStatement::bind_integer(int position, std::int64_t value) {
    Parameter& one = parameter(position);
    one.own = std::to_string(value);
    one.bytes = one.own;
}

void PostgresStatement::bind_real(int position, double value) {
    char digits[32];
    const auto [end, error] = std::to_chars(digits, digits + sizeof digits, value);
    Parameter& one = parameter(position);
    one.own.assign(digits, error == std::errc() ? end : digits);
    one.bytes = one.own;
}

// The binary form of a text is its bytes; unlike the other it needs no NUL at its end.
void PostgresStatement::bind_text(int position, std::string_view text) {
    Parameter& one = parameter(position);
    one.bytes = to_postgres_text(text, one.own);
    one.binary = true;
}

void PostgresStatement::bind_blob(int position, std::string_view bytes) {
    Parameter& one = parameter(position);
    one.bytes = bytes;
    one.binary = true;
}

void PostgresStatement::bind_null(int position) { parameter(position).null = true; }

}  // namespace millrace::store
