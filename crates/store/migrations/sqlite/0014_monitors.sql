-- Certificates that are watched, what was seen of them, and what was said about the end of which.

CREATE TABLE monitors (
    name            TEXT NOT NULL,
    place           TEXT NOT NULL, -- where it is looked for; at another place it is another certificate
    looked_at       INTEGER NOT NULL, -- when one of the authorities went to look
    -- The certificate that was seen last.
    spki_sha256     TEXT,
    serial_number   TEXT,
    subject         TEXT,
    issuer          TEXT,
    not_before      INTEGER,
    not_after       INTEGER,
    first_seen_at   INTEGER,
    last_seen_at    INTEGER,
    -- The one that is taken to be right as long as no key is pinned.
    expected_spki   TEXT,
    expected_serial TEXT,
    -- The key that somebody accepted, and the configured pin in whose place it is.
    accepted_pin    TEXT,
    accepted_for    TEXT,
    accepted_at     INTEGER,
    changed_at      INTEGER, -- since when it is another one than it should be
    unreachable_at  INTEGER, -- since when it cannot be looked at
    problem         TEXT, -- why
    PRIMARY KEY (name, place),
    CHECK ((spki_sha256 IS NULL) = (not_after IS NULL)),
    CHECK ((expected_spki IS NULL) = (expected_serial IS NULL)),
    CHECK ((accepted_pin IS NULL) = (accepted_at IS NULL)),
    CHECK ((unreachable_at IS NULL) = (problem IS NULL))
) STRICT;

-- The last step of which it was said that it is reached, of each certificate.
CREATE TABLE expiry_alerts (
    subject     TEXT NOT NULL, -- issued, or monitor: and its name
    certificate TEXT NOT NULL, -- issuer or key, a colon and the serial number
    step        INTEGER NOT NULL, -- days before the end; 0: it is over
    not_after   INTEGER NOT NULL,
    given_at    INTEGER NOT NULL,
    PRIMARY KEY (subject, certificate)
) STRICT;

-- Up to which end the certificates of devices have been counted that are about to end.
CREATE TABLE expiry_counts (
    step          INTEGER PRIMARY KEY,
    counted_until INTEGER NOT NULL
) STRICT;
