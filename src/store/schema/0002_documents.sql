-- What was accepted, and what became of it.
CREATE TABLE document (
    id          TEXT PRIMARY KEY,
    title       TEXT NOT NULL,
    category    TEXT NOT NULL DEFAULT '',
    metadata    TEXT NOT NULL DEFAULT '{}',       -- JSON object: the sender's and what the pipeline found
    uploaded_at TEXT NOT NULL DEFAULT '',
    status      TEXT NOT NULL,                    -- accepted, running, succeeded, failed
    generation  INTEGER NOT NULL,                 -- the newest accepted version
    live        INTEGER NOT NULL DEFAULT 0,       -- the version that search sees, 0: none
    chunks      INTEGER NOT NULL DEFAULT 0,       -- of the live version
    error       TEXT NOT NULL DEFAULT '',
    operation   TEXT NOT NULL DEFAULT '',         -- operation of the newest version
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX document_by_category ON document (category, id);
CREATE INDEX document_by_status ON document (status, id);
CREATE TABLE operation (
    id          TEXT PRIMARY KEY,
    kind        TEXT NOT NULL,                    -- document, task, batch
    subject     TEXT NOT NULL DEFAULT '',         -- document id
    generation  INTEGER NOT NULL DEFAULT 0,
    status      TEXT NOT NULL,                    -- accepted, running, succeeded, failed
    stage       TEXT NOT NULL DEFAULT '',
    parts       INTEGER NOT NULL DEFAULT 0,       -- bits of finished branches: 1 indexed, 2 metadata
    done        INTEGER NOT NULL DEFAULT 0,
    total       INTEGER NOT NULL DEFAULT 0,
    wait_reason TEXT NOT NULL DEFAULT '',
    attempts    TEXT NOT NULL DEFAULT '[]',       -- JSON array, append-only
    result      TEXT NOT NULL DEFAULT '',         -- JSON
    error       TEXT NOT NULL DEFAULT '',
    prompt_tokens     INTEGER NOT NULL DEFAULT 0,
    completion_tokens INTEGER NOT NULL DEFAULT 0,
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX operation_by_update ON operation (status, updated_at);
CREATE INDEX operation_by_subject ON operation (subject, generation);
-- Results of handler steps: a redelivery reads them instead of paying again.
CREATE TABLE step (
    message TEXT NOT NULL,
    name    TEXT NOT NULL,
    result  BLOB NOT NULL,
    stored  INTEGER NOT NULL,                     -- ms since 1970, for pruning
    PRIMARY KEY (message, name)
) WITHOUT ROWID;
CREATE INDEX step_by_time ON step (stored);
-- Answers of POST requests that carried an Idempotency-Key.
CREATE TABLE idempotency (
    key         TEXT PRIMARY KEY,                 -- caller and key, hashed
    fingerprint TEXT NOT NULL,                    -- hash of method, path and body
    status      INTEGER NOT NULL,
    answer      TEXT NOT NULL,                    -- JSON: headers and body
    stored      INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX idempotency_by_time ON idempotency (stored);
-- What a watched folder has taken in: path and the content it had.
CREATE TABLE watched_file (
    path     TEXT PRIMARY KEY,
    size     INTEGER NOT NULL,
    modified INTEGER NOT NULL,                    -- ns since 1970
    document TEXT NOT NULL
) WITHOUT ROWID;
-- Files of the blob store and the version of a document that needs them; a file without a row is swept away.
CREATE TABLE blob (
    name       TEXT PRIMARY KEY,
    document   TEXT NOT NULL,
    generation INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX blob_by_document ON blob (document, generation);
