-- People who sign in at an identity provider: known by its name for them, never by an e-mail address.

CREATE TABLE oidc_links (
    issuer    TEXT NOT NULL,
    subject   TEXT NOT NULL,
    user_id   TEXT NOT NULL UNIQUE REFERENCES users (id),
    linked_at INTEGER NOT NULL,
    PRIMARY KEY (issuer, subject)
) STRICT;
