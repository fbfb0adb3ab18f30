-- Certificates of devices that a CA elsewhere signs.

-- Calls that may have made a certificate nobody knows of: the serial number is theirs to give.
CREATE TABLE upstream_intents (
    id          TEXT PRIMARY KEY,
    zone        TEXT NOT NULL,
    spki_sha256 TEXT NOT NULL,
    device_id   TEXT, -- no reference: at an enrolment the intent is there before the device
    at          INTEGER NOT NULL
) STRICT;
CREATE INDEX upstream_intents_key_idx ON upstream_intents (spki_sha256);

-- What they call a certificate, and what we do. One without a row in device_certificates was abandoned.
CREATE TABLE upstream_certificates (
    issuer_key_id TEXT NOT NULL,
    serial_number TEXT NOT NULL,
    zone          TEXT NOT NULL,
    upstream_id   TEXT NOT NULL,
    PRIMARY KEY (issuer_key_id, serial_number),
    UNIQUE (zone, upstream_id)
) STRICT;
CREATE INDEX upstream_certificates_serial_idx ON upstream_certificates (serial_number);

-- What is to be revoked there; here it is revoked already.
CREATE TABLE upstream_revocations (
    zone          TEXT NOT NULL,
    upstream_id   TEXT NOT NULL,
    queued_at     INTEGER NOT NULL,
    due_at        INTEGER NOT NULL,
    attempts      INTEGER NOT NULL,
    claimed_until INTEGER, -- until then it is one authority's
    asked_at      INTEGER, -- when they took the request; it takes its time there
    done_at       INTEGER,
    problem       TEXT,    -- why the last attempt failed
    PRIMARY KEY (zone, upstream_id)
) STRICT;
CREATE INDEX upstream_revocations_due_idx ON upstream_revocations (due_at) WHERE done_at IS NULL;
