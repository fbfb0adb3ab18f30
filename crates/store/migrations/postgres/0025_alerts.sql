-- What somebody must see to: raised once for each cause, told to whoever wants to know, resolved when the cause is
-- gone. And the windows in which nobody is told.

CREATE TABLE alerts (
    id              text COLLATE "C" PRIMARY KEY,
    kind            text COLLATE "C" NOT NULL,
    subject         text COLLATE "C" NOT NULL, -- what it is about: with the kind it tells causes apart
    tenant          text COLLATE "C" NOT NULL, -- slug; empty: the whole installation
    severity        text COLLATE "C" NOT NULL CHECK (severity IN ('info', 'warning', 'critical')),
    summary         text COLLATE "C" NOT NULL,
    opened_at       timestamptz NOT NULL,
    seen_at         timestamptz NOT NULL, -- when its cause was last there
    told_at         timestamptz, -- since when it is being told; null: nobody was to hear of it yet
    resolved_at     timestamptz,
    acknowledged_at timestamptz,
    acknowledged_by text COLLATE "C",
    CHECK ((acknowledged_at IS NULL) = (acknowledged_by IS NULL))
);
CREATE UNIQUE INDEX alerts_open_idx ON alerts (kind, subject) WHERE resolved_at IS NULL;
CREATE INDEX alerts_opened_idx ON alerts (opened_at, id);

-- What has not reached whoever is to be told.
CREATE TABLE alert_deliveries (
    alert_id text COLLATE "C" NOT NULL REFERENCES alerts (id),
    target   text COLLATE "C" NOT NULL,
    news     text COLLATE "C" NOT NULL CHECK (news IN ('raised', 'resolved')),
    due_at   timestamptz NOT NULL,
    attempts bigint NOT NULL,
    PRIMARY KEY (alert_id, target, news)
);
CREATE INDEX alert_deliveries_due_idx ON alert_deliveries (due_at);

CREATE TABLE alert_silences (
    id         text COLLATE "C" PRIMARY KEY,
    kind       text COLLATE "C" NOT NULL, -- empty: any
    subject    text COLLATE "C" NOT NULL, -- empty: any
    reason     text COLLATE "C" NOT NULL,
    created_by text COLLATE "C" NOT NULL,
    created_at timestamptz NOT NULL,
    ends_at    timestamptz NOT NULL
);
CREATE INDEX alert_silences_ends_idx ON alert_silences (ends_at);
