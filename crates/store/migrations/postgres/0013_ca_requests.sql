-- CAs that have a key and wait for their certificate, which is signed where the root is.

CREATE TABLE ca_requests (
    key_id       text COLLATE "C" PRIMARY KEY,
    name         text COLLATE "C" NOT NULL UNIQUE,
    role         text NOT NULL CHECK (role IN ('device', 'service', 'intermediate')),
    environment  text COLLATE "C", -- null: the default one
    subject      text NOT NULL,
    purposes     text NOT NULL, -- of an intermediate: words with a space between; empty: anything
    path_length  bigint,
    custody      text NOT NULL CHECK (custody IN ('sealed', 'pkcs11')),
    sealed_key   bytea,
    key_location text, -- a PKCS #11 URI, without its PIN
    csr          bytea NOT NULL,
    created_at   timestamptz NOT NULL,
    CHECK ((custody = 'sealed') = (sealed_key IS NOT NULL)),
    CHECK ((custody = 'pkcs11') = (key_location IS NOT NULL))
);
