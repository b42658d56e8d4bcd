// Few large writes to SQLite's log instead of two small ones for each page.
#pragma once

struct sqlite3;

namespace millrace::store {

/// The name of a VFS of SQLite for the connection that writes: the system's own, but for the log. Frames
/// (sqlite.org/fileformat2.html, 4.1) are gathered and written together, up to 120 KiB at once, at the latest
/// with the page of a frame that commits: only then does SQLite flush them or show them to others, so both
/// find what they would find without this. If a write fails, so does the page that caused it, and with it the
/// transaction. What a checkpoint reads page by page is read ahead.
/// Registered by the first call, for as long as the process lives. Any thread.
const char* gathered_log_vfs();

/// To be called before each transaction of a connection that uses this VFS: drops what was gathered for one
/// that was rolled back, and what was read ahead, for another process may have written to the log since.
/// Nothing for other connections.
void begin_gathering(sqlite3* database) noexcept;

}  // namespace millrace::store
