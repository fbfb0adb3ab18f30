-- Rotations of CAs, and what is measured before a step is taken.

CREATE TABLE ca_rotations (
    id             TEXT PRIMARY KEY,
    old_key_id     TEXT NOT NULL REFERENCES issuers (key_id),
    new_key_id     TEXT NOT NULL UNIQUE REFERENCES issuers (key_id),
    step           TEXT NOT NULL CHECK (step IN ('prepared', 'canary', 'active', 'retired', 'withdrawn')),
    canary         TEXT, -- tenant:…, percent:… or devices:…
    prepared_at    INTEGER NOT NULL,
    prepared_epoch INTEGER NOT NULL, -- the one from which on doors trust the new CA
    activated_at   INTEGER,
    ended_at       INTEGER,
    renew_from     INTEGER, -- from when on devices are asked to follow
    renew_over     INTEGER, -- over how many milliseconds
    CHECK ((step = 'canary') = (canary IS NOT NULL)),
    CHECK ((step IN ('retired', 'withdrawn')) = (ended_at IS NOT NULL)),
    CHECK ((renew_from IS NULL) = (renew_over IS NULL))
) STRICT;
CREATE UNIQUE INDEX ca_rotations_one_open_idx ON ca_rotations (old_key_id)
    WHERE step IN ('prepared', 'canary', 'active');

-- The devices that were chosen to go first, of a canary that is a number.
CREATE TABLE ca_rotation_devices (
    rotation_id TEXT NOT NULL REFERENCES ca_rotations (id),
    device_id   TEXT NOT NULL REFERENCES devices (id),
    PRIMARY KEY (rotation_id, device_id)
) STRICT;

-- What every running authority says of the edges that are attached to it.
CREATE TABLE edge_reports (
    authority_id  TEXT PRIMARY KEY,
    edges         INTEGER NOT NULL,
    applied_epoch INTEGER NOT NULL, -- the lowest that one of them enforces
    door_issuer   TEXT, -- who signed the certificate that its doors show
    at            INTEGER NOT NULL
) STRICT;

-- Who signed a device's latest certificate.
ALTER TABLE devices ADD COLUMN certificate_issuer TEXT;
UPDATE devices SET certificate_issuer = (
    SELECT c.issuer_key_id FROM device_certificates c
    WHERE c.device_uuid = devices.id AND c.serial_number = devices.mtls_cert_serial_number
    ORDER BY c.issued_at DESC LIMIT 1
) WHERE mtls_cert_serial_number IS NOT NULL;
