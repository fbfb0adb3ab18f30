-- CAs of somebody else's that doors may trust, by name. What was removed stays on record.

CREATE TABLE foreign_trusts (
    name         text COLLATE "C" PRIMARY KEY,
    certificates text NOT NULL, -- PEM, every one a CA at which a path may end
    added_at     timestamptz NOT NULL,
    removed_at   timestamptz,
    trust_epoch  bigint NOT NULL DEFAULT 0 -- the one at which doors had to hear of its last change
);
