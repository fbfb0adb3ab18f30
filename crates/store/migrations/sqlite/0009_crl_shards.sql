-- CRLs by shard: the last octet of the serial numbers that they are about, or all.

CREATE TABLE crls_next (
    issuer_key_id TEXT NOT NULL REFERENCES issuers (key_id),
    shard         TEXT NOT NULL, -- two hex digits, or 'all'
    number        INTEGER NOT NULL,
    this_update   INTEGER NOT NULL,
    next_update   INTEGER NOT NULL,
    der           BLOB NOT NULL,
    PRIMARY KEY (issuer_key_id, shard)
) STRICT;
INSERT INTO crls_next SELECT issuer_key_id, 'all', number, this_update, next_update, der FROM crls;
DROP TABLE crls;
ALTER TABLE crls_next RENAME TO crls;

CREATE INDEX revocations_shard_idx ON revocations (issuer_key_id, substr(serial_number, length(serial_number) - 1));

-- The shards whose next CRL is wanted at once. Whoever revokes leaves the mark, whatever way it takes;
-- whoever has signed the CRL removes the mark that it saw.
CREATE TABLE crl_wanted (
    issuer_key_id TEXT NOT NULL,
    shard         TEXT NOT NULL,
    mark          INTEGER NOT NULL,
    PRIMARY KEY (issuer_key_id, shard)
) STRICT;
CREATE TRIGGER revocations_want_crls AFTER INSERT ON revocations
BEGIN
    INSERT INTO crl_wanted (issuer_key_id, shard, mark)
        VALUES (NEW.issuer_key_id, substr(NEW.serial_number, length(NEW.serial_number) - 1), NEW.rowid)
        ON CONFLICT (issuer_key_id, shard) DO UPDATE SET mark = excluded.mark;
END;
