-- Edges that run elsewhere, their certificates, and the key that signs what they are told.

CREATE TABLE edges (
    id                 uuid PRIMARY KEY,
    name               text COLLATE "C" NOT NULL,
    tenants            text COLLATE "C", -- slugs, separated by spaces; null: all
    public_names       text COLLATE "C" NOT NULL, -- what its doors may be called, separated by spaces
    token_sha256       text COLLATE "C" UNIQUE, -- null: it was used
    token_expires_at   timestamptz NOT NULL,
    created_at         timestamptz NOT NULL,
    enrolled_at        timestamptz,
    revoked_at         timestamptz,
    -- Since when it is attached; null: it never was, or took its leave.
    attached_at        timestamptz,
    authority_id       uuid, -- which authority it is connected to, as far as is known
    seen_at            timestamptz,
    applied_generation bigint NOT NULL DEFAULT 0,
    applied_epoch      bigint NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX edges_name_idx ON edges (name) WHERE revoked_at IS NULL;

CREATE TABLE edge_certificates (
    issuer_key_id text COLLATE "C" NOT NULL,
    serial_number text COLLATE "C" NOT NULL,
    edge_id       uuid NOT NULL REFERENCES edges (id),
    PRIMARY KEY (issuer_key_id, serial_number)
);
CREATE INDEX edge_certificates_edge_idx ON edge_certificates (edge_id);

CREATE TABLE snapshot_keys (
    key_id     text COLLATE "C" PRIMARY KEY,
    public_key bytea NOT NULL,
    sealed_key bytea NOT NULL,
    created_at timestamptz NOT NULL
);
