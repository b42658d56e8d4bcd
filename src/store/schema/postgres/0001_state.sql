-- The state that the processes of a fleet share: documents, operations, steps, answers. The columns mean
-- what they mean in ../0002_documents.sql. Texts are compared byte by byte, as SQLite does; times are ms
-- since 1970.
CREATE TABLE document (
    id          TEXT COLLATE "C" PRIMARY KEY,
    title       TEXT COLLATE "C" NOT NULL,
    category    TEXT COLLATE "C" NOT NULL DEFAULT '',
    metadata    TEXT COLLATE "C" NOT NULL DEFAULT '{}',
    uploaded_at TEXT COLLATE "C" NOT NULL DEFAULT '',
    status      TEXT COLLATE "C" NOT NULL,
    generation  BIGINT NOT NULL,
    live        BIGINT NOT NULL DEFAULT 0,
    chunks      BIGINT NOT NULL DEFAULT 0,
    error       TEXT COLLATE "C" NOT NULL DEFAULT '',
    operation   TEXT COLLATE "C" NOT NULL DEFAULT '',
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL
);
CREATE INDEX document_by_category ON document (category, id);
CREATE INDEX document_by_status ON document (status, id);
CREATE TABLE operation (
    id          TEXT COLLATE "C" PRIMARY KEY,
    kind        TEXT COLLATE "C" NOT NULL,
    subject     TEXT COLLATE "C" NOT NULL DEFAULT '',
    generation  BIGINT NOT NULL DEFAULT 0,
    status      TEXT COLLATE "C" NOT NULL,
    stage       TEXT COLLATE "C" NOT NULL DEFAULT '',
    parts       BIGINT NOT NULL DEFAULT 0,
    done        BIGINT NOT NULL DEFAULT 0,
    total       BIGINT NOT NULL DEFAULT 0,
    wait_reason TEXT COLLATE "C" NOT NULL DEFAULT '',
    attempts    TEXT COLLATE "C" NOT NULL DEFAULT '[]',
    result      TEXT COLLATE "C" NOT NULL DEFAULT '',
    error       TEXT COLLATE "C" NOT NULL DEFAULT '',
    prompt_tokens     BIGINT NOT NULL DEFAULT 0,
    completion_tokens BIGINT NOT NULL DEFAULT 0,
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL
);
CREATE INDEX operation_by_update ON operation (status, updated_at);
CREATE INDEX operation_by_subject ON operation (subject, generation);
CREATE TABLE step (
    message TEXT COLLATE "C" NOT NULL,
    name    TEXT COLLATE "C" NOT NULL,
    result  BYTEA NOT NULL,
    stored  BIGINT NOT NULL,
    PRIMARY KEY (message, name)
);
CREATE INDEX step_by_time ON step (stored);
CREATE TABLE idempotency (
    key         TEXT COLLATE "C" PRIMARY KEY,
    fingerprint TEXT COLLATE "C" NOT NULL,
    status      BIGINT NOT NULL,
    answer      TEXT COLLATE "C" NOT NULL,
    stored      BIGINT NOT NULL
);
CREATE INDEX idempotency_by_time ON idempotency (stored);
CREATE TABLE watched_file (
    path     TEXT COLLATE "C" PRIMARY KEY,
    size     BIGINT NOT NULL,
    modified BIGINT NOT NULL,
    document TEXT COLLATE "C" NOT NULL
);
CREATE TABLE blob (
    name       TEXT COLLATE "C" PRIMARY KEY,
    document   TEXT COLLATE "C" NOT NULL,
    generation BIGINT NOT NULL
);
CREATE INDEX blob_by_document ON blob (document, generation);
-- Messages on their way into the queues of a process: stored with the rows that they belong to, gone once the
-- queue has them. A process hands over only its own.
CREATE TABLE outbox (
    id         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    owner      TEXT COLLATE "C" NOT NULL,   -- installation.id of the process's own database
    hand       TEXT COLLATE "C" NOT NULL,   -- those that were sent together; handed_over.hand there
    entity     TEXT COLLATE "C" NOT NULL,
    message_id TEXT COLLATE "C" NOT NULL,
    session_id TEXT COLLATE "C",
    scheduled  BIGINT,
    properties BYTEA NOT NULL,              -- as in message.properties
    body       BYTEA NOT NULL
);
CREATE INDEX outbox_by_owner ON outbox (owner, id);
CREATE INDEX outbox_by_hand ON outbox (hand);
