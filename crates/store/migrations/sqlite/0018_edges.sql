-- Edges that run elsewhere, their certificates, and the key that signs what they are told.

CREATE TABLE edges (
    id                 TEXT PRIMARY KEY,
    name               TEXT NOT NULL,
    tenants            TEXT, -- slugs, separated by spaces; null: all
    public_names       TEXT NOT NULL, -- what its doors may be called, separated by spaces
    token_sha256       TEXT UNIQUE, -- null: it was used
    token_expires_at   INTEGER NOT NULL,
    created_at         INTEGER NOT NULL,
    enrolled_at        INTEGER,
    revoked_at         INTEGER,
    -- Since when it is attached; null: it never was, or took its leave.
    attached_at        INTEGER,
    authority_id       TEXT, -- which authority it is connected to, as far as is known
    seen_at            INTEGER,
    applied_generation INTEGER NOT NULL DEFAULT 0,
    applied_epoch      INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE UNIQUE INDEX edges_name_idx ON edges (name) WHERE revoked_at IS NULL;

CREATE TABLE edge_certificates (
    issuer_key_id TEXT NOT NULL,
    serial_number TEXT NOT NULL,
    edge_id       TEXT NOT NULL REFERENCES edges (id),
    PRIMARY KEY (issuer_key_id, serial_number)
) STRICT;
CREATE INDEX edge_certificates_edge_idx ON edge_certificates (edge_id);

CREATE TABLE snapshot_keys (
    key_id     TEXT PRIMARY KEY,
    public_key BLOB NOT NULL,
    sealed_key BLOB NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;
