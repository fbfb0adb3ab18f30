-- Up to where the oldest entries of a chain were removed: always an end that an anchor vouches for, so that the rest
-- goes on from there. Only what lies behind a cut can be removed.

CREATE TABLE audit_cuts (
    chain    text COLLATE "C" PRIMARY KEY,
    sequence bigint NOT NULL, -- the last entry that was removed
    hash     text NOT NULL,   -- the chain's hash after it
    anchor   bigint NOT NULL, -- which anchor names both
    cut_at   timestamptz NOT NULL
);

CREATE FUNCTION audit_cuts_are_never_taken_back() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'audit cuts are never taken back';
END
$$;
CREATE TRIGGER audit_cuts_forward BEFORE UPDATE ON audit_cuts
    FOR EACH ROW WHEN (NEW.chain <> OLD.chain OR NEW.sequence <= OLD.sequence)
    EXECUTE FUNCTION audit_cuts_are_never_taken_back();
CREATE TRIGGER audit_cuts_no_delete BEFORE DELETE ON audit_cuts
    FOR EACH ROW EXECUTE FUNCTION audit_cuts_are_never_taken_back();
CREATE TRIGGER audit_cuts_no_truncate BEFORE TRUNCATE ON audit_cuts
    FOR EACH STATEMENT EXECUTE FUNCTION audit_cuts_are_never_taken_back();

CREATE FUNCTION audit_goes_behind_a_cut_alone() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM audit_cuts WHERE chain = OLD.chain AND sequence >= OLD.sequence) THEN
        RAISE EXCEPTION 'audit entries are append-only';
    END IF;
    RETURN OLD;
END
$$;
DROP TRIGGER audit_entries_no_delete ON audit_entries;
CREATE TRIGGER audit_entries_no_delete BEFORE DELETE ON audit_entries
    FOR EACH ROW EXECUTE FUNCTION audit_goes_behind_a_cut_alone();
