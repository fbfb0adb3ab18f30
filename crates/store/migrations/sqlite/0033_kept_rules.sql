-- The rules that people keep here, behind those of the configuration. Each change is a revision of the whole list, in
-- its order.

CREATE TABLE rule_revisions (
    revision    INTEGER PRIMARY KEY,
    rules       TEXT NOT NULL, -- JSON
    changed_at  INTEGER NOT NULL,
    changed_by  TEXT NOT NULL,
    trust_epoch INTEGER NOT NULL -- the one at which doors had to hear of it
) STRICT;
