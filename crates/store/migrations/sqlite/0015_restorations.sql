-- What may have been issued and is not on record, because a backup was restored.

CREATE TABLE unproved_periods (
    issuer_key_id TEXT NOT NULL REFERENCES issuers (key_id),
    restored_at   INTEGER NOT NULL,
    denied_from   INTEGER NOT NULL, -- the first notBefore that is denied unless it is on record
    denied_until  INTEGER NOT NULL, -- the last one
    PRIMARY KEY (issuer_key_id, restored_at)
) STRICT;
