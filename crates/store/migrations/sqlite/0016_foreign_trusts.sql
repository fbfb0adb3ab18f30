-- CAs of somebody else's that doors may trust, by name. What was removed stays on record.

CREATE TABLE foreign_trusts (
    name         TEXT PRIMARY KEY,
    certificates TEXT NOT NULL, -- PEM, every one a CA at which a path may end
    added_at     INTEGER NOT NULL,
    removed_at   INTEGER,
    trust_epoch  INTEGER NOT NULL DEFAULT 0 -- the one at which doors had to hear of its last change
) STRICT;
