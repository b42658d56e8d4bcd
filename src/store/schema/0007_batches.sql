-- Uploaded files and those that batches have written. The content is a file on the disk of `place`.
CREATE TABLE file (
    id          TEXT PRIMARY KEY,
    name        TEXT NOT NULL,      -- as its sender called it
    purpose     TEXT NOT NULL,      -- batch, batch_output, …
    bytes       BIGINT NOT NULL,
    sha256      TEXT NOT NULL,      -- hexadecimal; empty for what a batch wrote
    blob        TEXT NOT NULL,      -- its name in the folder "files"
    place       TEXT NOT NULL,      -- the data directory that has it
    created_at  BIGINT NOT NULL,    -- ms since 1970
    expires_at  BIGINT NOT NULL     -- 0: never
);
CREATE INDEX file_by_age ON file (created_at, id);
CREATE INDEX file_by_blob ON file (blob);
CREATE INDEX file_by_expiry ON file (expires_at);
CREATE TABLE batch (
    id             TEXT PRIMARY KEY,
    place          TEXT NOT NULL,   -- only the server on this data directory works on it
    status         TEXT NOT NULL,   -- validating, failed, in_progress, finalizing, completed, expired, …
    ending         TEXT NOT NULL,   -- what it becomes after finalizing
    endpoint       TEXT NOT NULL,   -- "/v1/embeddings"
    shown_endpoint TEXT NOT NULL,   -- as its creator wrote it
    deployment     TEXT NOT NULL,   -- of its lines, known once they are validated; or for lines without model
    model          TEXT NOT NULL,   -- as its lines name it
    tenant         TEXT NOT NULL,
    metadata       TEXT NOT NULL,   -- JSON object, or empty
    completion_window TEXT NOT NULL,
    output_kept    BIGINT NOT NULL, -- seconds that its files are kept; 0: for ever
    input_file     TEXT NOT NULL,
    input_blob     TEXT NOT NULL,
    output_blob    TEXT NOT NULL,   -- results so far, from the start on
    error_blob     TEXT NOT NULL,
    output_file    TEXT NOT NULL,   -- empty: none
    error_file     TEXT NOT NULL,
    errors         TEXT NOT NULL,   -- JSON array of what is wrong with the input, or empty
    total          BIGINT NOT NULL,
    completed      BIGINT NOT NULL,
    failed         BIGINT NOT NULL,
    prompt_tokens  BIGINT NOT NULL,
    cached_tokens  BIGINT NOT NULL,
    completion_tokens BIGINT NOT NULL,
    created_at     BIGINT NOT NULL, -- ms since 1970; 0 of the others: not yet
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
