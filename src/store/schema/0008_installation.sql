-- What this data directory is called where several share one state on PostgreSQL.
CREATE TABLE installation (
    id TEXT NOT NULL
);
INSERT INTO installation VALUES (lower(hex(randomblob(16))));
-- Messages of the shared outbox that the queues have: written with them, so that none is sent twice.
CREATE TABLE handed_over (
    hand TEXT PRIMARY KEY
) WITHOUT ROWID;
