-- What somebody must see to: raised once for each cause, told to whoever wants to know, resolved when the cause is
-- gone. And the windows in which nobody is told.

CREATE TABLE alerts (
    id              TEXT PRIMARY KEY,
    kind            TEXT NOT NULL,
    subject         TEXT NOT NULL, -- what it is about: with the kind it tells causes apart
    tenant          TEXT NOT NULL, -- slug; empty: the whole installation
    severity        TEXT NOT NULL CHECK (severity IN ('info', 'warning', 'critical')),
    summary         TEXT NOT NULL,
    opened_at       INTEGER NOT NULL,
    seen_at         INTEGER NOT NULL, -- when its cause was last there
    told_at         INTEGER, -- since when it is being told; null: nobody was to hear of it yet
    resolved_at     INTEGER,
    acknowledged_at INTEGER,
    acknowledged_by TEXT,
    CHECK ((acknowledged_at IS NULL) = (acknowledged_by IS NULL))
) STRICT;
CREATE UNIQUE INDEX alerts_open_idx ON alerts (kind, subject) WHERE resolved_at IS NULL;
CREATE INDEX alerts_opened_idx ON alerts (opened_at, id);

-- What has not reached whoever is to be told.
CREATE TABLE alert_deliveries (
    alert_id TEXT NOT NULL REFERENCES alerts (id),
    target   TEXT NOT NULL,
    news     TEXT NOT NULL CHECK (news IN ('raised', 'resolved')),
    due_at   INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    PRIMARY KEY (alert_id, target, news)
) STRICT;
CREATE INDEX alert_deliveries_due_idx ON alert_deliveries (due_at);

CREATE TABLE alert_silences (
    id         TEXT PRIMARY KEY,
    kind       TEXT NOT NULL, -- empty: any
    subject    TEXT NOT NULL, -- empty: any
    reason     TEXT NOT NULL,
    created_by TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    ends_at    INTEGER NOT NULL
) STRICT;
CREATE INDEX alert_silences_ends_idx ON alert_silences (ends_at);
