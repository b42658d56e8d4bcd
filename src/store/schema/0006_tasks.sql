-- Tasks and what became of them, and fan-outs that are wider than one worker (docs/tasks.md, handlers.md).
CREATE TABLE task_result (
    id          TEXT PRIMARY KEY,
    type        TEXT NOT NULL,
    status      TEXT NOT NULL,                    -- accepted, running, succeeded, failed
    fingerprint TEXT NOT NULL,                    -- of type, content and options: what the id stands for
    operation   TEXT NOT NULL,
    tenant      TEXT NOT NULL DEFAULT '',
    result      TEXT NOT NULL DEFAULT '',         -- JSON
    error       TEXT NOT NULL DEFAULT '',
    model       TEXT NOT NULL DEFAULT '',
    prompt_tokens     BIGINT NOT NULL DEFAULT 0,
    completion_tokens BIGINT NOT NULL DEFAULT 0,
    cached_tokens     BIGINT NOT NULL DEFAULT 0,
    cost_micros       BIGINT NOT NULL DEFAULT 0,  -- millionths of the price table's currency
    attempts    BIGINT NOT NULL DEFAULT 0,        -- deliveries that were worked on
    created     BIGINT NOT NULL,                  -- ms since 1970, like the next one
    finished    BIGINT NOT NULL DEFAULT 0         -- 0: not yet
);
CREATE TABLE fan_out (
    id         TEXT PRIMARY KEY,
    total      BIGINT NOT NULL,
    done       BIGINT NOT NULL DEFAULT 0,         -- pieces with a result
    last       TEXT NOT NULL DEFAULT '',          -- the message that brought the last of them
    join_queue TEXT NOT NULL,
    join_body  TEXT NOT NULL,
    created    BIGINT NOT NULL                    -- ms since 1970
);
CREATE TABLE fan_out_piece (
    fan_out TEXT NOT NULL,
    piece   BIGINT NOT NULL,                      -- from 0
    result  TEXT NOT NULL,
    PRIMARY KEY (fan_out, piece)
);
