-- Any number of CAs, each with a name, and every certificate that is not a device's.

ALTER TABLE issuers DROP CONSTRAINT issuers_role_check;
ALTER TABLE issuers ADD COLUMN name text COLLATE "C";
ALTER TABLE issuers ADD COLUMN parent_key_id text COLLATE "C"; -- who signed it; null for a root, or when that CA is not on record
ALTER TABLE issuers ADD COLUMN environment text COLLATE "C"; -- null: the default one
ALTER TABLE issuers ADD COLUMN state text NOT NULL DEFAULT 'active';
ALTER TABLE issuers ADD COLUMN origin text NOT NULL DEFAULT 'made';
ALTER TABLE issuers ADD COLUMN custody text NOT NULL DEFAULT 'sealed';
ALTER TABLE issuers ADD COLUMN key_location text; -- a PKCS #11 URI, without its PIN
ALTER TABLE issuers ADD COLUMN trust_epoch bigint NOT NULL DEFAULT 0; -- the last one at which authorities and doors had to hear of it
UPDATE issuers SET name = role;
UPDATE issuers SET parent_key_id = (SELECT above.key_id FROM issuers above WHERE above.role = 'root')
    WHERE role <> 'root';
ALTER TABLE issuers ALTER COLUMN name SET NOT NULL;
ALTER TABLE issuers ALTER COLUMN sealed_key DROP NOT NULL;
ALTER TABLE issuers ALTER COLUMN state DROP DEFAULT;
ALTER TABLE issuers ALTER COLUMN origin DROP DEFAULT;
ALTER TABLE issuers ALTER COLUMN custody DROP DEFAULT;
ALTER TABLE issuers ADD UNIQUE (name);
ALTER TABLE issuers ADD CHECK (role IN ('root', 'device', 'service', 'intermediate'));
ALTER TABLE issuers ADD CHECK (state IN ('prepared', 'active', 'retiring', 'retired'));
ALTER TABLE issuers ADD CHECK (origin IN ('made', 'imported'));
ALTER TABLE issuers ADD CHECK (custody IN ('sealed', 'pkcs11', 'offline'));
ALTER TABLE issuers ADD CHECK ((custody = 'sealed') = (sealed_key IS NOT NULL));
ALTER TABLE issuers ADD CHECK ((custody = 'pkcs11') = (key_location IS NOT NULL));

-- Who signs new certificates is never in doubt.
CREATE UNIQUE INDEX issuers_one_active_idx ON issuers (role, coalesce(environment, ''))
    WHERE state = 'active' AND role IN ('device', 'service');

CREATE TABLE service_certificates (
    id                uuid PRIMARY KEY,
    issuer_key_id     text COLLATE "C" NOT NULL,
    serial_number     text COLLATE "C" NOT NULL,
    profile           text NOT NULL,
    origin            text NOT NULL CHECK (origin IN ('made', 'imported')),
    label             text COLLATE "C", -- what people call it; of several, the newest counts
    subject           text NOT NULL,
    names             text NOT NULL, -- JSON: uris, dns, ips
    spki_sha256       text COLLATE "C" NOT NULL,
    der               bytea NOT NULL,
    status            text NOT NULL CHECK (status IN ('active', 'superseded', 'revoked')),
    issued_at         timestamptz NOT NULL,
    not_after         timestamptz NOT NULL,
    revoked_at        timestamptz,
    revocation_reason text,
    trust_epoch       bigint NOT NULL DEFAULT 0, -- the one at which doors had to hear of its revocation
    UNIQUE (issuer_key_id, serial_number),
    CHECK ((status = 'revoked') = (revoked_at IS NOT NULL)),
    CHECK ((revoked_at IS NULL) = (revocation_reason IS NULL))
);
CREATE INDEX service_certificates_issued_idx ON service_certificates (issued_at, id);
CREATE INDEX service_certificates_label_idx ON service_certificates (label, issued_at) WHERE label IS NOT NULL;
CREATE INDEX service_certificates_serial_idx ON service_certificates (serial_number);
CREATE INDEX service_certificates_end_idx ON service_certificates (not_after) WHERE status <> 'revoked';
CREATE INDEX service_certificates_trust_epoch_idx ON service_certificates (trust_epoch) WHERE trust_epoch <> 0;
