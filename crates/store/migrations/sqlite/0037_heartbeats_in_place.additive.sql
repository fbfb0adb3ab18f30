-- A heartbeat changes a row in its place: no index follows the time of the last one.

-- A time that last_seen_at is not before. Whoever looks for silent devices moves it on.
ALTER TABLE devices ADD COLUMN last_seen_floor INTEGER NOT NULL DEFAULT 0;
DROP INDEX devices_silent_idx;
CREATE INDEX devices_silent_idx ON devices (last_seen_floor) WHERE status = 'online';
