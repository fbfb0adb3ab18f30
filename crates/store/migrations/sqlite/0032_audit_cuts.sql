-- Up to where the oldest entries of a chain were removed: always an end that an anchor vouches for, so that the rest
-- goes on from there. Only what lies behind a cut can be removed.

CREATE TABLE audit_cuts (
    chain    TEXT PRIMARY KEY,
    sequence INTEGER NOT NULL, -- the last entry that was removed
    hash     TEXT NOT NULL,    -- the chain's hash after it
    anchor   INTEGER NOT NULL, -- which anchor names both
    cut_at   INTEGER NOT NULL
) STRICT;

CREATE TRIGGER audit_cuts_forward BEFORE UPDATE ON audit_cuts
WHEN NEW.chain <> OLD.chain OR NEW.sequence <= OLD.sequence
BEGIN
    SELECT RAISE(ABORT, 'audit cuts are never taken back');
END;
CREATE TRIGGER audit_cuts_no_delete BEFORE DELETE ON audit_cuts
BEGIN
    SELECT RAISE(ABORT, 'audit cuts are never taken back');
END;

DROP TRIGGER audit_entries_no_delete;
CREATE TRIGGER audit_entries_no_delete BEFORE DELETE ON audit_entries
WHEN NOT EXISTS (SELECT 1 FROM audit_cuts WHERE chain = OLD.chain AND sequence >= OLD.sequence)
BEGIN
    SELECT RAISE(ABORT, 'audit entries are append-only');
END;
