//! What an upstream hears about a client comes from the handshake alone.

use http::{HeaderName, HeaderValue, Method};

use crate::site::{OPEN, RENEWAL, REQUIRED, Site, let_expire};
use crate::visitor::rfc9440;

const FORGED: [&str; 14] = [
    "Client-Cert",
    "client_cert",
    "Client-Cert-Chain",
    "X-Forwarded-Client-Cert",
    "X-SSL-Client-Verify",
    "X_SSL_Client_Cert",
    "X-Client-Cert-Serial",
    "X-Forwarded-Tls-Client-Cert-Info",
    "Cf-Cert-Presented",
    "Cf-Client-Cert-Sha256",
    "X-Amzn-Mtls-Clientcert",
    "X-ARR-ClientCert",
    "X-Client-DN",
    "Countersign-Device",
];

#[tokio::test]
async fn without_a_certificate_a_required_route_answers_the_seeds_403() {
    let site = Site::usual().await;
    let answer = site.visitor(None).get("/required/x").await;
    assert_eq!(answer.status, 403);
    let body = answer.json();
    assert_eq!(body.get("error").unwrap(), "Mutual TLS authentication required");
    assert_eq!(body.get("code").unwrap(), "MTLS_REQUIRED");
    assert_eq!(body.get("requestId").unwrap(), answer.headers.get("x-request-id").unwrap().to_str().unwrap());
    for header in ["strict-transport-security", "x-content-type-options", "cache-control"] {
        assert!(answer.headers.contains_key(header), "{header}");
    }
}

#[tokio::test]
async fn a_device_in_good_standing_is_named_to_the_upstream() {
    let site = Site::usual().await;
    let certificate = site.device("d1");
    for mut line in
        [site.visitor(Some(&certificate)).http1().await, site.visitor(Some(&certificate)).http2().await]
    {
        let answer = line.get("/required/x?a=b").await.unwrap();
        assert_eq!(answer.told("path"), "/required/x?a=b");
        assert_eq!(answer.told_header("client-cert"), Some(rfc9440(certificate.der())));
        assert_eq!(answer.told_header("countersign-device").as_deref(), Some("d1"));
        assert_eq!(answer.told_header("countersign-tenant").as_deref(), Some("acme"));
        assert_eq!(answer.told_header("host").as_deref(), Some("door.test"));
        assert_eq!(answer.told_header("x-forwarded-for").as_deref(), Some("127.0.0.1"));
        assert_eq!(answer.told_header("x-forwarded-proto").as_deref(), Some("https"));
    }
}

#[tokio::test]
async fn only_the_ca_that_vouches_is_passed_on_and_nothing_that_followed_the_leaf() {
    let site = Site::usual().await;
    let mut certificate = site.device("d1");
    let ca = certificate.chain[1].clone();
    let stranger = site.ca.evil_twin().device("acme", "other").der().to_vec();
    for after in [vec![], vec![ca.clone()], vec![stranger.clone()], vec![ca.clone(), stranger]] {
        certificate.chain.truncate(1);
        certificate.chain.extend(after);
        let answer = site.visitor(Some(&certificate)).get("/required/x").await;
        assert_eq!(answer.told_header("client-cert"), Some(rfc9440(certificate.der())));
        assert_eq!(answer.told_header("client-cert-chain"), Some(rfc9440(&ca)));
    }
}

#[tokio::test]
async fn forged_headers_are_gone_on_every_route_and_in_every_spelling() {
    let site = Site::usual().await;
    let certificate = site.device("d1");
    for path in [REQUIRED, OPEN, "/api/v1/agents/x/heartbeat"] {
        let mut line = site.visitor(Some(&certificate)).http1().await;
        let mut request = line.request(Method::GET, path);
        for name in FORGED {
            let name: HeaderName = name.parse().unwrap();
            request.headers_mut().insert(name, HeaderValue::from_static("forged"));
        }
        request.headers_mut().insert("x-forwarded-for", HeaderValue::from_static("forged"));
        request.headers_mut().insert("x-request-id", HeaderValue::from_static("forged"));
        request.headers_mut().insert("x-plain", HeaderValue::from_static("kept"));
        let answer = line.call(request).await.unwrap();
        assert_eq!(answer.told_header("x-plain").as_deref(), Some("kept"));
        let told = answer.told("headers").to_string();
        if path.starts_with("/api") {
            assert_eq!(told.matches("forged").count(), 1, "the request id is no identity: {told}");
        } else {
            assert!(!told.contains("forged"), "{told}");
        }
    }
}

#[tokio::test]
async fn who_proves_nothing_is_named_to_no_one() {
    let site = Site::usual().await;
    let twin = site.ca.evil_twin().device("acme", "d1");
    for visitor in [site.visitor(None), site.visitor(Some(&twin))] {
        let answer = visitor.get("/open/x").await;
        for header in ["client-cert", "client-cert-chain", "countersign-device"] {
            assert_eq!(answer.told_header(header), None, "{header}");
        }
    }
    assert_eq!(site.visitor(Some(&twin)).get("/required/x").await.code(), "CERTIFICATE_UNTRUSTED");
}

#[tokio::test]
async fn behind_a_renewal_path_an_expired_certificate_is_handed_on() {
    let site = Site::usual().await;
    let certificate = site.device("d1");
    let_expire(&site.clock);
    let visitor = site.visitor(Some(&certificate));
    assert_eq!(visitor.get(REQUIRED).await.code(), "CERTIFICATE_EXPIRED");
    assert_eq!(visitor.get(RENEWAL).await.told_header("client-cert"), Some(rfc9440(certificate.der())));
}

#[tokio::test]
async fn a_connection_header_that_names_an_identity_header_is_refused() {
    let site = Site::usual().await;
    let certificate = site.device("d1");
    let mut line = site.visitor(Some(&certificate)).http1().await;
    let mut request = line.request(Method::GET, REQUIRED);
    request.headers_mut().insert("connection", HeaderValue::from_static("close, Client-Cert"));
    let answer = line.call(request).await.unwrap();
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (400, "CONNECTION_NAMES_HEADER"));
}
