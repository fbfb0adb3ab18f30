-- CAs that have a key and wait for their certificate, which is signed where the root is.

CREATE TABLE ca_requests (
    key_id       TEXT PRIMARY KEY,
    name         TEXT NOT NULL UNIQUE,
    role         TEXT NOT NULL CHECK (role IN ('device', 'service', 'intermediate')),
    environment  TEXT, -- null: the default one
    subject      TEXT NOT NULL,
    purposes     TEXT NOT NULL, -- of an intermediate: words with a space between; empty: anything
    path_length  INTEGER,
    custody      TEXT NOT NULL CHECK (custody IN ('sealed', 'pkcs11')),
    sealed_key   BLOB,
    key_location TEXT, -- a PKCS #11 URI, without its PIN
    csr          BLOB NOT NULL,
    created_at   INTEGER NOT NULL,
    CHECK ((custody = 'sealed') = (sealed_key IS NOT NULL)),
    CHECK ((custody = 'pkcs11') = (key_location IS NOT NULL))
) STRICT;
