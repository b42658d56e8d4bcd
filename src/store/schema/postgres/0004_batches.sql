-- Files and batches. The columns mean what they mean in ../0007_batches.sql.
CREATE TABLE file (
    id          TEXT COLLATE "C" PRIMARY KEY,
    name        TEXT COLLATE "C" NOT NULL,
    purpose     TEXT COLLATE "C" NOT NULL,
    bytes       BIGINT NOT NULL,
    sha256      TEXT COLLATE "C" NOT NULL,
    blob        TEXT COLLATE "C" NOT NULL,
    place       TEXT COLLATE "C" NOT NULL,
    created_at  BIGINT NOT NULL,
    expires_at  BIGINT NOT NULL
);
CREATE INDEX file_by_age ON file (created_at, id);
CREATE INDEX file_by_blob ON file (blob);
CREATE INDEX file_by_expiry ON file (expires_at);
CREATE TABLE batch (
    id             TEXT COLLATE "C" PRIMARY KEY,
    place          TEXT COLLATE "C" NOT NULL,
    status         TEXT COLLATE "C" NOT NULL,
    ending         TEXT COLLATE "C" NOT NULL,
    endpoint       TEXT COLLATE "C" NOT NULL,
    shown_endpoint TEXT COLLATE "C" NOT NULL,
    deployment     TEXT COLLATE "C" NOT NULL,
    model          TEXT COLLATE "C" NOT NULL,
    tenant         TEXT COLLATE "C" NOT NULL,
    metadata       TEXT COLLATE "C" NOT NULL,
    completion_window TEXT COLLATE "C" NOT NULL,
    output_kept    BIGINT NOT NULL,
    input_file     TEXT COLLATE "C" NOT NULL,
    input_blob     TEXT COLLATE "C" NOT NULL,
    output_blob    TEXT COLLATE "C" NOT NULL,
    error_blob     TEXT COLLATE "C" NOT NULL,
    output_file    TEXT COLLATE "C" NOT NULL,
    error_file     TEXT COLLATE "C" NOT NULL,
    errors         TEXT COLLATE "C" NOT NULL,
    total          BIGINT NOT NULL,
    completed      BIGINT NOT NULL,
    failed         BIGINT NOT NULL,
    prompt_tokens  BIGINT NOT NULL,
    cached_tokens  BIGINT NOT NULL,
    completion_tokens BIGINT NOT NULL,
    created_at     BIGINT NOT NULL,
    in_progress_at BIGINT NOT NULL,
    expires_at     BIGINT NOT NULL,
    finalizing_at  BIGINT NOT NULL,
    completed_at   BIGINT NOT NULL,
    failed_at      BIGINT NOT NULL,
    expired_at     BIGINT NOT NULL,
    cancelling_at  BIGINT NOT NULL,
    cancelled_at   BIGINT NOT NULL
);
CREATE INDEX batch_by_age ON batch (created_at, id);
CREATE INDEX batch_by_status ON batch (place, status);
CREATE INDEX batch_by_input ON batch (input_blob);
