-- What people show besides their password, and whether everybody has to.

-- One a person; until it is confirmed it opens nothing.
CREATE TABLE totp_keys (
    user_id      uuid PRIMARY KEY REFERENCES users (id),
    sealed_key   bytea NOT NULL,
    created_at   timestamptz NOT NULL,
    confirmed_at timestamptz,
    last_step    bigint NOT NULL -- of the last code that was taken; none of it or before is taken again
);

CREATE TABLE recovery_codes (
    user_id     uuid NOT NULL REFERENCES users (id),
    code_sha256 text COLLATE "C" NOT NULL,
    PRIMARY KEY (user_id, code_sha256)
);

-- Of people whose password was right, and whose second factor is waited for.
CREATE TABLE begun_sign_ins (
    token_sha256 text COLLATE "C" PRIMARY KEY,
    user_id      uuid NOT NULL REFERENCES users (id),
    expires_at   timestamptz NOT NULL
);
CREATE INDEX begun_sign_ins_expires_idx ON begun_sign_ins (expires_at);

ALTER TABLE installation ADD COLUMN second_factor text NOT NULL DEFAULT 'optional'
    CHECK (second_factor IN ('optional', 'required'));
