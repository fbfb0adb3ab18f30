//! Every setting in words: what the annotated sample and the reference are made from. Tests hold
//! this list against what the file may hold and against the defaults that are really used.

use std::collections::BTreeSet;

use super::acme;
use super::alert_to;
use super::audience;
use super::audit;
use super::audit_to;
use super::environment::variable_of;
use super::front;
use super::hosts;
use super::ingest_sinks;
use super::metrics;
use super::mosquitto;
use super::mqtt_door_settings::MQTT_DOOR;
use super::mqtt_grants;
use super::oidc;
use super::rule_settings::RULES_AND_MONITORS;
use super::tcp_door_settings::TCP_DOOR;
use super::traces;
use super::unusual_access;
use super::upstream_settings::{OF_EGRESS, OF_ROUTES};

/// A setting in words.
pub(super) struct Setting {
    /// Its key, dotted; `route.` and `rule.` are entries of lists.
    pub(super) key: &'static str,
    /// The flag that sets it, or nothing.
    pub(super) flag: &'static str,
    /// What stands in the sample, as TOML.
    pub(super) sample: &'static str,
    /// Whether the sample is the default.
    pub(super) shown: Shown,
    /// What it is for.
    pub(super) doc: &'static str,
}

/// What the value in the sample is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    /// The default.
    Default,
    /// An example; the default is said in words.
    Example,
}

impl Setting {
    /// A setting and what is to be said of it.
    pub(super) const fn new(
        key: &'static str,
        flag: &'static str,
        sample: &'static str,
        shown: Shown,
        doc: &'static str,
    ) -> Self {
        Self { key, flag, sample, shown, doc }
    }

    /// The table that it is in; none for the first ones.
    pub(super) fn table(&self) -> &'static str {
        self.key.rsplit_once('.').map_or("", |(table, _)| table)
    }

    /// Whether it is an entry of a list of tables, which only the file can hold.
    pub(super) fn is_in_list(&self) -> bool {
        [
            "host.",
            "route.",
            "egress.",
            "rule.",
            "list.",
            "monitor.",
            "alert_to.",
            "audit_to.",
            "oidc_role.",
            "tcp_door.",
            "ingest_sink.",
            "mqtt_grant.",
        ]
        .iter()
        .any(|list| self.key.starts_with(list))
    }
}

/// Whether a variable names a setting.
pub(super) fn has_variable(name: &str) -> bool {
    all().iter().any(|setting| !setting.is_in_list() && variable_of(setting.key) == name)
}

/// Every setting, in the order of the sample: those of one table together.
pub(super) fn all() -> Vec<&'static Setting> {
    let of_doors = [front::SETTINGS, audience::SETTINGS, TCP_DOOR, MQTT_DOOR];
    let of_messages = [
        mqtt_grants::SETTINGS,
        mosquitto::SETTINGS,
        metrics::SETTINGS,
        traces::SETTINGS,
        alert_to::SETTINGS,
        unusual_access::SETTINGS,
        audit::SETTINGS,
        audit_to::SETTINGS,
        oidc::SETTINGS,
        ingest_sinks::SETTINGS,
    ];
    let parts = [SETTINGS, RULES_AND_MONITORS, acme::SETTINGS, hosts::SETTINGS, OF_ROUTES, OF_EGRESS]
        .into_iter()
        .chain(of_doors)
        .chain(of_messages);
    let mut all: Vec<&Setting> = parts.flatten().collect();
    let mut tables: Vec<&str> = all.iter().map(|setting| setting.table()).collect();
    let mut seen = BTreeSet::new();
    tables.retain(|table| seen.insert(*table));
    all.sort_by_key(|setting| tables.iter().position(|table| *table == setting.table()));
    all
}

