-- What concerns many devices at once, and bearer tokens that are being replaced.

-- A new bearer token that its device has not confirmed. It counts only as long as the token that it
-- replaces is the device's.
CREATE TABLE staged_tokens (
    device_id       TEXT PRIMARY KEY REFERENCES devices (id),
    token_sha256    TEXT NOT NULL UNIQUE,
    replaces_sha256 TEXT NOT NULL,
    expires_at      INTEGER NOT NULL
) STRICT;
