-- What concerns many devices at once, and bearer tokens that are being replaced.

-- A new bearer token that its device has not confirmed. It counts only as long as the token that it
-- replaces is the device's.
CREATE TABLE staged_tokens (
    device_id       uuid PRIMARY KEY REFERENCES public.devices (id),
    token_sha256    text NOT NULL UNIQUE,
    replaces_sha256 text NOT NULL,
    expires_at      timestamptz NOT NULL
);

-- A key that is not denied any more keeps its row, so that doors hear of it.
ALTER TABLE denied_keys ADD COLUMN lifted_at timestamptz;
CREATE INDEX denied_keys_at_idx ON denied_keys (at, spki_sha256);

-- What somebody has been shown before it is revoked.
CREATE TABLE revocation_selections (
    id         uuid PRIMARY KEY,
    actor      text NOT NULL,
    selector   text NOT NULL, -- JSON
    org_id     uuid REFERENCES tenants (id),
    reason     text NOT NULL,
    digest     text NOT NULL,
    expires_at timestamptz NOT NULL
);

-- When a device was last admitted over its certificate ('certificate'), and when it was last admitted
-- without what enforce would have asked for (the code of the refusal).
CREATE TABLE device_usage (
    device_id uuid NOT NULL REFERENCES public.devices (id),
    outcome   text COLLATE "C" NOT NULL,
    last_at   timestamptz NOT NULL,
    PRIMARY KEY (device_id, outcome)
);
CREATE INDEX device_usage_refused_idx ON device_usage (last_at, device_id) WHERE outcome <> 'certificate';
