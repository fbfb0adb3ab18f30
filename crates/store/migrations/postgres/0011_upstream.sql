-- Certificates of devices that a CA elsewhere signs.

-- Calls that may have made a certificate nobody knows of: the serial number is theirs to give.
CREATE TABLE upstream_intents (
    id          uuid PRIMARY KEY,
    zone        text COLLATE "C" NOT NULL,
    spki_sha256 text COLLATE "C" NOT NULL,
    device_id   uuid, -- no reference: at an enrolment the intent is there before the device
    at          timestamptz NOT NULL
);
CREATE INDEX upstream_intents_key_idx ON upstream_intents (spki_sha256);

-- What they call a certificate, and what we do. One without a row in device_certificates was abandoned.
CREATE TABLE upstream_certificates (
    issuer_key_id text COLLATE "C" NOT NULL,
    serial_number text COLLATE "C" NOT NULL,
    zone          text COLLATE "C" NOT NULL,
    upstream_id   text COLLATE "C" NOT NULL,
    PRIMARY KEY (issuer_key_id, serial_number),
    UNIQUE (zone, upstream_id)
);
CREATE INDEX upstream_certificates_serial_idx ON upstream_certificates (serial_number);

-- What is to be revoked there; here it is revoked already.
CREATE TABLE upstream_revocations (
    zone          text COLLATE "C" NOT NULL,
    upstream_id   text COLLATE "C" NOT NULL,
    queued_at     timestamptz NOT NULL,
    due_at        timestamptz NOT NULL,
    attempts      bigint NOT NULL,
    claimed_until timestamptz, -- until then it is one authority's
    asked_at      timestamptz, -- when they took the request; it takes its time there
    done_at       timestamptz,
    problem       text,        -- why the last attempt failed
    PRIMARY KEY (zone, upstream_id)
);
CREATE INDEX upstream_revocations_due_idx ON upstream_revocations (due_at) WHERE done_at IS NULL;
