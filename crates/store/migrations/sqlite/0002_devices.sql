-- Enrolment keys, devices, their certificates, and what must never be trusted again.
-- The columns and indexes of devices that seed 000 names are spelled as it spells them.

CREATE TABLE devices (
    id                      TEXT PRIMARY KEY,
    org_id                  TEXT NOT NULL REFERENCES tenants (id),
    site_id                 TEXT NOT NULL REFERENCES sites (id),
    agent_id                TEXT NOT NULL UNIQUE,
    name                    TEXT NOT NULL,
    hostname                TEXT NOT NULL,
    os_type                 TEXT NOT NULL,
    os_version              TEXT NOT NULL,
    architecture            TEXT NOT NULL,
    agent_version           TEXT NOT NULL,
    hardware_serial         TEXT,
    status                  TEXT NOT NULL CHECK (status IN
        ('pending', 'online', 'offline', 'maintenance', 'quarantined', 'decommissioned')),
    token_sha256            TEXT UNIQUE,
    last_seen_at            INTEGER,
    last_ip                 TEXT,
    mtls_cert_serial_number TEXT,
    mtls_cert_expires_at    INTEGER,
    mtls_cert_issued_at     INTEGER,
    mtls_cert_cf_id         TEXT,
    quarantined_at          INTEGER,
    quarantined_reason      TEXT,
    pending_key             BLOB,
    grant_until             INTEGER,
    enrolled_at             INTEGER NOT NULL,
    decommissioned_at       INTEGER,
    revision                INTEGER NOT NULL,
    trust_epoch             INTEGER NOT NULL DEFAULT 0, -- the last one at which doors had to hear of it
    UNIQUE (org_id, name)
) STRICT;
CREATE INDEX devices_mtls_cert_expires_idx ON devices (mtls_cert_expires_at)
    WHERE mtls_cert_expires_at IS NOT NULL AND status NOT IN ('decommissioned');
CREATE INDEX devices_quarantined_idx ON devices (org_id, status) WHERE status = 'quarantined';
CREATE INDEX devices_barred_idx ON devices (status, quarantined_at)
    WHERE status IN ('quarantined', 'decommissioned');
CREATE INDEX devices_enrolled_idx ON devices (enrolled_at, id);
CREATE INDEX devices_org_enrolled_idx ON devices (org_id, enrolled_at, id);
CREATE INDEX devices_silent_idx ON devices (last_seen_at) WHERE status = 'online';
CREATE INDEX devices_trust_epoch_idx ON devices (trust_epoch) WHERE trust_epoch <> 0;
CREATE INDEX devices_grant_idx ON devices (grant_until) WHERE grant_until IS NOT NULL;

CREATE TABLE enrollment_keys (
    id           TEXT PRIMARY KEY,
    key_sha256   TEXT NOT NULL UNIQUE,
    org_id       TEXT NOT NULL REFERENCES tenants (id),
    site_id      TEXT NOT NULL REFERENCES sites (id),
    max_uses     INTEGER NOT NULL,
    uses         INTEGER NOT NULL CHECK (uses BETWEEN 0 AND max_uses),
    expires_at   INTEGER NOT NULL,
    approval     TEXT NOT NULL CHECK (approval IN ('not_needed', 'required')),
    name_pattern TEXT,
    device_id    TEXT REFERENCES devices (id),
    spki_sha256  TEXT,
    networks     TEXT NOT NULL,
    created_at   INTEGER NOT NULL,
    created_by   TEXT REFERENCES users (id),
    revoked_at   INTEGER
) STRICT;
CREATE INDEX enrollment_keys_org_idx ON enrollment_keys (org_id, created_at);

