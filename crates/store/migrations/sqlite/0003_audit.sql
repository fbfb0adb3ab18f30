-- The audit log: append-only, a hash chain per tenant and one ('') for the platform. And the facts
-- behind refusals, which are not audit and are pruned.

CREATE TABLE audit_entries (
    id             INTEGER PRIMARY KEY,
    chain          TEXT NOT NULL,
    sequence       INTEGER NOT NULL,
    at             INTEGER NOT NULL,
    event          TEXT NOT NULL,
    actor          TEXT NOT NULL,
    device_id      TEXT NOT NULL,
    certificate_id TEXT NOT NULL,
    details        TEXT NOT NULL,
    hash           TEXT NOT NULL,
    UNIQUE (chain, sequence)
) STRICT;
CREATE INDEX audit_entries_chain_idx ON audit_entries (chain, id);
CREATE INDEX audit_entries_device_idx ON audit_entries (device_id, id) WHERE device_id <> '';
CREATE INDEX audit_entries_event_idx ON audit_entries (event, id);

-- The last entry of each chain.
CREATE TABLE audit_heads (
    chain    TEXT PRIMARY KEY,
    sequence INTEGER NOT NULL,
    hash     TEXT NOT NULL
) STRICT;

CREATE TRIGGER audit_entries_no_update BEFORE UPDATE ON audit_entries
BEGIN
    SELECT RAISE(ABORT, 'audit entries are append-only');
END;
CREATE TRIGGER audit_entries_no_delete BEFORE DELETE ON audit_entries
BEGIN
    SELECT RAISE(ABORT, 'audit entries are append-only');
END;
CREATE TRIGGER audit_heads_no_delete BEFORE DELETE ON audit_heads
BEGIN
    SELECT RAISE(ABORT, 'audit chains are append-only');
END;
CREATE TRIGGER audit_heads_forward BEFORE UPDATE ON audit_heads
WHEN NEW.chain <> OLD.chain OR NEW.sequence < OLD.sequence
BEGIN
    SELECT RAISE(ABORT, 'audit chains are append-only');
END;

CREATE TABLE refusals (
    id    TEXT PRIMARY KEY,
    at    INTEGER NOT NULL,
    code  TEXT NOT NULL,
    facts TEXT NOT NULL
) STRICT;
CREATE INDEX refusals_at_idx ON refusals (at);
