//! Each family of identity headers says what the handshake showed, and only on routes that chose it.

use countersign_core::settings::Enforcement;
use countersign_edge::headers::{CfBlobHeader, IdentityFamily, IdentityHeaders};
use countersign_edge::{Route, RouteScreen, Upstream, UpstreamGroup};
use countersign_testkit::TestCertificate;
use serde_json::{Value, json};

use crate::site::{Plan, RENEWAL, Site, let_expire, upstream};
use crate::visitor::Answer;

/// A site with `/all`, told in every family but RFC 9440's, `/alone`, told in one, and `/bare`, in none.
async fn site() -> Site {
    let mut plan = Plan::usual().await;
    let address = upstream().await;
    let route = |path: &str, families: &[IdentityFamily], blob: CfBlobHeader| Route {
        host: None,
        path_prefix: path.to_owned(),
        upstream: Upstream::from(UpstreamGroup {
            identity: IdentityHeaders::new(families.iter().copied(), blob),
            ..UpstreamGroup::new(vec![format!("http://{address}").parse().unwrap()])
        }),
        identity: Enforcement::Off,
        audience: None,
        renewal_paths: vec!["/all/renewal".to_owned()],
        screen: RouteScreen::default(),
    };
    let all = [IdentityFamily::Xfcc, IdentityFamily::Nginx, IdentityFamily::CfCert, IdentityFamily::CfBlob];
    plan.config.routes.push(route("/all", &all, CfBlobHeader::default()));
    plan.config.routes.push(route("/alone", &[IdentityFamily::CfBlob], "CF-Blob-Own".parse().unwrap()));
    plan.config.routes.push(route("/bare", &[], CfBlobHeader::default()));
    plan.open()
}

fn blob(answer: &Answer) -> Value {
    serde_json::from_str(&answer.told_header("cf-blob").expect("a blob")).unwrap()
}

fn pem_of(escaped: &str) -> String {
    let text = escaped.replace("%0A", "\n").replace("%20", " ");
    text.replace("%2B", "+").replace("%2F", "/").replace("%3D", "=")
}

fn client_auth(certificate: &TestCertificate, answer: &Answer) -> Value {
    let told = blob(answer).get("tlsClientAuth").unwrap().clone();
    for (key, value) in told.as_object().unwrap() {
        assert!(value.is_string(), "{key}");
    }
    let pem = pem_of(&answer.told_header("x-ssl-client-cert").unwrap());
    assert!(certificate.chain_pem().starts_with(&pem), "{pem}");
    told
}

#[tokio::test]
async fn a_device_in_good_standing_is_named_in_every_chosen_family() {
    let site = site().await;
    let certificate = site.device("d1");
    for mut line in
        [site.visitor(Some(&certificate)).http1().await, site.visitor(Some(&certificate)).http2().await]
    {
        for _again in 0..2 {
            let answer = line.get("/all/x").await.unwrap();
            let header = |name: &str| answer.told_header(name);
            assert_eq!(header("client-cert"), None, "not chosen");
            assert_eq!(header("countersign-device").as_deref(), Some("d1"), "ours comes with all");
            let told = client_auth(&certificate, &answer);
            assert_eq!(told["certPresented"], "1");
            assert_eq!(told["certVerified"], "SUCCESS");
            assert_eq!(told["certRevoked"], "0");
            for (key, name) in [
                ("certSubjectDN", "cf-cert-subject-dn"),
                ("certIssuerDNRFC2253", "cf-cert-issuer-dn-rfc2253"),
                ("certSubjectDNLegacy", "cf-cert-subject-dn-legacy"),
                ("certSerial", "cf-cert-serial"),
                ("certFingerprintSHA1", "cf-cert-fingerprint-sha1"),
                ("certNotAfter", "cf-cert-not-after"),
                ("certIssuerSKI", "cf-cert-issuer-ski"),
            ] {
                assert_eq!(Some(told[key].as_str().unwrap()), header(name).as_deref(), "{key}");
            }
            assert_eq!(header("cf-cert-verified").as_deref(), Some("true"));
            assert_eq!(header("cf-cert-revoked").as_deref(), Some("false"));
            assert_eq!(header("x-ssl-client-verify").as_deref(), Some("SUCCESS"));
            assert_eq!(header("x-ssl-client-subject").as_deref(), told["certSubjectDNRFC2253"].as_str());
            assert_eq!(header("x-ssl-client-serial").as_deref(), told["certSerial"].as_str());
            let xfcc = header("x-forwarded-client-cert").unwrap();
            let fingerprint = told["certFingerprintSHA256"].as_str().unwrap();
            assert!(xfcc.starts_with(&format!("Hash={fingerprint};Cert=\"-----BEGIN%20")), "{xfcc}");
            assert!(
                xfcc.ends_with(";URI=spiffe://countersign.internal/tenant/acme/device/d1"),
                "the identity is the last word: {xfcc}"
            );
        }
    }
}

