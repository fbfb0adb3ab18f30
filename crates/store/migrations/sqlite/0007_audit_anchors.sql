-- Anchors: the ends of all audit chains at a moment, signed by a key of their own. And what queries of
-- the audit need.

CREATE TABLE anchor_keys (
    key_id     TEXT PRIMARY KEY,
    public_key BLOB NOT NULL,
    sealed_key BLOB NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE audit_anchors (
    number    INTEGER PRIMARY KEY,
    key_id    TEXT NOT NULL REFERENCES anchor_keys (key_id),
    statement TEXT NOT NULL,
    signature BLOB NOT NULL
) STRICT;

CREATE TRIGGER audit_anchors_no_update BEFORE UPDATE ON audit_anchors
BEGIN
    SELECT RAISE(ABORT, 'audit anchors are append-only');
END;
CREATE TRIGGER audit_anchors_no_delete BEFORE DELETE ON audit_anchors
BEGIN
    SELECT RAISE(ABORT, 'audit anchors are append-only');
END;

-- Under which request an entry was written: to find it, not part of what is hashed.
CREATE TABLE audit_requests (
    request_id TEXT NOT NULL,
    entry_id   INTEGER NOT NULL,
    PRIMARY KEY (request_id, entry_id)
) STRICT;
INSERT INTO audit_requests (request_id, entry_id)
    SELECT json_extract(details, '$.requestId'), id FROM audit_entries
    WHERE json_extract(details, '$.requestId') IS NOT NULL;

CREATE INDEX audit_entries_certificate_idx ON audit_entries (certificate_id, id) WHERE certificate_id <> '';
CREATE INDEX audit_entries_actor_idx ON audit_entries (actor, id);
CREATE INDEX audit_entries_at_idx ON audit_entries (at, id);
