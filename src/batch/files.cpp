#include "batch/files.hpp"

#include "base/ids.hpp"

#include <openssl/evp.h>

#include <fstream>
#include <memory>

namespace millrace::batch {

namespace fs = std::filesystem;

namespace {

constexpr std::chrono::seconds kSweepAge{3600};
constexpr std::int64_t kPrunedAtOnce = 100;
constexpr char kColumns[] = "id, name, purpose, bytes, sha256, blob, place, created_at, expires_at";

std::string select(const std::string& where) {
    return std::string("SELECT ") + kColumns + " FROM file WHERE " + where;
}

/// SHA-256 of what comes piece by piece.
class Hash {
  public:
    Hash() : context_(EVP_MD_CTX_new(), EVP_MD_CTX_free) {
        EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr);
    }
    void add(std::string_view bytes) { EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()); }
    std::string hex() {
        unsigned char digest[32];
        EVP_DigestFinal_ex(context_.get(), digest, nullptr);
        constexpr char digits[] = "0123456789abcdef";
        std::string text;
        for (const unsigned char byte : digest) text.append({digits[byte >> 4], digits[byte & 15]});
        return text;
    }

  private:
    std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context_;
};

FileView read_row(const store::Statement& row) {
    FileView file;
    file.id = row.string(0);
    file.name = row.string(1);
    file.purpose = row.string(2);
    file.bytes = row.integer(3);
    file.sha256 = row.string(4);
    file.blob = row.string(5);
    file.place = row.string(6);
    file.created_at = from_millis(row.integer(7));
    file.expires_at = from_millis(row.integer(8));
    return file;
}

std::optional<FileView> find_row(store::Connection& connection, const std::string& id, TimePoint now) {
    const std::string sql = select("id=? AND (expires_at=0 OR expires_at>?)");
    auto& row = connection.prepare(sql).bind(id, to_millis(now));
    if (!row.step()) return std::nullopt;
    FileView file = read_row(row);
    row.reset();
    return file;
}

bool is_read_by_batch(store::Connection& connection, const std::string& blob) {
    auto& row = connection
                    .prepare(
                        "SELECT count(*) FROM batch WHERE input_blob=? AND status IN ('validating', "
                        "'in_progress', 'finalizing', 'cancelling')")
                    .bind(blob);
    const bool read = row.step() && row.integer(0) > 0;
    row.reset();
    return read;
}

/// True if a file, or a batch that has not ended, holds `blob`.
bool is_needed(store::Connection& connection, const std::string& blob) {
    auto& file = connection.prepare("SELECT count(*) FROM file WHERE blob=?").bind(blob);
    const bool by_file = file.step() && file.integer(0) > 0;
    file.reset();
    if (by_file) return true;
    auto& batch = connection
                      .prepare(
                          "SELECT count(*) FROM batch WHERE (input_blob=?1 OR output_blob=?1 OR "
                          "error_blob=?1) AND status IN ('validating', 'in_progress', 'finalizing', "
                          "'cancelling')")
                      .bind(blob);
    const bool by_batch = batch.step() && batch.integer(0) > 0;
    batch.reset();
    return by_batch;
}

/// The name of a data directory: made once.
std::string place_of(const fs::path& folder) {
    const fs::path path = folder / "place";
    std::string name;
    std::ifstream(path) >> name;
    if (!name.empty()) return name;
    name = to_hex(random_uuid());
    std::ofstream(path) << name << '\n';
    return name;
}

}  // namespace

namespace rows {

void insert_file(store::Connection& connection, const FileView& file) {
    const std::string sql =
        std::string("INSERT INTO file (") + kColumns + ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)";
    connection.prepare(sql)
        .bind(file.id, file.name, file.purpose, file.bytes, file.sha256, file.blob, file.place,
              to_millis(file.created_at), to_millis(file.expires_at))
        .run();
}

}  // namespace rows

Files::Files(store::Database& database, CpuPool& pool, Clock& clock, const fs::path& folder)
    : database_(database),
      pool_(pool),
      clock_(clock),
      folder_(folder),
      blobs_(folder),
      place_(place_of(folder)) {}

asio::awaitable<void> Files::start() {
    auto list = [this] { return blobs_.list(kSweepAge); };
    auto names = co_await pool_.run(list);
    auto unneeded = [names = std::move(names)](store::Connection& connection) {
        std::vector<std::string> found;
        for (const std::string& name : names)
            if (!is_needed(connection, name)) found.push_back(name);
        return found;
    };
    auto stray = co_await database_.read(std::move(unneeded));
    co_await remove_blobs(std::move(stray));
}