/// Most settings; `all` gives each.
const SETTINGS: &[Setting] = &[
    Setting::new(
        "data_dir",
        "--data-dir",
        "\"countersign-data\"",
        Shown::Default,
        "Folder for keys, tokens and the embedded database; made with mode 0700. A relative path\nstarts from the working directory, in this file from the file's folder.",
    ),
    Setting::new(
        "database_url",
        "--database-url",
        "\"sqlite:/var/lib/countersign/countersign.db\"",
        Shown::Example,
        "Where the records live: sqlite:PATH, or postgresql://USER@HOST/DATABASE, which several authorities\nmay share. Default: countersign.db in data_dir.",
    ),
    Setting::new(
        "trust_domain",
        "--trust-domain",
        "\"countersign.internal\"",
        Shown::Default,
        "Dotted lower-case name under which this installation's identities live. It is in every\ncertificate: the first start fixes it.",
    ),
    Setting::new(
        "log_format",
        "--log-format",
        "\"text\"",
        Shown::Default,
        "text or json; both go to stderr.",
    ),
    Setting::new(
        "log_filter",
        "--log-filter",
        "\"info\"",
        Shown::Default,
        "Which log lines are written: error, warn, info, debug, trace, or directives such as\nwarn,countersign_edge=debug.",
    ),
    Setting::new(
        "public_names",
        "--public-name",
        "[\"gateway.example.com\"]",
        Shown::Example,
        "Names and addresses in the doors' certificate; devices are told the first. Default: this\nmachine's host name, localhost and the addresses of its interfaces.",
    ),
    Setting::new(
        "ports_file",
        "--ports-file",
        "\"ports.json\"",
        Shown::Example,
        "File to write the ports to, as JSON, once everything is ready. Default: none.",
    ),
    Setting::new(
        "public_base_url",
        "--public-base-url",
        "\"http://pki.example.com\"",
        Shown::Example,
        "Base of the URLs written into certificates (CRL, OCSP, issuer). Default: none are written.",
    ),
    Setting::new(
        "drain_seconds",
        "",
        "30",
        Shown::Default,
        "How long open requests may go on after SIGTERM.",
    ),
    Setting::new(
        "audit_anchor_interval_minutes",
        "",
        "60",
        Shown::Default,
        "How often the ends of the audit chains are signed, when something was written since.",
    ),
    Setting::new(
        "sandbox",
        "",
        "\"auto\"",
        Shown::Default,
        "Whether the process gives up writing anywhere but in its data directory, where its access log and its\nsockets are, and in sandbox_write: auto does where the kernel has Landlock, required starts nowhere else,\noff does not. With [pki.pkcs11], auto does nothing unless sandbox_write says where the module writes.",
    ),
    Setting::new(
        "sandbox_write",
        "",
        "[\"/var/lib/softhsm\"]",
        Shown::Example,
        "Folders and files that may be written besides, absolute. Default: none.",
    ),
    Setting::new(
        "admin.listen",
        "--listen-admin",
        "\"127.0.0.1:8080\"",
        Shown::Default,
        "Address of the admin listener, plain HTTP. Beyond loopback only with danger_plain_admin.",
    ),
    Setting::new(
        "admin.danger_plain_admin",
        "--danger-plain-admin",
        "false",
        Shown::Default,
        "Let the admin listener listen beyond this machine without TLS.",
    ),
    Setting::new(
        "admin.allowed_hosts",
        "--allowed-host",
        "[\"admin.example.com\"]",
        Shown::Example,
        "Host names the admin listener answers to, besides localhost, its own address and the\npublic names; any other Host is refused (DNS rebinding).",
    ),
    Setting::new(
        "admin.expose_admin_on_door",
        "--expose-admin-on-door",
        "false",
        Shown::Default,
        "Serve the admin routes behind the HTTP door too.",
    ),
    Setting::new("admin.session_hours", "", "12", Shown::Default, "How long a sign-in lasts."),
    Setting::new(
        "admin.console_url",
        "",
        "\"https://countersign.example.com\"",
        Shown::Example,
        "Where browsers reach the console. Passkeys are made for its host and used there alone: another host here makes\nthose that there are useless. Default: that of [oidc], else this machine, http://localhost at any port.",
    ),
    Setting::new(
        "edge.authority",
        "",
        "\"https://gateway.example.com:8443\"",
        Shown::Example,
        "HTTP door of the authority, for `countersign edge run`; `serve` has an authority of its own and\nreads nothing of this table.",
    ),
    Setting::new(
        "edge.ca_fingerprint",
        "",
        "\"4dc34dc34dc34dc34dc34dc34dc34dc34dc34dc34dc34dc34dc34dc34dc34dc3\"",
        Shown::Example,
        "SHA-256 of the authority's root, by which it is known before the edge has enrolled.",
    ),
    Setting::new(
        "edge.token_file",
        "",
        "\"edge.token\"",
        Shown::Example,
        "File with the one-time token that the edge enrols with.",
    ),
    Setting::new(
        "edge.stale_after_minutes",
        "",
        "1440",
        Shown::Default,
        "How long what is known of trust counts as fresh when the authority does not say that it still holds.",
    ),
    Setting::new(
        "edge.when_stale",
        "",
        "\"keep\"",
        Shown::Default,
        "What the doors do then: keep goes on by it, with an alarm in the log; refuse admits no identity.",
    ),
    Setting::new(
        "http_door.listen",
        "--listen-http",
        "\"0.0.0.0:8443\"",
        Shown::Default,
        "Address of the HTTP door: agents, and the routes below.",
    ),
    Setting::new(
        "http_door.hosts",
        "",
        "[\"gateway.example.com\"]",
        Shown::Example,
        "Hosts the door serves; requests for another one are answered 421. Default: any.",
    ),
    Setting::new(
        "http_door.rules",
        "",
        "\"enforce\"",
        Shown::Default,
        "Whether rules block (enforce), are only recorded (observe), or are not run (off).",
    ),
    Setting::new(
        "http_door.compat",
        "",
        "\"none\"",
        Shown::Default,
        "\"cloudflare\" leaves revoked, quarantined and decommissioned identities to the rules, as Cloudflare\ndoes, wherever a route requires no identity. A danger: without it they are refused before any rule.",
    ),
    Setting::new(
        "http_door.client_auth",
        "",
        "\"optional\"",
        Shown::Default,
        "none, optional or required. With required, a device whose certificate has expired cannot\nfinish the handshake, so it cannot renew here.",
    ),
    Setting::new(
        "http_door.certificate",
        "",
        "\"door.pem\"",
        Shown::Example,
        "Certificate chain to show, PEM, leaf first, with http_door.key beside it. Default: one\nthat the embedded CA issues and renews.",
    ),
    Setting::new(
        "http_door.key",
        "",
        "\"door.key\"",
        Shown::Example,
        "Private key of http_door.certificate, PEM.",
    ),
    Setting::new(
        "http_door.workers",
        "",
        "2",
        Shown::Example,
        "Threads that serve the door. Default: as many as the machine has processors.",
    ),
    Setting::new(
        "http_door.handshake_timeout_seconds",
        "",
        "5",
        Shown::Default,
        "How long a TLS handshake may take.",
    ),
    Setting::new(
        "http_door.header_timeout_seconds",
        "",
        "10",
        Shown::Default,
        "How long a request's header may take.",
    ),
    Setting::new(
        "http_door.idle_timeout_seconds",
        "",
        "180",
        Shown::Default,
        "How long a connection may be open without a request.",
    ),
    Setting::new(
        "http_door.body_timeout_seconds",
        "",
        "30",
        Shown::Default,
        "How long nothing of a request's body may come, or less than body_min_bytes_per_second;\nthen it is answered 408. gRPC over HTTP/2 is not held to it.",
    ),
    Setting::new(
        "http_door.body_min_bytes_per_second",
        "",
        "240",
        Shown::Default,
        "What of a request's body must come in the long run; 0: any byte is enough.",
    ),
    Setting::new(
        "http_door.write_timeout_seconds",
        "",
        "60",
        Shown::Default,
        "How long a client may take nothing of an answer that waits for it; then the connection is\ncut, or over HTTP/2 the stream.",
    ),
    Setting::new(
        "http_door.upstream_timeout_seconds",
        "",
        "60",
        Shown::Default,
        "How long an upstream may take to begin its answer.",
    ),
    Setting::new(
        "http_door.websocket_ping_seconds",
        "",
        "30",
        Shown::Default,
        "How often agents' WebSockets are pinged; the answer may take a third of it.",
    ),
    Setting::new("http_door.max_connections", "", "100000", Shown::Default, "Connections in all."),
    Setting::new(
        "http_door.max_connections_per_ip",
        "",
        "4096",
        Shown::Default,
        "Connections from one address (IPv6: from one /64).",
    ),
    Setting::new(
        "http_door.proxy_protocol_networks",
        "",
        "[\"10.0.0.0/8\"]",
        Shown::Example,
        "Networks whose connections begin with a PROXY protocol header (v1 or v2). Default: none.",
    ),
    Setting::new(
        "mtls.issuer",
        "",
        "\"embedded\"",
        Shown::Default,
        "Who issues device certificates: embedded, cloudflare, or none (devices enrol without one).\ncloudflare behaves as none unless CLOUDFLARE_API_TOKEN and CLOUDFLARE_ZONE_ID are set.",
    ),
    Setting::new(
        "mtls.cloudflare_api_url",
        "",
        "\"https://api.cloudflare.com/client/v4\"",
        Shown::Default,
        "Base of Cloudflare's API. The token goes there: https, or http to this machine alone.",
    ),
    Setting::new(
        "mtls.cloudflare_proxy",
        "",
        "\"http://proxy.example.com:3128\"",
        Shown::Example,
        "HTTP proxy on the way to Cloudflare's API; it sees host and port. Default: none, and no\nvariable names one.",
    ),
    Setting::new(
        "mtls.cloudflare_roots",
        "",
        "\"roots.pem\"",
        Shown::Example,
        "Roots that Cloudflare's API is trusted by, PEM. Default: the system's.",
    ),
    Setting::new(
        "pki.key_encryption_key_file",
        "",
        "\"/etc/countersign-server/key-encryption-key\"",
        Shown::Example,
        "File with the key that seals the keys of CAs, 32 octets or 64 hex digits, mode 0600; made at the\nfirst start. Default: key-encryption-key in data_dir.",
    ),
    Setting::new(
        "pki.key_encryption_key_credential",
        "",
        "\"key-encryption-key\"",
        Shown::Example,
        "Or the systemd credential with that key (LoadCredential= or LoadCredentialEncrypted=). Default:\nnone.",
    ),
    Setting::new(
        "pki.passphrase_file",
        "",
        "\"/run/keys/countersign-passphrase\"",
        Shown::Example,
        "Or a file, mode 0600, with a passphrase of 12 characters or more on one line, from which the key\nis derived with Argon2id. `countersign ca reseal` changes it, or where the key comes from.\nDefault: none.",
    ),
    Setting::new(
        "pki.passphrase_credential",
        "",
        "\"passphrase\"",
        Shown::Example,
        "Or the systemd credential with that passphrase. Default: none.",
    ),
    Setting::new(
        "pki.pkcs11.module",
        "",
        "\"/usr/lib/softhsm/libsofthsm2.so\"",
        Shown::Example,
        "The library through which a PKCS #11 token is spoken to. With a token, the keys of new CAs are\nmade in it and never leave it. Default: no token, keys are sealed into the database.",
    ),
    Setting::new("pki.pkcs11.token", "", "\"countersign\"", Shown::Example, "The token's label."),
    Setting::new(
        "pki.pkcs11.serial",
        "",
        "\"8d3c7a5f0b1e2c44\"",
        Shown::Example,
        "The token's serial number, instead of the label or besides it.",
    ),
    Setting::new(
        "pki.pkcs11.pin_file",
        "",
        "\"/run/keys/countersign-pin\"",
        Shown::Example,
        "File, mode 0600, with the PIN of the token's user.",
    ),
    Setting::new(
        "pki.pkcs11.pin_credential",
        "",
        "\"pin\"",
        Shown::Example,
        "Or the systemd credential with that PIN.",
    ),
    Setting::new(
        "pki.pkcs11.sessions",
        "",
        "4",
        Shown::Default,
        "How many requests sign in the token at once.",
    ),
    Setting::new(
        "route.host",
        "",
        "\"app.example.com\"",
        Shown::Example,
        "Which host the route is for. Default: any.",
    ),
    Setting::new(
        "route.path",
        "",
        "\"/\"",
        Shown::Default,
        "Path prefix, whole segments. The control plane's own paths come first.",
    ),
    Setting::new(
        "route.upstream",
        "",
        "\"http://127.0.0.1:9000\"",
        Shown::Example,
        "Where requests go: http://host[:port], https://host[:port] or unix:/path. This or\nroute.upstreams is needed.",
    ),
    Setting::new(
        "route.require_identity",
        "",
        "true",
        Shown::Default,
        "Whether a certificate in good standing is needed: true, false or \"observe\" (let\nthrough and recorded). A fallen one is refused in any case. The upstream is told who is there\nby Client-Cert (RFC 9440); such headers from clients are removed.",
    ),
    Setting::new(
        "route.renewal_paths",
        "",
        "[\"/app/renew\"]",
        Shown::Example,
        "Paths, exact, where the upstream itself decides about missing and fallen certificates.\nDefault: none.",
    ),
    Setting::new(
        "route.identity_headers",
        "",
        "[\"rfc9440\"]",
        Shown::Default,
        "How the upstream is told about the certificate, any of: rfc9440 (Client-Cert), xfcc (Envoy),\nnginx (X-SSL-Client-*), cf-cert (Cf-Cert-*), cf-blob (the request.cf of Workers). All of these\nare removed from what clients send, whatever is chosen.",
    ),
    Setting::new(
        "route.cf_blob_header",
        "",
        "\"CF-Blob\"",
        Shown::Default,
        "The header that cf-blob fills, workerd's cfBlobHeader: CF-Blob, MF-CF-Blob or CF-Blob-….",
    ),
];

#[cfg(test)]
mod tests;
