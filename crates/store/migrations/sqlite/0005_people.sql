-- API tokens, one-time tokens for passwords, and devices by site.

CREATE TABLE api_tokens (
    id           TEXT PRIMARY KEY,
    token_sha256 TEXT NOT NULL UNIQUE,
    user_id      TEXT NOT NULL REFERENCES users (id),
    name         TEXT NOT NULL,
    role         TEXT NOT NULL CHECK (role IN ('owner', 'admin', 'operator', 'viewer')),
    org_id       TEXT REFERENCES tenants (id),
    scopes       TEXT, -- separated by spaces; null: everything that the role allows
    created_at   INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL,
    last_used_at INTEGER,
    revoked_at   INTEGER
) STRICT;
CREATE INDEX api_tokens_user_idx ON api_tokens (user_id);
CREATE INDEX api_tokens_created_idx ON api_tokens (created_at, id);

-- At most one a person: a newer one takes the place of the one before.
CREATE TABLE password_tokens (
    user_id      TEXT PRIMARY KEY REFERENCES users (id),
    token_sha256 TEXT NOT NULL UNIQUE,
    created_at   INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL
) STRICT;
CREATE INDEX password_tokens_expires_idx ON password_tokens (expires_at);

CREATE INDEX users_org_idx ON users (org_id);
CREATE INDEX devices_site_idx ON devices (site_id, enrolled_at, id);
CREATE INDEX enrollment_keys_site_idx ON enrollment_keys (site_id);
