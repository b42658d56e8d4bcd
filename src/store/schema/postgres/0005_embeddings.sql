-- Vectors that processes share. The columns mean what they mean in ../0009_embeddings.sql.
CREATE TABLE embedding (
    model  TEXT COLLATE "C" NOT NULL,
    hash   TEXT COLLATE "C" NOT NULL,
    vector BYTEA NOT NULL,
    stored BIGINT NOT NULL,
    PRIMARY KEY (model, hash)
);
CREATE INDEX embedding_by_time ON embedding (stored);
CREATE INDEX task_result_by_end ON task_result (finished) WHERE finished > 0;
