-- Any number of CAs, each with a name, and every certificate that is not a device's.

-- SQLite changes no CHECK in place: the tables are made anew.
CREATE TABLE issuers_next (
    key_id        TEXT PRIMARY KEY,
    name          TEXT NOT NULL UNIQUE,
    role          TEXT NOT NULL CHECK (role IN ('root', 'device', 'service', 'intermediate')),
    parent_key_id TEXT, -- who signed it; null for a root, or when that CA is not on record
    environment   TEXT, -- null: the default one
    state         TEXT NOT NULL CHECK (state IN ('prepared', 'active', 'retiring', 'retired')),
    origin        TEXT NOT NULL CHECK (origin IN ('made', 'imported')),
    custody       TEXT NOT NULL CHECK (custody IN ('sealed', 'pkcs11', 'offline')),
    certificate   BLOB NOT NULL,
    sealed_key    BLOB,
    key_location  TEXT, -- a PKCS #11 URI, without its PIN
    created_at    INTEGER NOT NULL,
    crl_number    INTEGER NOT NULL DEFAULT 0,
    trust_epoch   INTEGER NOT NULL DEFAULT 0, -- the last one at which authorities and doors had to hear of it
    CHECK ((custody = 'sealed') = (sealed_key IS NOT NULL)),
    CHECK ((custody = 'pkcs11') = (key_location IS NOT NULL))
) STRICT;
INSERT INTO issuers_next (key_id, name, role, parent_key_id, state, origin, custody, certificate, sealed_key,
        created_at, crl_number)
    SELECT key_id, role, role,
        CASE role WHEN 'root' THEN NULL ELSE (SELECT above.key_id FROM issuers above WHERE above.role = 'root') END,
        'active', 'made', 'sealed', certificate, sealed_key, created_at, crl_number
    FROM issuers;
CREATE TABLE crls_next (
    issuer_key_id TEXT PRIMARY KEY REFERENCES issuers_next (key_id),
    number        INTEGER NOT NULL,
    this_update   INTEGER NOT NULL,
    next_update   INTEGER NOT NULL,
    der           BLOB NOT NULL
) STRICT;
INSERT INTO crls_next SELECT issuer_key_id, number, this_update, next_update, der FROM crls;
DROP TABLE crls;
DROP TABLE issuers;
ALTER TABLE issuers_next RENAME TO issuers;
ALTER TABLE crls_next RENAME TO crls;

-- Who signs new certificates is never in doubt.
CREATE UNIQUE INDEX issuers_one_active_idx ON issuers (role, coalesce(environment, ''))
    WHERE state = 'active' AND role IN ('device', 'service');

CREATE TABLE service_certificates (
    id                TEXT PRIMARY KEY,
    issuer_key_id     TEXT NOT NULL,
    serial_number     TEXT NOT NULL,
    profile           TEXT NOT NULL,
    origin            TEXT NOT NULL CHECK (origin IN ('made', 'imported')),
    label             TEXT, -- what people call it; of several, the newest counts
    subject           TEXT NOT NULL,
    names             TEXT NOT NULL, -- JSON: uris, dns, ips
    spki_sha256       TEXT NOT NULL,
    der               BLOB NOT NULL,
    status            TEXT NOT NULL CHECK (status IN ('active', 'superseded', 'revoked')),
    issued_at         INTEGER NOT NULL,
    not_after         INTEGER NOT NULL,
    revoked_at        INTEGER,
    revocation_reason TEXT,
    trust_epoch       INTEGER NOT NULL DEFAULT 0, -- the one at which doors had to hear of its revocation
    UNIQUE (issuer_key_id, serial_number),
    CHECK ((status = 'revoked') = (revoked_at IS NOT NULL)),
    CHECK ((revoked_at IS NULL) = (revocation_reason IS NULL))
) STRICT;
CREATE INDEX service_certificates_issued_idx ON service_certificates (issued_at, id);
CREATE INDEX service_certificates_label_idx ON service_certificates (label, issued_at) WHERE label IS NOT NULL;
CREATE INDEX service_certificates_serial_idx ON service_certificates (serial_number);
CREATE INDEX service_certificates_end_idx ON service_certificates (not_after) WHERE status <> 'revoked';
CREATE INDEX service_certificates_trust_epoch_idx ON service_certificates (trust_epoch) WHERE trust_epoch <> 0;
