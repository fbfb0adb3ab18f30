-- What concerns many devices at once, and bearer tokens that are being replaced.

-- A new bearer token that its device has not confirmed. It counts only as long as the token that it
-- replaces is the device's.
CREATE TABLE staged_tokens (
    device_id       TEXT PRIMARY KEY REFERENCES devices (id),
    token_sha256    TEXT NOT NULL UNIQUE,
    replaces_sha256 TEXT NOT NULL,
    expires_at      INTEGER NOT NULL
) STRICT;

-- A key that is not denied any more keeps its row, so that doors hear of it.
ALTER TABLE denied_keys ADD COLUMN lifted_at INTEGER;
CREATE INDEX denied_keys_at_idx ON denied_keys (at, spki_sha256);

-- What somebody has been shown before it is revoked.
CREATE TABLE revocation_selections (
    id         TEXT PRIMARY KEY,
    actor      TEXT NOT NULL,
    selector   TEXT NOT NULL, -- JSON
    org_id     TEXT REFERENCES tenants (id),
    reason     TEXT NOT NULL,
    digest     TEXT NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;

-- When a device was last admitted over its certificate ('certificate'), and when it was last admitted
-- without what enforce would have asked for (the code of the refusal).
CREATE TABLE device_usage (
    device_id TEXT NOT NULL REFERENCES devices (id),
    outcome   TEXT NOT NULL,
    last_at   INTEGER NOT NULL,
    PRIMARY KEY (device_id, outcome)
) STRICT;
CREATE INDEX device_usage_refused_idx ON device_usage (last_at, device_id) WHERE outcome <> 'certificate';
