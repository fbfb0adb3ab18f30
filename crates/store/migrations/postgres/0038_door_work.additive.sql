-- What doors do: connections that they let in, by ten minutes and process, and how busy edges elsewhere are.

CREATE TABLE door_work (
    slot       bigint NOT NULL, -- ten minutes, counted from the Unix epoch
    source     text COLLATE "C" NOT NULL, -- the process, and of an edge elsewhere its record
    handshakes bigint NOT NULL,
    PRIMARY KEY (slot, source)
);

-- Null: an edge that does not say, or has not said yet.
ALTER TABLE edges ADD COLUMN load_at timestamptz;
ALTER TABLE edges ADD COLUMN connections bigint NOT NULL DEFAULT 0;
ALTER TABLE edges ADD COLUMN handshakes_per_minute bigint NOT NULL DEFAULT 0;
ALTER TABLE edges ADD COLUMN requests_per_minute bigint NOT NULL DEFAULT 0;

-- How often devices came or fell silent at an authority, as it counts: other authorities' pages follow it.
ALTER TABLE edge_reports ADD COLUMN presence bigint NOT NULL DEFAULT 0;