-- tenant_id is the tenant's slug and device_id the device's name, as in seed 004.
CREATE TABLE device_certificates (
    id                TEXT PRIMARY KEY,
    device_uuid       TEXT NOT NULL REFERENCES devices (id),
    tenant_id         TEXT NOT NULL,
    device_id         TEXT NOT NULL,
    issuer_key_id     TEXT NOT NULL,
    serial_number     TEXT NOT NULL,
    spki_sha256       TEXT NOT NULL,
    der               BLOB NOT NULL,
    status            TEXT NOT NULL CHECK (status IN
        ('PENDING_ACTIVATION', 'ACTIVE', 'SUPERSEDED', 'REVOKED', 'EXPIRED')),
    issued_at         INTEGER NOT NULL,
    not_after         INTEGER NOT NULL,
    confirm_before    INTEGER,
    superseded_until  INTEGER,
    revoked_at        INTEGER,
    revocation_reason TEXT,
    UNIQUE (issuer_key_id, serial_number),
    CHECK ((status = 'REVOKED') = (revoked_at IS NOT NULL)),
    CHECK ((revoked_at IS NULL) = (revocation_reason IS NULL)),
    CHECK (status <> 'SUPERSEDED' OR superseded_until IS NOT NULL),
    CHECK (status <> 'PENDING_ACTIVATION' OR confirm_before IS NOT NULL)
) STRICT;
CREATE UNIQUE INDEX device_certificates_one_active_idx ON device_certificates (device_uuid)
    WHERE status = 'ACTIVE';
CREATE UNIQUE INDEX device_certificates_one_pending_idx ON device_certificates (device_uuid)
    WHERE status = 'PENDING_ACTIVATION';
CREATE INDEX device_certificates_device_idx ON device_certificates (device_uuid, issued_at, id);
CREATE INDEX device_certificates_issued_idx ON device_certificates (issued_at, id);
CREATE INDEX device_certificates_tenant_idx ON device_certificates (tenant_id, issued_at, id);
CREATE INDEX device_certificates_serial_idx ON device_certificates (serial_number);
CREATE INDEX device_certificates_revoked_key_idx ON device_certificates (spki_sha256)
    WHERE status = 'REVOKED';
CREATE INDEX device_certificates_end_idx ON device_certificates (not_after)
    WHERE status IN ('PENDING_ACTIVATION', 'ACTIVE', 'SUPERSEDED');
CREATE INDEX device_certificates_confirm_idx ON device_certificates (confirm_before)
    WHERE status = 'PENDING_ACTIVATION';
CREATE INDEX device_certificates_overlap_idx ON device_certificates (superseded_until)
    WHERE status = 'SUPERSEDED';

-- Serials reserved for certificates that are about to be signed.
CREATE TABLE issuance_intents (
    issuer_key_id TEXT NOT NULL,
    serial_number TEXT NOT NULL,
    device_id     TEXT, -- no reference: at an enrolment the intent is there before the device
    profile       TEXT NOT NULL,
    at            INTEGER NOT NULL,
    expires_at    INTEGER NOT NULL,
    PRIMARY KEY (issuer_key_id, serial_number)
) STRICT;

-- What is on CRLs and in the deny set, with or without a certificate row.
CREATE TABLE revocations (
    issuer_key_id TEXT NOT NULL,
    serial_number TEXT NOT NULL,
    spki_sha256   TEXT,
    revoked_at    INTEGER NOT NULL,
    reason        TEXT NOT NULL,
    expires_at    INTEGER NOT NULL,
    PRIMARY KEY (issuer_key_id, serial_number)
) STRICT;
CREATE INDEX revocations_live_idx ON revocations (expires_at);
CREATE INDEX revocations_key_idx ON revocations (spki_sha256) WHERE spki_sha256 IS NOT NULL;

CREATE TABLE denied_keys (
    spki_sha256 TEXT PRIMARY KEY,
    org_id      TEXT NOT NULL REFERENCES tenants (id),
    device_id   TEXT NOT NULL REFERENCES devices (id),
    at          INTEGER NOT NULL
) STRICT;
CREATE INDEX denied_keys_device_idx ON denied_keys (device_id);

CREATE TABLE denied_traits (
    org_id TEXT NOT NULL REFERENCES tenants (id),
    kind   TEXT NOT NULL CHECK (kind IN ('hostname', 'hardware_serial')),
    value  TEXT NOT NULL,
    PRIMARY KEY (org_id, kind, value)
) STRICT;

CREATE TABLE challenges (
    id         TEXT PRIMARY KEY,
    device_id  TEXT NOT NULL REFERENCES devices (id),
    nonce      TEXT NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;
CREATE INDEX challenges_device_idx ON challenges (device_id);
