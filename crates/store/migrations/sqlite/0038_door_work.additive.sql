-- What doors do: connections that they let in, by ten minutes and process, and how busy edges elsewhere are.

CREATE TABLE door_work (
    slot       INTEGER NOT NULL, -- ten minutes, counted from the Unix epoch
    source     TEXT NOT NULL, -- the process, and of an edge elsewhere its record
    handshakes INTEGER NOT NULL,
    PRIMARY KEY (slot, source)
) STRICT, WITHOUT ROWID;

-- Null: an edge that does not say, or has not said yet.
ALTER TABLE edges ADD COLUMN load_at INTEGER;
ALTER TABLE edges ADD COLUMN connections INTEGER NOT NULL DEFAULT 0;
ALTER TABLE edges ADD COLUMN handshakes_per_minute INTEGER NOT NULL DEFAULT 0;
ALTER TABLE edges ADD COLUMN requests_per_minute INTEGER NOT NULL DEFAULT 0;

-- How often devices came or fell silent at an authority, as it counts: other authorities' pages follow it.
ALTER TABLE edge_reports ADD COLUMN presence INTEGER NOT NULL DEFAULT 0;
