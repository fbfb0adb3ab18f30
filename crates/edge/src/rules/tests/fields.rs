//! Every field, read from a request.

use std::sync::Arc;

use countersign_core::snapshot::Standing;
use http::HeaderMap;

use super::super::facts::{CertificateState, PresentedCertificate, RequestFacts, Resumption, TlsFacts};
use super::super::fields::REGISTRY;
use super::{certificate, device, facts, headers, holds, path};

/// True of the request below, each field at least once.
const TRUE: &[&str] = &[
    "ssl and tls.resumed",
    "cf.tls_client_auth.cert_presented and cf.tls_client_auth.cert_verified and cf.tls_client_auth.cert_revoked",
    "not cf.tls_client_auth.cert_rfc9440_too_large and not cf.tls_client_auth.cert_chain_rfc9440_too_large",
    "not http.request.headers.truncated",
    "http.host eq \"a.example\" and http.host ne \"A.example\" and http.host lt \"b\"",
    "http.user_agent contains \"\\xff\"",
    "http.cookie eq \"a=1; b%20b=2; a=3\" and http.referer eq \"https://x.example/\"",
    "http.x_forwarded_for eq \"10.0.0.1\"",
    "http.request.method in {\"GET\" \"HEAD\"} and http.request.version eq \"HTTP/1.1\"",
    "http.request.uri eq \"/API/v1.PHP?q=1&r=%2f&q=&s\" and http.request.uri.path eq \"/API/v1.PHP\"",
    "http.request.uri.path.extension eq \"php\" and raw.http.request.uri.path.extension eq \"php\"",
    "http.request.uri.query eq \"q=1&r=%2f&q=&s\" and raw.http.request.uri.query eq \"q=1&r=%2f&q=&s\"",
    "http.request.full_uri eq \"https://a.example/API/v1.PHP?q=1&r=%2f&q=&s\"",
    "raw.http.request.uri eq \"//API/./v1.PHP?q=1&r=%2f&q=&s\" and raw.http.request.uri.path eq \"//API/./v1.PHP\"",
    "starts_with(raw.http.request.full_uri, \"https://a.example//API\")",
    "http.request.uri.path wildcard \"/api/*\" and not http.request.uri.path strict wildcard \"/api/*\"",
    "upper(http.host) eq \"A.EXAMPLE\" and len(http.host) eq 9",
    "ip.src eq 192.0.2.7 and ip.src in {192.0.2.0/24} and not ip.src in {192.0.3.0/24 ::/0}",
    "ip.src in {192.0.2.1..192.0.2.9} and not ip.src in {192.0.2.8..192.0.2.9} and ip.src in $office",
    "http.host in $hosts and device.name in $names and cf.edge.server_port in $ports",
    "cf.edge.server_port in {80 400..500} and cf.edge.server_port le 443 and not cf.edge.server_port gt 443",
    "cf.edge.server_port & 1 and not cf.edge.server_port & 4",
    "http.request.timestamp.sec eq 1700000050 and http.request.timestamp.msec eq 123",
    "cf.ray_id matches \"^[0-9a-f-]{36}$\"",
    "cf.tls_version eq \"TLSv1.3\" and cf.tls_cipher eq \"TLS_AES_128_GCM_SHA256\"",
    "tls.kx_group eq \"X25519\"",
    "cf.tls_client_auth.cert_serial eq \"0ABC\" and cf.tls_client_auth.cert_ski eq \"\"",
    "cf.tls_client_auth.cert_issuer_serial eq \"\" and starts_with(cf.tls_client_auth.cert_issuer_ski, \"CD\")",
    "cf.tls_client_auth.cert_issuer_dn eq \"CN=device CA\" and cf.tls_client_auth.cert_issuer_dn_rfc2253 eq \"\"",
    "cf.tls_client_auth.cert_issuer_dn_legacy eq \"\" and cf.tls_client_auth.cert_subject_dn_legacy eq \"\"",
    "cf.tls_client_auth.cert_subject_dn matches \"^CN=[^,]+,O=acme$\" and cf.tls_client_auth.cert_subject_dn_rfc2253 eq \"\"",
    "cf.tls_client_auth.cert_fingerprint_sha256 contains \"abab\" and cf.tls_client_auth.cert_fingerprint_sha1 eq \"\"",
    "cf.tls_client_auth.cert_not_after eq \"Nov 14 22:16:40 2023 GMT\"",
    "cf.tls_client_auth.cert_not_before eq \"Nov 14 22:13:20 2023 GMT\"",
    "cf.tls_client_auth.cert_rfc9440 eq \":AQID:\" and cf.tls_client_auth.cert_chain_rfc9440 eq \":BA==:\"",
    "cert.key_type eq \"P-256\" and cert.age_ratio eq 25 and cert.age_ratio < 66",
    "any(cert.san.uri[*] contains \"/tenant/acme/\") and cert.san.dns[1] eq \"D1\" and len(cert.eku) eq 1",
    "cert.eku[0] eq \"clientAuth\"",
    "device.id eq \"spiffe://countersign.internal/tenant/acme/device/d1\"",
    "device.tenant eq \"acme\" and device.name eq \"d1\" and device.status eq \"revoked\"",
    "any(http.request.headers[\"x-a\"][*] eq \"two\") and http.request.headers[\"x-a\"][0] eq \"One\"",
    "any(http.request.headers.names[*] eq \"x-a\") and any(http.request.headers.values[*] eq \"two\")",
    "any(raw.http.request.headers[\"x-a\"][*] eq \"two\") and any(raw.http.request.headers.names[*] eq \"x-a\")",
    "any(raw.http.request.headers.values[*] eq \"two\") and len(http.request.headers[\"x-a\"]) eq 2",
    "http.request.uri.args[\"q\"][0] eq \"1\" and http.request.uri.args[\"q\"][1] eq \"\"",
    "any(http.request.uri.args.names[*] eq \"s\") and any(http.request.uri.args.values[*] eq \"%2f\")",
    "any(raw.http.request.uri.args.names[*] eq \"s\") and any(raw.http.request.uri.args.values[*] eq \"%2f\")",
    "raw.http.request.uri.args[\"r\"][0] eq \"%2f\" and len(http.request.uri.args.names) eq 4",
    "http.request.cookies[\"a\"][0] eq \"1\" and http.request.cookies[\"a\"][1] eq \"3\"",
    "http.request.cookies[\"b b\"][0] eq \"2\" and any(http.request.cookies.names[*] eq \"b b\")",
    "any(http.request.cookies.values[*] eq \"3\")",
    "ssl xor ssl xor ssl",
    "true and not false",
];

