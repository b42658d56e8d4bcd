-- Rules of subscriptions, when entities were made, changed and used, when the state of a session was set.
ALTER TABLE entity ADD COLUMN created  INTEGER NOT NULL DEFAULT 0;   -- ms since 1970, like the next two
ALTER TABLE entity ADD COLUMN updated  INTEGER NOT NULL DEFAULT 0;   -- its options, its rules
ALTER TABLE entity ADD COLUMN accessed INTEGER NOT NULL DEFAULT 0;   -- sent to or received from
UPDATE entity SET created = CAST(strftime('%s', 'now') AS INTEGER) * 1000;
UPDATE entity SET updated = created, accessed = created;

ALTER TABLE session_state ADD COLUMN changed INTEGER NOT NULL DEFAULT 0;   -- ms since 1970

CREATE TABLE rule (
    entity     INTEGER NOT NULL,               -- the subscription
    name       TEXT NOT NULL COLLATE NOCASE,
    kind       TEXT NOT NULL,                  -- "true", "false", "sql" or "correlation"
    expression TEXT,                           -- of "sql"
    fields     TEXT,                           -- of "correlation": JSON, those that are set
    properties BLOB,                           -- of "correlation": as those of a message
    action     TEXT NOT NULL,                  -- SQL; empty: none
    created    INTEGER NOT NULL,               -- ms since 1970
    PRIMARY KEY (entity, name)
) WITHOUT ROWID;
-- What every subscription has had until now.
INSERT INTO rule(entity, name, kind, action, created)
    SELECT id, '$Default', 'true', '', created FROM entity
    WHERE name LIKE '%/Subscriptions/%' AND name NOT LIKE '%/$DeadLetterQueue';
