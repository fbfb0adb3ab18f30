-- What may have been issued and is not on record, because a backup was restored.

CREATE TABLE unproved_periods (
    issuer_key_id text COLLATE "C" NOT NULL REFERENCES issuers (key_id),
    restored_at   timestamptz NOT NULL,
    denied_from   timestamptz NOT NULL, -- the first notBefore that is denied unless it is on record
    denied_until  timestamptz NOT NULL, -- the last one
    PRIMARY KEY (issuer_key_id, restored_at)
);
