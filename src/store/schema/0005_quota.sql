-- The quota's ledger: one page for each deployment, and what was spent on each day.
CREATE TABLE quota_page (
    deployment TEXT PRIMARY KEY,
    changes    INTEGER NOT NULL,   -- counted up by each writer before it reads: it locks the row
    page       TEXT NOT NULL       -- JSON, see docs/stored-formats.md
) WITHOUT ROWID;
CREATE TABLE quota_spend (
    day        TEXT NOT NULL,      -- UTC, "2026-11-21"
    deployment TEXT NOT NULL,
    tenant     TEXT NOT NULL,      -- empty: none was named
    calls      INTEGER NOT NULL,
    prompt_tokens     INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL,
    micros     INTEGER NOT NULL,   -- millionths of the prices' currency; of running calls, what they may cost
    PRIMARY KEY (day, deployment, tenant)
) WITHOUT ROWID;
