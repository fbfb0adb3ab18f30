-- What devices sent over MQTT: what was taken, and what was set aside with the reason.

CREATE TABLE telemetry (
    id                 INTEGER PRIMARY KEY, -- in the order in which they were taken
    org_id             TEXT NOT NULL REFERENCES tenants (id),
    device_id          TEXT NOT NULL REFERENCES devices (id),
    certificate_issuer TEXT NOT NULL,
    serial_number      TEXT NOT NULL,
    topic              TEXT NOT NULL,
    qos                INTEGER NOT NULL CHECK (qos BETWEEN 0 AND 2),
    duplicate_of       INTEGER, -- an earlier one of the same device, topic and payload
    received_at        INTEGER NOT NULL,
    sent_at            INTEGER, -- when the device says it was
    payload            TEXT NOT NULL -- JSON, without secrets
) STRICT;
CREATE INDEX telemetry_device_idx ON telemetry (device_id, id);
CREATE INDEX telemetry_org_idx ON telemetry (org_id, id);
CREATE INDEX telemetry_received_idx ON telemetry (received_at);

CREATE TABLE quarantine_messages (
    id                 INTEGER PRIMARY KEY,
    org_id             TEXT REFERENCES tenants (id), -- none: the tenant is unknown here
    tenant             TEXT NOT NULL, -- from the certificate, as the next four
    device_name        TEXT NOT NULL,
    certificate_issuer TEXT NOT NULL,
    serial_number      TEXT NOT NULL,
    device_id          TEXT REFERENCES devices (id), -- none: no such device is on record
    topic              TEXT NOT NULL, -- as it was claimed
    qos                INTEGER NOT NULL CHECK (qos BETWEEN 0 AND 2),
    reason             TEXT NOT NULL,
    received_at        INTEGER NOT NULL,
    payload            BLOB NOT NULL, -- its beginning, without secrets
    payload_bytes      INTEGER NOT NULL, -- how long it was
    released_at        INTEGER,
    released_as        INTEGER, -- the telemetry that it became
    CHECK ((released_at IS NULL) = (released_as IS NULL))
) STRICT;
CREATE INDEX quarantine_messages_device_idx ON quarantine_messages (tenant, device_name, id);
CREATE INDEX quarantine_messages_org_idx ON quarantine_messages (org_id, id);
CREATE INDEX quarantine_messages_received_idx ON quarantine_messages (received_at);
