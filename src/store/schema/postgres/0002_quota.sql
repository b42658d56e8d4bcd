-- The quota's ledger: one page for each deployment, and what was spent on each day.
CREATE TABLE quota_page (
    deployment TEXT PRIMARY KEY,
    changes    BIGINT NOT NULL,    -- counted up by each writer before it reads: it locks the row
    page       TEXT NOT NULL       -- JSON, see docs/stored-formats.md
);
CREATE TABLE quota_spend (
    day        TEXT NOT NULL,      -- UTC, "2026-11-21"
    deployment TEXT NOT NULL,
    tenant     TEXT NOT NULL,      -- empty: none was named
    calls      BIGINT NOT NULL,
    prompt_tokens     BIGINT NOT NULL,
    completion_tokens BIGINT NOT NULL,
    micros     BIGINT NOT NULL,    -- millionths of the prices' currency; of running calls, what they may cost
    PRIMARY KEY (day, deployment, tenant)
);
