//! The settings about servers, in words.

use super::settings::{Setting, Shown};

/// How the servers of a route are reached.
pub(super) const OF_ROUTES: &[Setting] = &[
    Setting::new(
        "route.upstreams",
        "",
        "[\"http://10.0.0.5:9000\", \"http://10.0.0.6:9000\"]",
        Shown::Example,
        "Several servers, alike, that take turns; instead of upstream. One that cannot be connected\nto is passed over for 5 seconds. A request that never reached one goes to the next, and so\ndoes a GET, HEAD, OPTIONS, PUT or DELETE without a body. At most 64.",
    ),
    Setting::new(
        "route.http2",
        "",
        "false",
        Shown::Default,
        "Whether the servers speak HTTP/2, as gRPC needs.",
    ),
    Setting::new(
        "route.ca_file",
        "",
        "\"app-ca.pem\"",
        Shown::Example,
        "The CA that vouches for https servers, PEM; read again when it changes.",
    ),
    Setting::new(
        "route.system_roots",
        "",
        "false",
        Shown::Default,
        "Whether every CA that this machine trusts may vouch for them instead.",
    ),
    Setting::new(
        "route.pins",
        "",
        "[\"f54ef9edf09e7e7eb0b7b4d6b3fb2a6f0d6a3ba0bd1d2ac0ee0d5a0d4f1cf3b1\"]",
        Shown::Example,
        "The SHA-256 of the public keys (SPKI) of https servers, hex or base64: they must hold one of\nthese. Without ca_file and system_roots nothing else is asked of them.",
    ),
    Setting::new(
        "route.server_name",
        "",
        "\"app.internal\"",
        Shown::Example,
        "The name that https servers must prove. Default: the address's host.",
    ),
    Setting::new(
        "route.client_certificate",
        "",
        "\"clients/door\"",
        Shown::Example,
        "What https servers are shown: a directory as `cert issue` makes it, a PEM file, or \"door\":\nthe door's own. Read again when it changes.",
    ),
    Setting::new(
        "route.client_key",
        "",
        "\"clients/door-key.pem\"",
        Shown::Example,
        "The key, if client_certificate is a file.",
    ),
    Setting::new(
        "route.health_path",
        "",
        "\"/health\"",
        Shown::Example,
        "What servers are asked for regularly. Who does not answer 2xx or 3xx is passed over; when all\nare, requests are answered 503. Default: nothing.",
    ),
    Setting::new("route.health_interval_seconds", "", "10", Shown::Default, "How often."),
    Setting::new(
        "route.well_after",
        "",
        "2",
        Shown::Default,
        "After how many good answers in a row a server is well again.",
    ),
    Setting::new("route.unwell_after", "", "3", Shown::Default, "After how many bad ones it is not."),
    Setting::new(
        "route.connect_timeout_seconds",
        "",
        "5",
        Shown::Default,
        "How long a connection may take, TLS included.",
    ),
    Setting::new(
        "route.answer_timeout_seconds",
        "",
        "60",
        Shown::Example,
        "How long a server may take to begin its answer, from when the request's body last moved.\nDefault: http_door.upstream_timeout_seconds.",
    ),
    Setting::new(
        "route.idle_timeout_seconds",
        "",
        "300",
        Shown::Default,
        "How long it may be silent in the middle of its answer; 0: for ever.",
    ),
];
