-- The state that devices are to have and say they have, and jobs: one command to each of many devices.

CREATE TABLE device_shadows (
    device_id        TEXT PRIMARY KEY REFERENCES devices (id),
    desired          TEXT, -- JSON
    desired_version  INTEGER NOT NULL DEFAULT 0, -- counts up with each change
    desired_at       INTEGER,
    reported         TEXT, -- JSON, in the device's words
    reported_version INTEGER, -- the version of the desired state that the device says it goes by
    reported_at      INTEGER,
    CHECK ((desired IS NULL) = (desired_at IS NULL)),
    CHECK ((reported IS NULL) = (reported_at IS NULL))
) STRICT;
CREATE INDEX device_shadows_desired_idx ON device_shadows (desired_at) WHERE desired_at IS NOT NULL;

CREATE TABLE jobs (
    id           TEXT PRIMARY KEY,
    org_id       TEXT NOT NULL REFERENCES tenants (id),
    name         TEXT NOT NULL,
    document     TEXT NOT NULL, -- JSON
    created_at   INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL,
    cancelled_at INTEGER
) STRICT;
CREATE INDEX jobs_created_idx ON jobs (created_at, id);
CREATE INDEX jobs_org_idx ON jobs (org_id, created_at, id);
CREATE INDEX jobs_expires_idx ON jobs (expires_at);

-- The job that a command belongs to; null: it is one of its own.
ALTER TABLE commands ADD COLUMN job_id TEXT REFERENCES jobs (id);
CREATE INDEX commands_job_idx ON commands (job_id, device_id) WHERE job_id IS NOT NULL;
