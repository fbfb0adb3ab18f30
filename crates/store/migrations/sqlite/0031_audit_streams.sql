-- Where copies of the audit go as it is written, and how far each has it.

CREATE TABLE audit_streams (
    name         TEXT PRIMARY KEY,
    position     INTEGER NOT NULL, -- the last entry that has arrived, by its number in the log
    due_at       INTEGER NOT NULL, -- when what comes next is sent; whoever sends puts it off first
    attempts     INTEGER NOT NULL, -- how often that was tried in vain
    failed_since INTEGER,          -- since when it is tried in vain
    problem      TEXT,             -- why it did not arrive last
    arrived_at   INTEGER,          -- when something arrived last
    CHECK ((attempts = 0) = (failed_since IS NULL) AND (attempts = 0) = (problem IS NULL))
) STRICT;