asio::awaitable<FileView> Files::add(NewFile file) {
    FileView view;
    view.id = "file-" + to_hex(random_uuid());
    view.name = std::move(file.name);
    view.purpose = std::move(file.purpose);
    view.place = place_;
    view.created_at = clock_.now();
    if (file.kept) view.expires_at = view.created_at + *file.kept;
    auto store = [this, view = std::move(view), read = std::move(file.read)]() mutable {
        const auto writer = blobs_.begin();
        Hash hash;
        for (std::string piece = read(); !piece.empty(); piece = read()) {
            writer->append(piece);
            hash.add(piece);
            view.bytes += static_cast<std::int64_t>(piece.size());
        }
        view.blob = writer->finish();
        view.sha256 = hash.hex();
        return view;
    };
    FileView stored = co_await pool_.run(std::move(store));
    auto insert = [stored](store::Connection& connection) -> Result<void> {
        rows::insert_file(connection, stored);
        return {};
    };
    const auto inserted = co_await database_.write(std::move(insert));
    if (!inserted) throw MachineError(inserted.error().detail);
    co_return stored;
}

asio::awaitable<Result<FileView>> Files::find(std::string id) {
    auto look_up = [id, now = clock_.now()](store::Connection& connection) {
        return find_row(connection, id, now);
    };
    auto found = co_await database_.read(std::move(look_up));
    if (!found) co_return Error{Errc::not_found, "there is no file " + id.substr(0, 100)};
    co_return std::move(*found);
}

asio::awaitable<std::vector<FileView>> Files::list(ListOptions options) {
    auto read = [options = std::move(options), now = clock_.now()](store::Connection& connection) {
        std::vector<FileView> files;
        std::int64_t at = options.oldest_first ? -1 : std::numeric_limits<std::int64_t>::max();
        if (!options.after.empty()) {
            const auto last = find_row(connection, options.after, now);
            if (!last) return files;
            at = to_millis(last->created_at);
        }
        const std::string sql =
            select(options.oldest_first ? "(created_at>?1 OR (created_at=?1 AND id>?2))"
                                        : "(created_at<?1 OR (created_at=?1 AND id<?2))") +
            " AND (?3='' OR purpose=?3) AND (expires_at=0 OR expires_at>?4) ORDER BY " +
            (options.oldest_first ? "created_at, id" : "created_at DESC, id DESC") + " LIMIT ?5";
        auto& row = connection.prepare(sql).bind(at, options.after, options.purpose, to_millis(now),
                                                 options.items_max);
        while (row.step()) files.push_back(read_row(row));
        return files;
    };
    co_return co_await database_.read(std::move(read));
}

asio::awaitable<Result<void>> Files::remove(std::string id) {
    auto blob = std::make_shared<std::string>();
    auto drop = [id, blob, now = clock_.now()](store::Connection& connection) -> Result<void> {
        const auto file = find_row(connection, id, now);
        if (!file) return Error{Errc::not_found, "there is no file " + id.substr(0, 100)};
        if (is_read_by_batch(connection, file->blob))
            return Error{Errc::conflict, "a batch that has not ended reads this file; cancel it first"};
        connection.prepare("DELETE FROM file WHERE id=?").bind(id).run();
        *blob = file->blob;
        return {};
    };
    const auto dropped = co_await database_.write(std::move(drop));
    if (!dropped) co_return dropped;
    std::vector<std::string> blobs = {*blob};
    co_await remove_blobs(std::move(blobs));
    co_return dropped;
}

asio::awaitable<void> Files::prune() {
    auto blobs = std::make_shared<std::vector<std::string>>();
    auto drop = [blobs, place = place_,
                 now = to_millis(clock_.now())](store::Connection& connection) -> Result<void> {
        std::vector<std::pair<std::string, std::string>> over;
        auto& row = connection
                        .prepare(
                            "SELECT id, blob FROM file WHERE expires_at>0 AND expires_at<=? AND place=? "
                            "ORDER BY expires_at LIMIT ?")
                        .bind(now, place, kPrunedAtOnce);
        while (row.step()) over.emplace_back(row.string(0), row.string(1));
        for (const auto& [id, blob] : over) {
            if (is_read_by_batch(connection, blob)) continue;
            connection.prepare("DELETE FROM file WHERE id=?").bind(id).run();
            blobs->push_back(blob);
        }
        return {};
    };
    const auto dropped = co_await database_.write(std::move(drop));
    if (!dropped) co_return;
    auto names = std::move(*blobs);
    co_await remove_blobs(std::move(names));
}

Result<fs::path> Files::path_of(const FileView& file) const {
    if (file.place != place_)
        return Error{Errc::unavailable, "this file is on the disk of another server; ask that one"};
    return blobs_.path_of(file.blob);
}

}  // namespace millrace::batch
