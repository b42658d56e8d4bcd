-- Tasks and fan-outs. The columns mean what they mean in ../0006_tasks.sql.
CREATE TABLE task_result (
    id          TEXT COLLATE "C" PRIMARY KEY,
    type        TEXT COLLATE "C" NOT NULL,
    status      TEXT COLLATE "C" NOT NULL,
    fingerprint TEXT COLLATE "C" NOT NULL,
    operation   TEXT COLLATE "C" NOT NULL,
    tenant      TEXT COLLATE "C" NOT NULL DEFAULT '',
    result      TEXT COLLATE "C" NOT NULL DEFAULT '',
    error       TEXT COLLATE "C" NOT NULL DEFAULT '',
    model       TEXT COLLATE "C" NOT NULL DEFAULT '',
    prompt_tokens     BIGINT NOT NULL DEFAULT 0,
    completion_tokens BIGINT NOT NULL DEFAULT 0,
    cached_tokens     BIGINT NOT NULL DEFAULT 0,
    cost_micros       BIGINT NOT NULL DEFAULT 0,
    attempts    BIGINT NOT NULL DEFAULT 0,
    created     BIGINT NOT NULL,
    finished    BIGINT NOT NULL DEFAULT 0
);
CREATE TABLE fan_out (
    id         TEXT COLLATE "C" PRIMARY KEY,
    total      BIGINT NOT NULL,
    done       BIGINT NOT NULL DEFAULT 0,
    last       TEXT COLLATE "C" NOT NULL DEFAULT '',
    join_queue TEXT COLLATE "C" NOT NULL,
    join_body  TEXT COLLATE "C" NOT NULL,
    created    BIGINT NOT NULL
);
CREATE TABLE fan_out_piece (
    fan_out TEXT COLLATE "C" NOT NULL,
    piece   BIGINT NOT NULL,
    result  TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (fan_out, piece)
);
