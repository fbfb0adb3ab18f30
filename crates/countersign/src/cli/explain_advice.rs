//! What each code means to whoever asks why, and what to do about it.

/// Meaning and advice.
pub(super) struct Advice {
    pub(super) meaning: &'static str,
    pub(super) to_do: &'static str,
}

/// The advice about a code.
pub(super) fn advice(code: &str) -> Option<Advice> {
    let found = ADVICE.iter().find(|(known, ..)| *known == code);
    found.map(|(_, meaning, to_do)| Advice { meaning, to_do })
}

/// Code, meaning, what to do. A test holds it against docs/reference/error-codes.md.
pub(super) const ADVICE: &[(&str, &str, &str)] = &[
    (
        "UPGRADE_REQUIRED",
        "the request does not ask for a WebSocket",
        "mend the client, or a proxy that strips Upgrade",
    ),
    ("BAD_WEBSOCKET", "what asks for a WebSocket is malformed", "mend the client"),
    (
        "ROTATION_STATE",
        "the rotation of the CA is not at a step that allows this",
        "look with countersign ca rotate status",
    ),
    ("EDGE_NAME_TAKEN", "there is an edge of this name", "revoke it, or choose another name"),
    (
        "EDGE_TOKEN_REFUSED",
        "no edge waits for this token: it was used, or works no more",
        "let an admin run countersign edge add again, under another name or after revoking the edge",
    ),
    (
        "EDGE_HAS_NO_NAMES",
        "the edge was added without names for its doors",
        "give its doors a certificate of your own (http_door.certificate), or add it anew with --door-name",
    ),
    (
        "EDGE_REVOKED",
        "the edge that came, or handed the request on, is revoked or not on record",
        "stop it where it runs, or add it anew and let it enrol in an empty data directory",
    ),
    (
        "EDGE_CERTIFICATE",
        "an edge's certificate was shown where a device or a person is asked for",
        "call with a certificate of a device, or none",
    ),
    (
        "EDGE_SCOPE",
        "the edge serves other tenants than the device's",
        "send the device to another edge, or add this one anew with its tenant",
    ),
    (
        "BAD_ENVELOPE",
        "what the edge said of the request cannot be read",
        "bring edge and authority to one version",
    ),
    (
        "AUTHORITY_UNREACHABLE",
        "the edge could not reach its authority",
        "see the edge's log; what needs no control plane is served meanwhile",
    ),
    (
        "MESSAGE_STATE",
        "the message was released before, is not kept whole or cannot be telemetry",
        "look with countersign quarantine messages show",
    ),
    (
        "ALERT_STATE",
        "the alert is resolved, or somebody sees to it already",
        "look with countersign alert list",
    ),
    (
        "MONITOR_STATE",
        "there is no key to accept, or another one than was looked at",
        "look with countersign monitor list, and accept what it shows",
    ),
    (
        "ADOPTION_INCOMPLETE",
        "edges or devices do not follow the new CA yet",
        "wait, or look with countersign ca rotate status who does not",
    ),
    (
        "CA_IN_USE",
        "somebody depends on the CA",
        "let them renew, or revoke what is left; countersign ca rotate status names them",
    ),
    ("CA_UNAVAILABLE", "the key of the CA is not at hand", "bring it back, or ask an authority that has it"),
    (
        "COMMAND_LIMIT",
        "too many commands wait for the device",
        "let the device come back, or let them expire",
    ),
    (
        "TOKEN_NOT_STAGED",
        "the token is not one that waits to be confirmed",
        "let the agent ask for a new token again",
    ),
    ("SCOPE_MISSING", "the API token lacks the scope that the call needs", "make a token with this scope"),
    (
        "SESSION_REQUIRED",
        "an API token was used where a person has to be signed in",
        "sign in, and call with the session's token",
    ),
    (
        "WRONG_PASSWORD",
        "the current password is wrong",
        "type it again, or ask an admin for a one-time token",
    ),
    (
        "PASSWORD_TOKEN_REFUSED",
        "the one-time token is wrong, used or too old",
        "ask an admin for another, or run countersign user reset-password",
    ),
    (
        "EMAIL_TAKEN",
        "somebody has this e-mail address",
        "look the person up, and enable them if they are disabled",
    ),
    ("LAST_OWNER", "no owner who can sign in would be left", "make somebody else an owner first"),
    ("USER_DISABLED", "the person is disabled", "enable them first"),
    ("SITE_TAKEN", "the tenant has a site of this short name", "choose another short name"),
    (
        "SITE_IN_USE",
        "the site has devices or keys, or is the default one",
        "move its devices and revoke its keys first",
    ),
    (
        "SELECTION_CHANGED",
        "the revocation would take other certificates than its preview showed",
        "preview it again, and look at what changed",
    ),
    (
        "MTLS_REQUIRED",
        "no certificate was shown, and one is needed",
        "let the agent enrol or renew; behind a proxy, look whether it ends TLS before the door",
    ),
    (
        "CERTIFICATE_UNTRUSTED",
        "the certificate is not from a device CA of this installation, nor from a CA whose guests the route admits",
        "enrol the device here, or see who is trusted: \"untrusted\" says what is wrong with the chain",
    ),
    ("RULE_TAKEN", "there is a rule of this name", "choose another name, or change that one"),
    ("RULE_CONFIGURED", "the rule is in the configuration", "change it there, and reload"),
    ("RULES_CHANGED", "somebody changed the rules meanwhile", "look at them again"),
    ("TOO_MANY_RULES", "there are as many rules as there can be", "remove some, or ask lists"),
    ("TRUST_TAKEN", "there are trusted CAs of this name", "choose another name, or remove those first"),
    (
        "TOO_MANY_TRUSTS",
        "doors trust as many CAs of others as they may",
        "remove those that no route asks for, or put several CAs under one name",
    ),
    (
        "NOT_ADMITTED_HERE",
        "the certificate is good, and the route does not admit its holder",
        "see the route's admit, allow_* and require_subject in the configuration, or use another route",
    ),
    (
        "CERTIFICATE_EXPIRED",
        "the certificate has expired",
        "let the agent renew, or approve the device if its tenant's policy is quarantine",
    ),
    (
        "CERTIFICATE_NOT_YET_VALID",
        "the certificate is not valid yet",
        "compare the device's clock and this server's",
    ),
    (
        "CERTIFICATE_REVOKED",
        "the certificate was revoked",
        "if the device is trusted again, make an enrolment key with its deviceId",
    ),
    (
        "CERTIFICATE_UNPROVED",
        "the certificate was issued after the backup that the installation was restored from",
        "the agent renews with it; a device that is not on record has to enrol again",
    ),
    (
        "CERTIFICATE_SUPERSEDED",
        "a newer certificate has taken its place",
        "let the device use the newer one; a copy of an old key shows like this too",
    ),
    (
        "DEVICE_QUARANTINED",
        "the device waits for a decision",
        "approve or deny it: GET /api/v1/agents/quarantined says why it is there",
    ),
    (
        "DEVICE_DECOMMISSIONED",
        "the device was denied or decommissioned",
        "nothing: it does not come back; a machine in its place enrols under another name",
    ),
    ("TENANT_SUSPENDED", "the tenant is suspended", "resume the tenant if it is to be served"),
    (
        "UNAUTHORIZED",
        "the credentials do not fit; the client is never told which part",
        "look at token, agent id and certificate in the facts; sign in or rotate the token again",
    ),
    ("RULE_BLOCKED", "a rule of yours matched", "look at \"rule\", and at its expression with the facts"),
    ("ENROLLMENT_KEY_REFUSED", "the enrolment key does not work; \"reason\" says why", "make a new key"),
    (
        "DEVICE_NAME_TAKEN",
        "the name is taken, and names are never used twice",
        "choose another name, or make a key with that device's deviceId",
    ),
    (
        "KEY_DENIED",
        "the public key is denied, or belonged to a revoked certificate",
        "let the device make a fresh key",
    ),
    (
        "PROOF_REQUIRED",
        "possession of the device's key was not proved",
        "let the agent ask for a challenge and sign it; an old agent cannot",
    ),
    ("ISSUER_UNAVAILABLE", "no certificate could be issued", "look for the cause in the log of that moment"),
    ("CERTIFICATE_STATE", "the certificate's state does not allow this", "look at \"state\""),
    ("CONFIRM_WINDOW_OVER", "the time to confirm is over", "let the agent renew again"),
    ("SETUP_DONE", "there is an owner already", "sign in"),
    ("SETUP_TOKEN_REFUSED", "the setup token is wrong, used or old", "restart the server for a new one"),
    (
        "INVALID_CREDENTIALS",
        "wrong e-mail address or password",
        "many from one address are somebody guessing; otherwise let an owner set a new password",
    ),
    (
        "SECOND_FACTOR_REQUIRED",
        "the password is right, and this account has a second factor",
        "show a code of the app or a recovery code as well; passkeys are shown in a browser",
    ),
    (
        "SECOND_FACTOR_WRONG",
        "the password is right, the code or the passkey is wrong or was used before",
        "wait for the next code; many of these are somebody who has the password: change it",
    ),
    (
        "SECOND_FACTOR_SETUP_REQUIRED",
        "everybody needs a second factor, and this person has none yet",
        "have them set it up at /console/second-factor",
    ),
    ("SECOND_FACTOR_SET", "there is a second factor already", "remove it first to set up another one"),
    (
        "SECOND_FACTOR_MISSING",
        "there is no second factor, or its first code came after 15 minutes",
        "begin to set it up again",
    ),
    (
        "WRONG_CODE",
        "the code or the passkey is wrong or was used before, or neither was shown",
        "wait for the next code, and look at the clock of whatever shows it; let the browser read the passkey again",
    ),
    (
        "PASSKEY_REFUSED",
        "a browser made a passkey for another page than the console, too late or with a key of no kind that is taken",
        "open the console where admin.console_url says it is, and begin again",
    ),
    (
        "IDENTITY_PROVIDER_FAILED",
        "the identity provider cannot be reached, or answers what cannot be read",
        "the server's log says which URL and why",
    ),
    (
        "SIGN_IN_NOT_BEGUN",
        "this browser has not begun this sign-in, or more than ten minutes ago",
        "begin at the sign-in page; if nobody did, somebody sent them a link",
    ),
    (
        "IDENTITY_REFUSED",
        "what the identity provider says is not good",
        "login.failed in the audit says why: compare [oidc] with the client there, and the clocks",
    ),
    (
        "NOT_LET_IN",
        "the identity provider knows the person, and nothing here lets them in",
        "login.failed in the audit says why: an [[oidc_role]] may be missing",
    ),
    (
        "SIGNS_IN_AT_PROVIDER",
        "the person signs in at the identity provider and has no password here",
        "change their password there",
    ),
    (
        "FORBIDDEN",
        "signed in, but role or tenant do not allow this",
        "look at \"user\" and \"role\"; let an owner give the role if it is meant to be",
    ),
    (
        "HOST_NOT_ALLOWED",
        "the admin listener does not answer to this host",
        "add the name to admin.allowed_hosts, if it is yours",
    ),
    (
        "ORIGIN_NOT_ALLOWED",
        "a web page of another origin sent this",
        "nothing, unless the page is yours: serve it from the same origin, or list it in route.cors_origins",
    ),
    (
        "FORM_NOT_OURS",
        "a form of the console came without the mark of its session",
        "load the page again and send the form anew; if nobody sent one, a page elsewhere tried",
    ),
    ("TENANT_TAKEN", "there is a tenant with this slug", "choose another slug"),
    ("TENANT_STATE", "the tenant is so already", "nothing"),
    (
        "SETTINGS_CHANGED",
        "the settings are not those that If-Match names",
        "read them again, then change them",
    ),
    (
        "SHADOW_CHANGED",
        "the state that the device is to have is not the one that If-Match names",
        "read it again, then replace it",
    ),
    ("DEVICE_STATE", "the device's status does not allow this", "look at \"state\""),
    ("ALREADY_REVOKED", "it is revoked already", "nothing"),
    (
        "CERTIFICATE_REFUSED",
        "the profile or a lint does not allow such a certificate",
        "read the sentence; docs/reference/lints.md says what each lint asks for",
    ),
    (
        "ISSUED_ELSEWHERE",
        "the certificate was imported: another CA signed it",
        "renew or revoke it there; countersign service remove takes it away from here",
    ),
    ("ISSUED_HERE", "the certificate was issued here, and its key is not with us", "countersign cert revoke"),
    ("PLATFORM_CERTIFICATE", "doors and OCSP responders renew their certificates themselves", "nothing"),
    (
        "CERTIFICATE_ON_RECORD",
        "another certificate of this issuer with this number is on record, or this one with another label",
        "look with countersign cert list",
    ),
    ("INVALID_JSON", "the body is not the JSON that is expected", "mend the client"),
    ("INVALID_REQUEST", "the request has bad fields", "look at \"fields\""),
    ("BODY_TOO_LARGE", "the body is over 1 MiB", "send less"),
    (
        "BODY_INCOMPLETE",
        "the body ended before its announced end",
        "look at the network, or at a proxy that times out",
    ),
    (
        "NOT_FOUND",
        "there is no such route or object",
        "look at the path; admin routes are not on doors, agent routes only there",
    ),
    ("METHOD_NOT_ALLOWED", "the route has no such method", "mend the client"),
    (
        "RATE_LIMITED",
        "too many requests",
        "wait as long as Retry-After says; many clients behind one address share",
    ),
    ("NOT_READY", "the server was starting, or its database did not answer", "look at the database"),
    ("INTERNAL", "something went wrong on our side", "look at \"cause\", and in the log of that moment"),
    (
        "ADDRESS_NOT_ALLOWED",
        "the route is for other networks",
        "come from one that it lists, or add the network to route.allow_from",
    ),
    (
        "BAD_FRAMING",
        "where the message ends is ambiguous",
        "look for an old proxy, or for somebody smuggling requests",
    ),
    (
        "DOOR_FULL",
        "the door held as many connections as it may",
        "look who holds them, or raise the door's max_connections",
    ),
    (
        "TOO_MANY_CONNECTIONS",
        "the address held as many connections as one may",
        "look who holds them, or raise the door's max_connections_per_ip; many clients behind one address share",
    ),
    (
        "PROXY_HEADER_MALFORMED",
        "the connection came from a network of balancers and did not begin with a PROXY header",
        "let the balancer send one, or correct the door's proxy_protocol_networks",
    ),
    ("BAD_HOST", "the host is missing, doubled or no host", "mend the client"),
    ("BAD_METHOD", "a method that is not served", "mend the client"),
    ("BAD_PATH", "the target is no path", "mend the client"),
    ("PATH_NOT_ABSOLUTE", "the path does not begin with a slash", "mend the client"),
    (
        "PATH_FORBIDDEN_BYTE",
        "the path has a byte that no path may hold",
        "mend the client, or look who probes",
    ),
    ("PATH_BAD_ESCAPE", "the path has a % without two hex digits", "mend the client, or look who probes"),
    ("PATH_ENCODED_DELIMITER", "the path hides a delimiter", "mend the client, or look who probes"),
    ("PATH_OVERLONG_ENCODING", "the path has UTF-8 that is longer than it need be", "look who probes"),
    ("PATH_DOUBLE_ENCODED", "the path has dots that are encoded twice", "look who probes"),
    ("PATH_DOT_SEGMENT_PARAMETERS", "the path has a dot segment with parameters", "look who probes"),
    ("CONNECTION_NAMES_HEADER", "Connection names an identity header", "look who probes"),
    ("CONNECTION_MALFORMED", "Connection cannot be read", "mend the client"),
    (
        "BODY_TOO_SLOW",
        "the request's body came too slowly",
        "look at the client's line, or raise http_door.body_timeout_seconds",
    ),
    (
        "HTTP2_FLOOD",
        "the connection sent more HTTP/2 frames than anybody needs, or reset more requests",
        "look who probes, or whether a client gives up on what it has asked for",
    ),
    ("UNREADABLE_REQUEST", "it was no HTTP, or its head was too long", "mend the client, or look who probes"),
    (
        "MISDIRECTED_REQUEST",
        "the door does not serve this host",
        "add the name to http_door.hosts, if it is yours",
    ),
    (
        "CLIENT_AUTH_MISDIRECTED",
        "the connection was made under a name that asks less of clients than this host does",
        "let the client connect under the host's own name; look at host.client_auth",
    ),
    (
        "UPSTREAM_UNREACHABLE",
        "the upstream gave no valid answer",
        "look whether the upstream runs, and at its log",
    ),
    (
        "UPSTREAM_TIMEOUT",
        "the upstream took too long",
        "look at the upstream, or raise http_door.upstream_timeout_seconds",
    ),
    (
        "EGRESS_UPSTREAM_UNKNOWN",
        "the egress does not lead to this host",
        "add an [[egress]] for it, if it is wanted",
    ),
    (
        "EGRESS_CERTIFICATE_UNKNOWN",
        "the egress does not lead to this host with this certificate",
        "look at egress.certificate_id",
    ),
    (
        "EGRESS_CERTIFICATE_NEEDED",
        "the request names no certificate",
        "name one by Countersign-Certificate-Id, or leave egress.certificate_id out of one way",
    ),
    ("EGRESS_CERTIFICATE_AMBIGUOUS", "the request names two certificates", "name one, by header or by cf"),
    (
        "EGRESS_CERTIFICATE_UNREADABLE",
        "what names the certificate cannot be read",
        "send an id, or JSON in the header of egress.cf_blob_header",
    ),
    ("EGRESS_PAGE_REFUSED", "a web page asked the egress", "listen on unix:/path, or call from a program"),
    ("EGRESS_CALLER_REFUSED", "a user who may not connected to the egress", "look at egress.allowed_uids"),
    (
        "UPSTREAM_UNWELL",
        "none of the route's upstreams is well",
        "look at the upstreams and at what they answer to route.health_path",
    ),
    ("PAYLOAD_TOO_LARGE", "the payload is above 64 KiB", "send less at once"),
    (
        "PAYLOAD_INVALID_JSON",
        "the payload is no JSON",
        "mend the device; countersign quarantine messages show has what it sent",
    ),
    (
        "TENANT_MISMATCH_TOPIC_VS_PAYLOAD",
        "the payload names another tenant than the certificate",
        "mend the device, or look who probes",
    ),
    ("MISSING_SITE_ID", "the payload has no site_id", "mend the device"),
    (
        "UNREGISTERED_DEVICE",
        "no device of this name is on record",
        "enrol the device, or look where its certificate comes from",
    ),
    (
        "DEVICE_REVOKED",
        "the device was decommissioned by the time the message was taken",
        "nothing: it is not served any more",
    ),
    (
        "SITE_MISMATCH_REGISTRY_VS_PAYLOAD",
        "the device is at another site than it says",
        "move the device to its site, or mend it",
    ),
    (
        "TOKEN_NOT_SET_IN_REGISTRY",
        "a provisioning token is asked for, and none is set for the device",
        "set one with countersign device provisioning-token set, or give the device a certificate",
    ),
    (
        "TOKEN_MISSING",
        "a provisioning token is asked for, and the device showed none",
        "give the device its token: as password, and in its messages where mqtt_door.require_token says so",
    ),
    (
        "TOKEN_INVALID",
        "the provisioning token is another one than the device's",
        "set a new one, or look who probes",
    ),
    (
        "AUTH_FAILED",
        "the user name is no tenant/device on record, too many wrong tokens came from there, or none could be looked for",
        "mend the device, or look who probes",
    ),
    (
        "CERT_REQUIRED",
        "the device's tenant enforces certificates, or would: a token does not open anything then",
        "let the device enrol for a certificate, or set the tenant's enforcement back to observe",
    ),
    (
        "SCHEMA_INVALID",
        "the payload is JSON of another shape than is expected there",
        "mend the device; countersign quarantine messages show has what it sent",
    ),
    (
        "TOPIC_IDENTITY_MISMATCH",
        "the topic is another device's, another tenant's or a broker's own",
        "mend the device, or look who probes",
    ),
    (
        "TOPIC_NOT_ALLOWED",
        "the topic is below the device's prefix, but not among those it may write or be answered on",
        "mend the device, or add the topic to mqtt_door.devices_write",
    ),
    (
        "FILTER_NOT_ALLOWED",
        "the filter is about more than the device may read",
        "subscribe to what is below the device's own prefix, or add it to mqtt_door.devices_read",
    ),
    ("WILL_NOT_ALLOWED", "the will is on a topic that the device may not write", "mend the device"),
    (
        "MQTT_QUOTA_EXCEEDED",
        "the device has as many retained messages, or bytes of them, as it may",
        "let it clear some, or raise mqtt_door.max_retained_messages and max_retained_bytes",
    ),
    (
        "MQTT_MISDIRECTED_MESSAGE",
        "the broker sent a device a message on a topic that is not its own; it went nowhere",
        "look at the broker: who else may change its sessions and subscriptions",
    ),
    (
        "OVERLOADED",
        "the control plane had more to do than it can",
        "look at the load; many requests of one connection share",
    ),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_code_has_two_advices() {
        let codes: BTreeSet<&str> = ADVICE.iter().map(|(code, ..)| *code).collect();
        assert_eq!(codes.len(), ADVICE.len());
        assert!(advice("MTLS_REQUIRED").is_some() && advice("mtls_required").is_none());
    }
}
