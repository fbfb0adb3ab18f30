-- The installation, its issuers, tenants, sites and people.
-- Times are milliseconds since 1970-01-01T00:00:00Z; identifiers and hashes are texts.

CREATE TABLE installation (
    id           INTEGER PRIMARY KEY CHECK (id = 1),
    trust_domain TEXT NOT NULL,
    node         INTEGER NOT NULL CHECK (node BETWEEN 1 AND 127),
    created_at   INTEGER NOT NULL,
    generation   INTEGER NOT NULL,
    epoch        INTEGER NOT NULL
) STRICT;

CREATE TABLE issuers (
    key_id      TEXT PRIMARY KEY,
    role        TEXT NOT NULL CHECK (role IN ('root', 'device', 'service')),
    certificate BLOB NOT NULL,
    sealed_key  BLOB NOT NULL,
    created_at  INTEGER NOT NULL,
    crl_number  INTEGER NOT NULL DEFAULT 0
) STRICT;

-- The latest CRL of each issuer.
CREATE TABLE crls (
    issuer_key_id TEXT PRIMARY KEY REFERENCES issuers (key_id),
    number        INTEGER NOT NULL,
    this_update   INTEGER NOT NULL,
    next_update   INTEGER NOT NULL,
    der           BLOB NOT NULL
) STRICT;

CREATE TABLE tenants (
    id                          TEXT PRIMARY KEY,
    slug                        TEXT NOT NULL UNIQUE,
    name                        TEXT NOT NULL,
    created_at                  INTEGER NOT NULL,
    suspended_at                INTEGER,
    cert_lifetime_days          INTEGER NOT NULL,
    expired_cert_policy         TEXT NOT NULL,
    enforcement                 TEXT NOT NULL,
    allow_server_generated_keys INTEGER NOT NULL CHECK (allow_server_generated_keys IN (0, 1)),
    allow_bearer_only_renewal   INTEGER NOT NULL CHECK (allow_bearer_only_renewal IN (0, 1)),
    renewal_overlap_hours       INTEGER NOT NULL,
    recovery_window_days        INTEGER,
    trust_epoch                 INTEGER NOT NULL DEFAULT 0 -- the last one at which doors had to hear of it
) STRICT;
CREATE INDEX tenants_trust_epoch_idx ON tenants (trust_epoch);

CREATE TABLE sites (
    id     TEXT PRIMARY KEY,
    org_id TEXT NOT NULL REFERENCES tenants (id),
    slug   TEXT NOT NULL,
    name   TEXT NOT NULL,
    UNIQUE (org_id, slug)
) STRICT;

CREATE TABLE users (
    id            TEXT PRIMARY KEY,
    email         TEXT NOT NULL,
    password_hash TEXT NOT NULL,
    role          TEXT NOT NULL CHECK (role IN ('owner', 'admin', 'operator', 'viewer')),
    org_id        TEXT REFERENCES tenants (id),
    created_at    INTEGER NOT NULL,
    disabled_at   INTEGER
) STRICT;
CREATE UNIQUE INDEX users_email_idx ON users (lower(email));

CREATE TABLE sessions (
    token_sha256 TEXT PRIMARY KEY,
    user_id      TEXT NOT NULL REFERENCES users (id),
    created_at   INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL
) STRICT;
CREATE INDEX sessions_user_idx ON sessions (user_id);
CREATE INDEX sessions_expires_idx ON sessions (expires_at);
