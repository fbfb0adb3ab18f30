//! The settings of `[[rule]]`, `[[list]]` and `[[monitor]]` in words.

use super::settings::{Setting, Shown};

/// Every one, in the order of the sample.
pub(super) const RULES_AND_MONITORS: &[Setting] = &[
    Setting::new(
        "rule.name",
        "",
        "\"api needs a certificate\"",
        Shown::Example,
        "What people call the rule; needed, unique.",
    ),
    Setting::new(
        "rule.expression",
        "",
        "'''\n(http.request.uri.path contains \"/api/\") and not cf.tls_client_auth.cert_verified'''",
        Shown::Example,
        "When it matches, in Cloudflare's rule language; needed.",
    ),
    Setting::new(
        "rule.action",
        "",
        "\"block\"",
        Shown::Default,
        "block, log (write down and go on) or skip (pass the remaining rules).",
    ),
    Setting::new(
        "rule.enabled",
        "",
        "true",
        Shown::Default,
        "false keeps the rule without applying it; its expression is still checked.",
    ),
    Setting::new("rule.status", "", "403", Shown::Default, "Status of a block, 400 to 599."),
    Setting::new(
        "rule.body",
        "",
        "\"no certificate, no service\"",
        Shown::Example,
        "Body of a block. Default: the standard error body.",
    ),
    Setting::new(
        "rule.content_type",
        "",
        "\"text/plain; charset=utf-8\"",
        Shown::Default,
        "Media type of that body.",
    ),
    Setting::new(
        "list.name",
        "",
        "\"office\"",
        Shown::Example,
        "What rules call the list, as in `ip.src in $office`: lower-case letters, digits and _; needed, unique.",
    ),
    Setting::new(
        "list.kind",
        "",
        "\"ip\"",
        Shown::Default,
        "What is in it: ip (addresses, networks, 192.0.2.1..192.0.2.9), hostname (*.example.com is every\nname below), text or integer (also 8000..8010).",
    ),
    Setting::new(
        "list.items",
        "",
        "[\"192.0.2.0/24\", \"2001:db8::/32\"]",
        Shown::Example,
        "The items, each a string; needed.",
    ),
    Setting::new(
        "monitor.name",
        "",
        "\"web\"",
        Shown::Example,
        "What people call a certificate elsewhere that is watched: its end, and whether it is another\none than it should be; needed, unique.",
    ),
    Setting::new(
        "monitor.address",
        "",
        "\"www.example.com:443\"",
        Shown::Example,
        "The TLS server that shows it, host:port. Or monitor.file.",
    ),
    Setting::new(
        "monitor.server_name",
        "",
        "\"www.example.com\"",
        Shown::Example,
        "The name that the server is asked for. Default: the address's host.",
    ),
    Setting::new(
        "monitor.file",
        "",
        "\"/etc/ssl/web.pem\"",
        Shown::Example,
        "The file that it is in, PEM, leaf first, or DER. Or monitor.address.",
    ),
    Setting::new(
        "monitor.pin",
        "",
        "\"f54ef9edf09e7e7eb0b7b4d6b3fb2a6f0d6a3ba0bd1d2ac0ee0d5a0d4f1cf3b1\"",
        Shown::Example,
        "SHA-256 of the public key that it must have, hex or base64; `countersign monitor check`\nprints it. A renewal with this key is no change. Default: any certificate but the first one\nseen is a change, until somebody accepts it.",
    ),
    Setting::new(
        "monitor.interval_minutes",
        "",
        "60",
        Shown::Default,
        "How often it is looked at, at most 10080.",
    ),
];
