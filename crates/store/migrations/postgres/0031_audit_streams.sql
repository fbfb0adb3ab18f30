-- Where copies of the audit go as it is written, and how far each has it.

CREATE TABLE audit_streams (
    name         text COLLATE "C" PRIMARY KEY,
    position     bigint NOT NULL, -- the last entry that has arrived, by its number in the log
    due_at       timestamptz NOT NULL, -- when what comes next is sent; whoever sends puts it off first
    attempts     bigint NOT NULL, -- how often that was tried in vain
    failed_since timestamptz,      -- since when it is tried in vain
    problem      text,             -- why it did not arrive last
    arrived_at   timestamptz,      -- when something arrived last
    CHECK ((attempts = 0) = (failed_since IS NULL) AND (attempts = 0) = (problem IS NULL))
);
