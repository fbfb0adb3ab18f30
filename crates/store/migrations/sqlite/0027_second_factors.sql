-- What people show besides their password, and whether everybody has to.

-- One a person; until it is confirmed it opens nothing.
CREATE TABLE totp_keys (
    user_id      TEXT PRIMARY KEY REFERENCES users (id),
    sealed_key   BLOB NOT NULL,
    created_at   INTEGER NOT NULL,
    confirmed_at INTEGER,
    last_step    INTEGER NOT NULL -- of the last code that was taken; none of it or before is taken again
) STRICT;

CREATE TABLE recovery_codes (
    user_id     TEXT NOT NULL REFERENCES users (id),
    code_sha256 TEXT NOT NULL,
    PRIMARY KEY (user_id, code_sha256)
) STRICT;

-- Of people whose password was right, and whose second factor is waited for.
CREATE TABLE begun_sign_ins (
    token_sha256 TEXT PRIMARY KEY,
    user_id      TEXT NOT NULL REFERENCES users (id),
    expires_at   INTEGER NOT NULL
) STRICT;
CREATE INDEX begun_sign_ins_expires_idx ON begun_sign_ins (expires_at);

ALTER TABLE installation ADD COLUMN second_factor TEXT NOT NULL DEFAULT 'optional'
    CHECK (second_factor IN ('optional', 'required'));
