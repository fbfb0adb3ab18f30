-- Passkeys (WebAuthn): what people show besides their password with a device of theirs.

CREATE TABLE passkeys (
    id            TEXT PRIMARY KEY,
    user_id       TEXT NOT NULL REFERENCES users (id),
    name          TEXT NOT NULL,
    credential_id BLOB NOT NULL UNIQUE, -- as its device calls it
    public_key    BLOB NOT NULL,        -- SubjectPublicKeyInfo
    sign_count    INTEGER NOT NULL,     -- of the last signature that was taken; 0: the device does not count
    created_at    INTEGER NOT NULL,
    last_used_at  INTEGER
) STRICT;
CREATE INDEX passkeys_user_idx ON passkeys (user_id);

-- What somebody who is signed in is asked to sign, once.
CREATE TABLE passkey_challenges (
    user_id          TEXT NOT NULL REFERENCES users (id),
    purpose          TEXT NOT NULL CHECK (purpose IN ('make', 'show')),
    challenge_sha256 TEXT NOT NULL,
    expires_at       INTEGER NOT NULL,
    PRIMARY KEY (user_id, purpose)
) STRICT;