#[tokio::test]
async fn the_blob_says_what_the_connection_is() {
    let site = site().await;
    let certificate = site.device("d1");
    let over_http2 = blob(&site.visitor(Some(&certificate)).http2().await.get("/all").await.unwrap());
    assert_eq!(
        (&over_http2["httpProtocol"], &over_http2["tlsVersion"], &over_http2["tlsCipher"]),
        (&json!("HTTP/2"), &json!("TLSv1.3"), &json!("AEAD-AES128-GCM-SHA256"))
    );
    let over_http1 = site.visitor(Some(&certificate)).get("/all").await;
    assert_eq!(blob(&over_http1)["httpProtocol"], "HTTP/1.1");
}

#[tokio::test]
async fn who_shows_nothing_is_presented_as_nobody() {
    let site = site().await;
    let answer = site.visitor(None).get("/all").await;
    let told = blob(&answer)["tlsClientAuth"].clone();
    for (key, value) in told.as_object().unwrap() {
        let expected = match key.as_str() {
            "certPresented" | "certRevoked" => "0",
            "certVerified" => "NONE",
            _text => "",
        };
        assert_eq!(value, expected, "{key}");
    }
    assert_eq!(answer.told_header("x-ssl-client-verify").as_deref(), Some("NONE"));
    assert_eq!(answer.told_header("cf-cert-presented").as_deref(), Some("false"));
    for absent in ["x-ssl-client-subject", "x-forwarded-client-cert", "cf-cert-subject-dn", "client-cert"] {
        assert_eq!(answer.told_header(absent), None, "{absent}");
    }
}

#[tokio::test]
async fn fails_closed_on_a_certificate_that_proves_nothing() {
    let site = site().await;
    let twin = site.ca.evil_twin().device("acme", "d1");
    let answer = site.visitor(Some(&twin)).get("/all").await;
    let told = blob(&answer)["tlsClientAuth"].clone();
    assert_eq!(told["certPresented"], "1");
    assert!(told["certVerified"].as_str().unwrap().starts_with("FAILED"), "{told}");
    assert_eq!((&told["certSubjectDN"], &told["certFingerprintSHA1"]), (&json!(""), &json!("")));
    assert!(answer.told_header("x-ssl-client-verify").unwrap().starts_with("FAILED"));
    assert_eq!(answer.told_header("cf-cert-verified").as_deref(), Some("false"));
    let headers = answer.told("headers").to_string();
    assert!(!headers.contains("acme"), "none of its texts is passed on: {headers}");
}

#[tokio::test]
async fn behind_a_renewal_path_the_verdict_comes_with_the_certificate() {
    let site = site().await;
    let certificate = site.device("d1");
    let_expire(&site.clock);
    let visitor = site.visitor(Some(&certificate));
    assert_eq!(visitor.get("/all/x").await.code(), "CERTIFICATE_EXPIRED");
    let answer = visitor.get("/all/renewal").await;
    let told = client_auth(&certificate, &answer);
    assert_eq!(told["certVerified"], "FAILED:certificate has expired");
    assert_eq!(answer.told_header("cf-cert-verified").as_deref(), Some("false"));
    assert_eq!(answer.told_header("x-forwarded-client-cert"), None, "it has no word for this");
    assert_eq!(visitor.get(RENEWAL).await.told_header("cf-blob"), None, "another route's choice");
}

#[tokio::test]
async fn each_route_tells_in_the_families_that_it_chose_over_one_connection() {
    let site = site().await;
    let certificate = site.device("d1");
    let mut line = site.visitor(Some(&certificate)).http1().await;
    for _again in 0..2 {
        let alone = line.get("/alone").await.unwrap();
        let own: Value = serde_json::from_str(&alone.told_header("cf-blob-own").unwrap()).unwrap();
        assert_eq!(own["tlsClientAuth"]["certVerified"], "SUCCESS");
        assert_eq!((alone.told_header("cf-blob"), alone.told_header("x-ssl-client-verify")), (None, None));
        let bare = line.get("/bare").await.unwrap();
        assert_eq!((bare.told_header("cf-blob-own"), bare.told_header("client-cert")), (None, None));
        assert_eq!(bare.told_header("countersign-device").as_deref(), Some("d1"));
        assert!(line.get("/open/x").await.unwrap().told_header("client-cert").is_some());
    }
}
