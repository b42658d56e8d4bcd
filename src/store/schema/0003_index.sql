-- What search reads: passages of documents with their words and vectors. See docs/search.md.

-- The newest state of the index: each publish and remove counts it up in its own transaction.
CREATE TABLE index_state (
    id    INTEGER PRIMARY KEY CHECK (id = 1),
    stamp INTEGER NOT NULL
);
INSERT INTO index_state VALUES (1, 0);
-- Whose vectors are stored: "name/dimensions".
CREATE TABLE model (
    id   INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
);
-- Versions of documents. Search sees those with live = 1, at most one of a document.
CREATE TABLE version (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    document   TEXT NOT NULL,
    generation INTEGER NOT NULL,         -- negative: parked, its rows are being removed
    title      TEXT NOT NULL,
    category   TEXT NOT NULL,
    model      INTEGER NOT NULL,
    chunks     INTEGER,                  -- NULL: not completely staged
    live       INTEGER NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX version_by_document ON version (document, generation);
CREATE UNIQUE INDEX version_live ON version (document) WHERE live = 1;
CREATE TABLE chunk (
    id       INTEGER PRIMARY KEY,
    version  INTEGER NOT NULL,
    ordinal  INTEGER NOT NULL,           -- from 0, in document order
    heading  TEXT NOT NULL,
    page     INTEGER NOT NULL,
    begin    INTEGER NOT NULL,           -- bytes of the extracted text
    end      INTEGER NOT NULL,
    tokens   INTEGER NOT NULL,
    hash     BLOB NOT NULL,              -- SHA-256 of the text
    model    INTEGER NOT NULL,
    embedded INTEGER NOT NULL,           -- 1: has a row in chunk_vector
    text     TEXT NOT NULL
);
CREATE UNIQUE INDEX chunk_by_place ON chunk (version, ordinal);
CREATE INDEX chunk_by_hash ON chunk (hash, model) WHERE embedded = 1;
CREATE INDEX chunk_missing ON chunk (version, ordinal) WHERE embedded = 0;
-- Apart from chunk, whose rows keyword search visits for their version alone.
CREATE TABLE chunk_vector (
    chunk  INTEGER PRIMARY KEY,
    vector BLOB NOT NULL                 -- little-endian fp32, unit length
);
-- Both contentless: a row is removed by feeding its old text to 'delete'.
CREATE VIRTUAL TABLE chunk_words USING fts5(title, heading, text, content='', tokenize='porter unicode61');
-- Row: version.id, there if version.chunks is not NULL; the text is that of the first passages.
CREATE VIRTUAL TABLE document_words USING fts5(title, text, content='', tokenize='porter unicode61');
