-- Certificates that are watched, what was seen of them, and what was said about the end of which.

CREATE TABLE monitors (
    name            text COLLATE "C" NOT NULL,
    place           text COLLATE "C" NOT NULL, -- where it is looked for; at another place it is another certificate
    looked_at       timestamptz NOT NULL, -- when one of the authorities went to look
    -- The certificate that was seen last.
    spki_sha256     text COLLATE "C",
    serial_number   text COLLATE "C",
    subject         text COLLATE "C",
    issuer          text COLLATE "C",
    not_before      timestamptz,
    not_after       timestamptz,
    first_seen_at   timestamptz,
    last_seen_at    timestamptz,
    -- The one that is taken to be right as long as no key is pinned.
    expected_spki   text COLLATE "C",
    expected_serial text COLLATE "C",
    -- The key that somebody accepted, and the configured pin in whose place it is.
    accepted_pin    text COLLATE "C",
    accepted_for    text COLLATE "C",
    accepted_at     timestamptz,
    changed_at      timestamptz, -- since when it is another one than it should be
    unreachable_at  timestamptz, -- since when it cannot be looked at
    problem         text COLLATE "C", -- why
    PRIMARY KEY (name, place),
    CHECK ((spki_sha256 IS NULL) = (not_after IS NULL)),
    CHECK ((expected_spki IS NULL) = (expected_serial IS NULL)),
    CHECK ((accepted_pin IS NULL) = (accepted_at IS NULL)),
    CHECK ((unreachable_at IS NULL) = (problem IS NULL))
);

-- The last step of which it was said that it is reached, of each certificate.
CREATE TABLE expiry_alerts (
    subject     text COLLATE "C" NOT NULL, -- issued, or monitor: and its name
    certificate text COLLATE "C" NOT NULL, -- issuer or key, a colon and the serial number
    step        bigint NOT NULL, -- days before the end; 0: it is over
    not_after   timestamptz NOT NULL,
    given_at    timestamptz NOT NULL,
    PRIMARY KEY (subject, certificate)
);

-- Up to which end the certificates of devices have been counted that are about to end.
CREATE TABLE expiry_counts (
    step          bigint PRIMARY KEY,
    counted_until timestamptz NOT NULL
);
