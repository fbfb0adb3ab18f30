-- The rules that people keep here, behind those of the configuration. Each change is a revision of the whole list, in
-- its order.

CREATE TABLE rule_revisions (
    revision    bigint PRIMARY KEY,
    rules       text NOT NULL, -- JSON
    changed_at  timestamptz NOT NULL,
    changed_by  text NOT NULL,
    trust_epoch bigint NOT NULL -- the one at which doors had to hear of it
);
