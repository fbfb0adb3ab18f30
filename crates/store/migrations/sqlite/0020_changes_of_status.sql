-- A change of a row's status writes the row's every index again, so indexes of what hardly ever changes are elsewhere.

-- Certificates: what never changes is in one table and where each stands in another; device_certificates shows both
-- as it always did.

CREATE TABLE issued_certificates (
    id            TEXT PRIMARY KEY,
    device_uuid   TEXT NOT NULL REFERENCES devices (id),
    tenant_id     TEXT NOT NULL,
    device_id     TEXT NOT NULL,
    issuer_key_id TEXT NOT NULL,
    serial_number TEXT NOT NULL,
    spki_sha256   TEXT NOT NULL,
    der           BLOB NOT NULL,
    issued_at     INTEGER NOT NULL,
    UNIQUE (serial_number, issuer_key_id)
) STRICT;

CREATE TABLE certificate_states (
    certificate_id    TEXT PRIMARY KEY REFERENCES issued_certificates (id),
    device_uuid       TEXT NOT NULL,
    status            TEXT NOT NULL CHECK (status IN
        ('PENDING_ACTIVATION', 'ACTIVE', 'SUPERSEDED', 'REVOKED', 'EXPIRED')),
    not_after         INTEGER NOT NULL,
    confirm_before    INTEGER,
    superseded_until  INTEGER,
    revoked_at        INTEGER,
    revocation_reason TEXT,
    CHECK ((status = 'REVOKED') = (revoked_at IS NOT NULL)),
    CHECK ((revoked_at IS NULL) = (revocation_reason IS NULL)),
    CHECK (status <> 'SUPERSEDED' OR superseded_until IS NOT NULL),
    CHECK (status <> 'PENDING_ACTIVATION' OR confirm_before IS NOT NULL)
) STRICT;

INSERT INTO issued_certificates
SELECT id, device_uuid, tenant_id, device_id, issuer_key_id, serial_number, spki_sha256, der, issued_at
FROM device_certificates;
INSERT INTO certificate_states
SELECT id, device_uuid, status, not_after, confirm_before, superseded_until, revoked_at, revocation_reason
FROM device_certificates;
DROP TABLE device_certificates;

CREATE INDEX issued_certificates_device_idx ON issued_certificates (device_uuid, issued_at, id);
CREATE INDEX issued_certificates_issued_idx ON issued_certificates (issued_at, id);
CREATE INDEX issued_certificates_tenant_idx ON issued_certificates (tenant_id, issued_at, id);

CREATE UNIQUE INDEX certificate_states_one_active_idx ON certificate_states (device_uuid)
    WHERE status = 'ACTIVE';
CREATE UNIQUE INDEX certificate_states_one_pending_idx ON certificate_states (device_uuid)
    WHERE status = 'PENDING_ACTIVATION';
CREATE INDEX certificate_states_end_idx ON certificate_states (not_after)
    WHERE status IN ('PENDING_ACTIVATION', 'ACTIVE', 'SUPERSEDED');
CREATE INDEX certificate_states_confirm_idx ON certificate_states (confirm_before)
    WHERE status = 'PENDING_ACTIVATION';
CREATE INDEX certificate_states_overlap_idx ON certificate_states (superseded_until)
    WHERE status = 'SUPERSEDED';

CREATE VIEW device_certificates AS
SELECT i.id, i.device_uuid, i.tenant_id, i.device_id, i.issuer_key_id, i.serial_number, i.spki_sha256, i.der,
    s.status, i.issued_at, s.not_after, s.confirm_before, s.superseded_until, s.revoked_at, s.revocation_reason
FROM issued_certificates i JOIN certificate_states s ON s.certificate_id = i.id;

-- Devices: by what they are looked for. Here the table's own indexes are as good.
CREATE VIEW device_lookup AS
SELECT id AS device_id, org_id, site_id, agent_id, token_sha256, enrolled_at FROM devices;
