-- The body of a message that is large, in a file of the folder `values` (store/value_log.hpp): then `body` is
-- NULL.
ALTER TABLE message ADD COLUMN value_file INTEGER;
ALTER TABLE message ADD COLUMN value_offset INTEGER;
ALTER TABLE message ADD COLUMN value_bytes INTEGER;
-- Written before files are used again, so that the end of the rows that referred to them is safe on disk.
CREATE TABLE value_freed (
    id   INTEGER PRIMARY KEY CHECK (id = 1),
    file INTEGER NOT NULL  -- the last of them
);
