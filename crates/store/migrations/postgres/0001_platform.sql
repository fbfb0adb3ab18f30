-- The installation, its issuers, tenants, sites and people, in the schema of our own.
-- What is compared or ordered as text has the collation "C": the same order as on SQLite.

CREATE TABLE installation (
    id           bigint PRIMARY KEY CHECK (id = 1),
    trust_domain text NOT NULL,
    node         bigint NOT NULL CHECK (node BETWEEN 1 AND 127),
    created_at   timestamptz NOT NULL,
    generation   bigint NOT NULL,
    epoch        bigint NOT NULL
);

CREATE TABLE issuers (
    key_id      text COLLATE "C" PRIMARY KEY,
    role        text NOT NULL CHECK (role IN ('root', 'device', 'service')),
    certificate bytea NOT NULL,
    sealed_key  bytea NOT NULL,
    created_at  timestamptz NOT NULL,
    crl_number  bigint NOT NULL DEFAULT 0
);

-- The latest CRL of each issuer.
CREATE TABLE crls (
    issuer_key_id text COLLATE "C" PRIMARY KEY REFERENCES issuers (key_id),
    number        bigint NOT NULL,
    this_update   timestamptz NOT NULL,
    next_update   timestamptz NOT NULL,
    der           bytea NOT NULL
);

CREATE TABLE tenants (
    id                          uuid PRIMARY KEY,
    slug                        text COLLATE "C" NOT NULL UNIQUE,
    name                        text NOT NULL,
    created_at                  timestamptz NOT NULL,
    suspended_at                timestamptz,
    cert_lifetime_days          bigint NOT NULL,
    expired_cert_policy         text NOT NULL,
    enforcement                 text NOT NULL,
    allow_server_generated_keys bigint NOT NULL CHECK (allow_server_generated_keys IN (0, 1)),
    allow_bearer_only_renewal   bigint NOT NULL CHECK (allow_bearer_only_renewal IN (0, 1)),
    renewal_overlap_hours       bigint NOT NULL,
    recovery_window_days        bigint,
    trust_epoch                 bigint NOT NULL DEFAULT 0 -- the last one at which doors had to hear of it
);
CREATE INDEX tenants_trust_epoch_idx ON tenants (trust_epoch);

CREATE TABLE sites (
    id     uuid PRIMARY KEY,
    org_id uuid NOT NULL REFERENCES tenants (id),
    slug   text COLLATE "C" NOT NULL,
    name   text NOT NULL,
    UNIQUE (org_id, slug)
);

CREATE TABLE users (
    id            uuid PRIMARY KEY,
    email         text COLLATE "C" NOT NULL,
    password_hash text NOT NULL,
    role          text NOT NULL CHECK (role IN ('owner', 'admin', 'operator', 'viewer')),
    org_id        uuid REFERENCES tenants (id),
    created_at    timestamptz NOT NULL,
    disabled_at   timestamptz
);
CREATE UNIQUE INDEX users_email_idx ON users (lower(email));

CREATE TABLE sessions (
    token_sha256 text COLLATE "C" PRIMARY KEY,
    user_id      uuid NOT NULL REFERENCES users (id),
    created_at   timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL
);
CREATE INDEX sessions_user_idx ON sessions (user_id);
CREATE INDEX sessions_expires_idx ON sessions (expires_at);
