-- Passages of documents: their text, their vector and their words. See docs/search.md.
CREATE TABLE chunk (
    id         INTEGER PRIMARY KEY,
    document   TEXT NOT NULL,
    generation INTEGER NOT NULL,
    ordinal    INTEGER NOT NULL,
    title      TEXT NOT NULL,
    category   TEXT NOT NULL,
    heading    TEXT NOT NULL,
    page       INTEGER NOT NULL,
    begin      INTEGER NOT NULL,
    end        INTEGER NOT NULL,
    tokens     INTEGER NOT NULL,
    hash       BLOB NOT NULL,            -- SHA-256 of the text
    model      TEXT NOT NULL,            -- whose vector it is: name/dimensions
    text       TEXT NOT NULL,
    vector     BLOB                      -- little-endian fp32, unit length; NULL: not embedded yet
);
CREATE UNIQUE INDEX chunk_by_place ON chunk (document, generation, ordinal);
CREATE INDEX chunk_by_hash ON chunk (hash, model) WHERE vector IS NOT NULL;
