-- People who sign in at an identity provider: known by its name for them, never by an e-mail address.

CREATE TABLE oidc_links (
    issuer    text COLLATE "C" NOT NULL,
    subject   text COLLATE "C" NOT NULL,
    user_id   uuid NOT NULL UNIQUE REFERENCES users (id),
    linked_at timestamptz NOT NULL,
    PRIMARY KEY (issuer, subject)
);
