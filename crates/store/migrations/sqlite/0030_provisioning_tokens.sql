-- Provisioning tokens: what devices without a certificate show at the MQTT door's token listener.

CREATE TABLE provisioning_tokens (
    serial_number TEXT PRIMARY KEY, -- its name; it says nothing of the token
    device_id     TEXT NOT NULL REFERENCES devices (id),
    token_sha256  TEXT NOT NULL,
    set_at        INTEGER NOT NULL,
    ended_at      INTEGER -- replaced or removed: the sessions that it opened end
) STRICT;
CREATE UNIQUE INDEX provisioning_tokens_device_idx ON provisioning_tokens (device_id) WHERE ended_at IS NULL;
CREATE INDEX provisioning_tokens_ended_idx ON provisioning_tokens (ended_at) WHERE ended_at IS NOT NULL;
