-- Commands to devices, and how agents are to behave: the tenant's wishes, and what its devices say they go by.

CREATE TABLE commands (
    id           TEXT PRIMARY KEY,
    device_id    TEXT NOT NULL REFERENCES devices (id),
    type         TEXT NOT NULL,
    payload      TEXT, -- JSON
    status       TEXT NOT NULL CHECK (status IN ('queued', 'delivered', 'completed', 'failed', 'expired')),
    created_at   INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL,
    delivered_at INTEGER,
    finished_at  INTEGER,
    result       TEXT, -- JSON
    error        TEXT,
    CHECK ((status IN ('queued', 'delivered')) = (finished_at IS NULL)),
    CHECK (status <> 'delivered' OR delivered_at IS NOT NULL)
) STRICT;
CREATE INDEX commands_device_idx ON commands (device_id, created_at, id);
CREATE INDEX commands_open_idx ON commands (device_id, created_at) WHERE status IN ('queued', 'delivered');
CREATE INDEX commands_waiting_idx ON commands (created_at) WHERE status = 'queued';
CREATE INDEX commands_end_idx ON commands (expires_at) WHERE status IN ('queued', 'delivered');
CREATE INDEX commands_finished_idx ON commands (finished_at) WHERE finished_at IS NOT NULL;

-- When the last open command of a device ends; null: it has none.
ALTER TABLE devices ADD COLUMN commands_until INTEGER;
-- What its agent said last: the version of the settings it goes by, and the hash of the CA certificates
-- that it trusts, with the moment at which it first said so.
ALTER TABLE devices ADD COLUMN reported_config_version INTEGER;
ALTER TABLE devices ADD COLUMN reported_trust_bundle TEXT;
ALTER TABLE devices ADD COLUMN reported_trust_bundle_at INTEGER;

ALTER TABLE tenants ADD COLUMN heartbeat_interval_seconds INTEGER NOT NULL DEFAULT 60;
ALTER TABLE tenants ADD COLUMN metrics_interval_seconds INTEGER NOT NULL DEFAULT 30;
ALTER TABLE tenants ADD COLUMN agent_settings_version INTEGER NOT NULL DEFAULT 1;
