-- Entities (queues, topics, subscriptions and their dead-letter queues) and the messages they hold.
CREATE TABLE entity (
    id       INTEGER PRIMARY KEY,
    name     TEXT NOT NULL UNIQUE COLLATE NOCASE,  -- "orders", "t/Subscriptions/s", "orders/$DeadLetterQueue"
    options  TEXT NOT NULL                         -- JSON, see broker/entity.hpp
);
-- One row per message. `id` grows for ever: appended on the right, deleted on the left.
-- The small columns come first so that the start-up scan need not read the bodies' overflow pages.
CREATE TABLE message (
    id         INTEGER PRIMARY KEY,
    entity     INTEGER NOT NULL,
    sequence   INTEGER NOT NULL,   -- per entity, ascending
    state      INTEGER NOT NULL,   -- 0 active, 1 deferred, 2 scheduled
    enqueued   INTEGER NOT NULL,   -- ms since 1970
    scheduled  INTEGER,            -- ms since 1970
    expires    INTEGER,            -- ms since 1970
    message_id TEXT NOT NULL,
    session_id TEXT,
    bytes      INTEGER NOT NULL,   -- body and properties, for the queue's size quota
    properties BLOB,               -- everything else, see docs/stored-formats.md
    body       BLOB
);
-- How often a message was handed out; a table of its own so that a delivery never rewrites the body's pages.
CREATE TABLE delivery (
    message  INTEGER PRIMARY KEY,
    count    INTEGER NOT NULL,
    ready_at INTEGER               -- ms since 1970, of a postponed message; NULL: at once
);
-- Where the numbers of an entity go on after a crash: they are reserved in ranges, so that none is used
-- twice even when the queue was empty, and a send need not write this table.
CREATE TABLE entity_sequence (
    entity INTEGER PRIMARY KEY,
    next   INTEGER NOT NULL
);
-- Duplicate-detection history: appended, purged from the left.
CREATE TABLE duplicate (
    id         INTEGER PRIMARY KEY,
    entity     INTEGER NOT NULL,
    seen       INTEGER NOT NULL,   -- ms since 1970
    message_id TEXT NOT NULL
);
CREATE TABLE session_state (
    entity     INTEGER NOT NULL,
    session_id TEXT NOT NULL,
    state      BLOB NOT NULL,
    PRIMARY KEY (entity, session_id)
) WITHOUT ROWID;
