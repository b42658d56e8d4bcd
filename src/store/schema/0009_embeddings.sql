-- Vectors that several processes share. Empty where a process has its state for itself: its index remembers.
CREATE TABLE embedding (
    model  TEXT NOT NULL,                -- "name/dimensions"
    hash   TEXT NOT NULL,                -- SHA-256 of the text, in hexadecimal
    vector BLOB NOT NULL,                -- little-endian float32
    stored INTEGER NOT NULL,             -- milliseconds since 1970
    PRIMARY KEY (model, hash)
) WITHOUT ROWID;
CREATE INDEX embedding_by_time ON embedding (stored);
CREATE INDEX task_result_by_end ON task_result (finished) WHERE finished > 0;