#[test]
fn every_field_is_read_from_the_request() {
    let (target, identity) = (path("//API/./v1.PHP?q=1&r=%2f&q=&s"), device());
    let shown = certificate(vec![Arc::from([1, 2, 3]), Arc::from([4])]);
    let sent = headers(&[
        ("user-agent", b"curl/8 \xff"),
        ("cookie", b"a=1; b%20b=2"),
        ("cookie", b"a=3"),
        ("referer", b"https://x.example/"),
        ("x-a", b"One"),
        ("x-a", b"two"),
    ]);
    let usual = facts(&target, &sent);
    let request = RequestFacts {
        raw_target: "//API/./v1.PHP?q=1&r=%2f&q=&s",
        forwarded_for: Some(b"10.0.0.1"),
        tls: usual.tls.map(|tls| TlsFacts { group: Some("X25519"), resumption: Resumption::Resumed, ..tls }),
        certificate: CertificateState { presented: true, verified: true, revoked: true },
        presented: Some(&shown as &dyn PresentedCertificate),
        device: Some(&identity),
        standing: Some(Standing::Revoked),
        ..usual
    };
    for expression in TRUE {
        assert!(holds(expression, &request), "{expression}");
        assert!(!holds(&format!("not ({expression})"), &request), "{expression}");
    }
    for (name, ..) in REGISTRY {
        assert!(TRUE.iter().any(|expression| expression.contains(name)), "no test reads {name}");
    }
}

#[test]
fn a_certificate_beyond_the_header_limits_is_flagged_and_empty() {
    let (target, none) = (path("/"), HeaderMap::new());
    let shown = certificate(vec![vec![0; 7679].into(), vec![0; 12_286].into()]);
    let flagged = "cf.tls_client_auth.cert_rfc9440_too_large and cf.tls_client_auth.cert_chain_rfc9440_too_large \
         and cf.tls_client_auth.cert_rfc9440 eq \"\" and cf.tls_client_auth.cert_chain_rfc9440 eq \"\"";
    assert!(holds(flagged, &RequestFacts { presented: Some(&shown), ..facts(&target, &none) }));
}

#[test]
fn a_second_line_of_a_header_hides_from_no_rule() {
    let target = path("/");
    let sent = headers(&[("user-agent", b"nice"), ("user-agent", b"evil")]);
    assert!(holds("http.user_agent contains \"evil\"", &facts(&target, &sent)));
}
