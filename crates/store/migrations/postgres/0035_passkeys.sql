-- Passkeys (WebAuthn): what people show besides their password with a device of theirs.

CREATE TABLE passkeys (
    id            uuid PRIMARY KEY,
    user_id       uuid NOT NULL REFERENCES users (id),
    name          text NOT NULL,
    credential_id bytea NOT NULL UNIQUE, -- as its device calls it
    public_key    bytea NOT NULL,        -- SubjectPublicKeyInfo
    sign_count    bigint NOT NULL,       -- of the last signature that was taken; 0: the device does not count
    created_at    timestamptz NOT NULL,
    last_used_at  timestamptz
);
CREATE INDEX passkeys_user_idx ON passkeys (user_id);

-- What somebody who is signed in is asked to sign, once.
CREATE TABLE passkey_challenges (
    user_id          uuid NOT NULL REFERENCES users (id),
    purpose          text NOT NULL CHECK (purpose IN ('make', 'show')),
    challenge_sha256 text NOT NULL,
    expires_at       timestamptz NOT NULL,
    PRIMARY KEY (user_id, purpose)
);
