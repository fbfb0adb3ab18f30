-- Anchors: the ends of all audit chains at a moment, signed by a key of their own. And what queries of
-- the audit need.

CREATE TABLE anchor_keys (
    key_id     text PRIMARY KEY,
    public_key bytea NOT NULL,
    sealed_key bytea NOT NULL,
    created_at timestamptz NOT NULL
);

CREATE TABLE audit_anchors (
    number    bigint PRIMARY KEY,
    key_id    text NOT NULL REFERENCES anchor_keys (key_id),
    statement text NOT NULL,
    signature bytea NOT NULL
);

CREATE FUNCTION audit_anchors_are_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'audit anchors are append-only';
END
$$;
CREATE TRIGGER audit_anchors_no_update BEFORE UPDATE ON audit_anchors
    FOR EACH ROW EXECUTE FUNCTION audit_anchors_are_append_only();
CREATE TRIGGER audit_anchors_no_delete BEFORE DELETE ON audit_anchors
    FOR EACH ROW EXECUTE FUNCTION audit_anchors_are_append_only();
CREATE TRIGGER audit_anchors_no_truncate BEFORE TRUNCATE ON audit_anchors
    FOR EACH STATEMENT EXECUTE FUNCTION audit_anchors_are_append_only();

-- Under which request an entry was written: to find it, not part of what is hashed.
CREATE TABLE audit_requests (
    request_id text NOT NULL,
    entry_id   bigint NOT NULL,
    PRIMARY KEY (request_id, entry_id)
);
INSERT INTO audit_requests (request_id, entry_id)
    SELECT details::json ->> 'requestId', id FROM audit_entries
    WHERE details::json ->> 'requestId' IS NOT NULL;

CREATE INDEX audit_entries_certificate_idx ON audit_entries (certificate_id, id) WHERE certificate_id <> '';
CREATE INDEX audit_entries_actor_idx ON audit_entries (actor, id);
CREATE INDEX audit_entries_at_idx ON audit_entries (at, id);
