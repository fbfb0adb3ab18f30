-- API tokens, one-time tokens for passwords, and devices by site.

CREATE TABLE api_tokens (
    id           uuid PRIMARY KEY,
    token_sha256 text COLLATE "C" NOT NULL UNIQUE,
    user_id      uuid NOT NULL REFERENCES users (id),
    name         text NOT NULL,
    role         text NOT NULL CHECK (role IN ('owner', 'admin', 'operator', 'viewer')),
    org_id       uuid REFERENCES tenants (id),
    scopes       text, -- separated by spaces; null: everything that the role allows
    created_at   timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL,
    last_used_at timestamptz,
    revoked_at   timestamptz
);
CREATE INDEX api_tokens_user_idx ON api_tokens (user_id);
CREATE INDEX api_tokens_created_idx ON api_tokens (created_at, id);

-- At most one a person: a newer one takes the place of the one before.
CREATE TABLE password_tokens (
    user_id      uuid PRIMARY KEY REFERENCES users (id),
    token_sha256 text COLLATE "C" NOT NULL UNIQUE,
    created_at   timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL
);
CREATE INDEX password_tokens_expires_idx ON password_tokens (expires_at);

CREATE INDEX users_org_idx ON users (org_id);
CREATE INDEX IF NOT EXISTS devices_site_idx ON public.devices (site_id, enrolled_at, id);
CREATE INDEX enrollment_keys_site_idx ON enrollment_keys (site_id);
