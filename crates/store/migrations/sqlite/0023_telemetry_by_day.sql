-- On PostgreSQL telemetry lies by day. One file has no days: what is no longer kept is found by this index, which is there.
CREATE INDEX IF NOT EXISTS telemetry_received_idx ON telemetry (received_at);
