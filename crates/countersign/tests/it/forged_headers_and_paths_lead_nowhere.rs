//! Proves that no header and no spelling of a request stands in for a certificate, in front of the
//! control plane under `enforce` and of an upstream that requires an identity.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign_testkit::HttpVersion;
use countersign_tls::{ClientIdentity, ClientTls, ServerTrust};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::harness::{Device, Installation, Time};
use crate::upstream::{Received, Upstream};

/// Every family that hands an identity to an application, and their odd spellings.
const FORGED: [&str; 33] = [
    "Client-Cert",
    "Client_Cert",
    "Client-Cert-Chain",
    "client_cert_chain",
    "X-Forwarded-Client-Cert",
    "X_Forwarded_Client_Cert",
    "X-SSL-Client-Verify",
    "X-SSL-Client-Subject",
    "X_SSL_Client_Cert",
    "X-SSL-Cert",
    "X-Client-Cert",
    "X-Client-Cert-Dn",
    "X_Client_Cert_Dn",
    "X-Client-DN",
    "X-Client-Verify",
    "X-Forwarded-Tls-Client-Cert",
    "X-Forwarded-Tls-Client-Cert-Info",
    "Cf-Cert-Verified",
    "Cf_Cert_Verified",
    "Cf-Cert-Subject-Dn",
    "Cf-Client-Cert-Sha256",
    "Cf-Client-Cert-Der-Base64",
    "Cf-Blob",
    "X-Breeze-Client-Cert-Serial",
    "ssl-client-cert",
    "ssl_client_s_dn",
    "ssl-client-verify",
    "X-Amzn-Mtls-Clientcert",
    "X-Amzn-Mtls-Clientcert-Leaf",
    "X-ARR-ClientCert",
    "Countersign-Device",
    "Countersign_Tenant",
    "Countersign-Arrival",
];

/// What says where a request comes from, and is for the socket to say.
const PROVENANCE: [&str; 6] =
    ["Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-IP", "X_Forwarded_For"];

fn forged_headers() -> Vec<(&'static str, &'static str)> {
    FORGED.into_iter().chain(PROVENANCE).map(|name| (name, "forged")).collect()
}

/// A structured-field byte sequence (RFC 9651 section 3.3.5) of each certificate in PEM.
fn byte_sequences(pem: &str) -> String {
    let bodies = pem.split("-----BEGIN CERTIFICATE-----").skip(1);
    let sequences = bodies.map(|body| {
        let base64: String = body.split("-----END").next().unwrap().split_whitespace().collect();
        assert!(STANDARD.decode(&base64).is_ok());
        format!(":{base64}:")
    });
    sequences.collect::<Vec<_>>().join(", ")
}

/// The names of the headers that tell an identity or were forged.
fn told(received: &Received) -> Vec<&str> {
    let own = ["client-cert", "client-cert-chain", "countersign-tenant", "countersign-device"];
    let is_forged = |value: &http::HeaderValue| value.as_bytes().windows(6).any(|part| part == b"forged");
    let headers = received.headers.iter();
    let mut names: Vec<&str> = headers
        .filter(|(name, value)| own.contains(&name.as_str()) || is_forged(value))
        .map(|(name, _)| name.as_str())
        .collect();
    names.sort_unstable();
    names
}

#[tokio::test]
async fn an_upstream_hears_of_the_handshake_and_of_no_forged_header() {
    let upstream = Upstream::start().await;
    let installation = Installation::configured(&upstream.routes(), Time::Real).await;
    let device = Device::enrol(&installation, "honest").await;
    for version in [HttpVersion::Http1, HttpVersion::Http2] {
        let client = device.client(&installation).http(version);
        let mut with = client.connect(installation.door()).await.unwrap();
        for path in ["/required/a?b=c", "/open/a?b=c"] {
            let answer = with.request("GET", path, &forged_headers(), "").await.unwrap();
            assert_eq!(answer.status, 200, "{}", answer.text());
            let received = upstream.received_one();
            assert_eq!(received.target, path);
            let own = ["client-cert", "client-cert-chain", "countersign-device", "countersign-tenant"];
            assert_eq!(told(&received), own, "{received:?}");
            let certificate = device.certificate();
            assert_eq!(received.header("client-cert").unwrap(), byte_sequences(&certificate.certificate));
            let issuer = byte_sequences(&certificate.chain);
            let issuer = issuer.split(", ").next().unwrap();
            assert_eq!(received.header("client-cert-chain").unwrap(), issuer, "the device CA alone");
            assert_eq!(received.header("countersign-tenant"), Some("default"));
            assert_eq!(received.header("countersign-device"), Some("honest"));
            assert_eq!(received.header("countersign-request-id").unwrap(), answer.header("x-request-id"));
            assert_eq!(received.header("x-forwarded-for"), Some("127.0.0.1"));
            assert_eq!(received.header("x-real-ip"), Some("127.0.0.1"));
            assert_eq!(received.header("x-forwarded-proto"), Some("https"));
            assert!(received.header("forwarded").unwrap().starts_with("for=\"127.0.0.1:"));
        }
    }
    let mut without = installation.connect().await;
    let answer = without.request("GET", "/open/a", &forged_headers(), "").await.unwrap();
    assert_eq!(answer.status, 200);
    assert_eq!(told(&upstream.received_one()), Vec::<&str>::new());
    let answer = without.request("GET", "/required/a", &forged_headers(), "").await.unwrap();
    assert_eq!((answer.status, answer.code().as_str()), (403, "MTLS_REQUIRED"));
    assert!(upstream.received().is_empty());
}

#[tokio::test]
async fn no_forged_header_makes_a_request_without_certificate_a_devices() {
    let installation = Installation::start().await;
    installation.admin().set(json!({ "enforcement": "enforce" })).await;
    let device = Device::enrol(&installation, "honest").await;
    let identity = format!("spiffe://countersign.internal/tenant/default/device/{}", device.name);
    let leaf = byte_sequences(&device.certificate().certificate);
    let bearer = format!("Bearer {}", device.token);
    let heartbeat = format!("/api/v1/agents/{}/heartbeat", device.agent);
    let mut without = installation.connect().await;
    for value in [leaf.as_str(), &identity, "SUCCESS", "1", "{\"verified\":true}"] {
        let mut headers: Vec<(&str, &str)> = FORGED.into_iter().map(|name| (name, value)).collect();
        headers.push(("authorization", &bearer));
        let answer = without.request("POST", &heartbeat, &headers, "{}").await.unwrap();
        assert_eq!((answer.status, answer.code().as_str()), (403, "MTLS_REQUIRED"), "{value}");
    }
    assert!(installation.admin().device(device.id).await.last_seen_at.is_none());
}

/// One client that writes bytes as no HTTP library would.
struct Raw<'a> {
    installation: &'a Installation,
    tls: ClientTls,
}

impl<'a> Raw<'a> {
    fn new(installation: &'a Installation, device: Option<&Device>) -> Self {
        let trust = ServerTrust::Roots(installation.root_pem().to_owned());
        let identity = device.map(|device| {
            let certificate = device.certificate();
            let chain = format!("{}\n{}", certificate.certificate, certificate.chain);
            ClientIdentity::from_pem(chain, device.key.pkcs8_pem())
        });
        Self { installation, tls: ClientTls::new(&trust, identity.as_ref()).unwrap() }
    }

    /// Sends a request head with these lines after the request line, and gives the whole answer.
    async fn ask(&self, request_line: &str, lines: &[&str]) -> String {
        let tcp = TcpStream::connect(self.installation.door()).await.unwrap();
        let mut stream = self.tls.handshake("127.0.0.1", tcp).await.unwrap();
        let head = format!("{request_line}\r\nConnection: close\r\n{}\r\n\r\n", lines.join("\r\n"));
        let mut heard = Vec::new();
        let exchange = async {
            // A door that refuses may close before all is written, and without TLS's goodbye.
            drop(stream.write_all(head.as_bytes()).await);
            drop(stream.read_to_end(&mut heard).await);
        };
        timeout(std::time::Duration::from_secs(20), exchange).await.unwrap();
        String::from_utf8_lossy(&heard).into_owned()
    }
}

fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default()
}

/// Other spellings of the path of an agent route, and paths that hold an exempt one.
fn spellings_of_an_agent_route(agent: &str) -> Vec<String> {
    let upper = agent.to_uppercase();
    [
        format!("/api/v1/agents/{upper}/heartbeat"),
        format!("//api/v1/agents/{agent}/heartbeat"),
        format!("/api//v1///agents/{agent}//heartbeat"),
        format!("/api/v1/agents/./{agent}/heartbeat"),
        format!("/api/v1/agents/enroll/../{agent}/heartbeat"),
        format!("/api/v1/agents/enroll/%2e%2e/{agent}/heartbeat"),
        format!("/api/v1/agents/enroll/.%2E/{agent}/heartbeat"),
        format!("/api/v1/agents/enroll/..%2f{agent}/heartbeat"),
        format!("/api/v1/agents/enroll%2f..%2f{agent}%2fheartbeat"),
        format!("/api/v1/agents/enroll/%252e%252e/{agent}/heartbeat"),
        format!("/api/v1/agents/enroll/..;/{agent}/heartbeat"),
        format!("/api/v1/agents/enroll/..\\{agent}\\heartbeat"),
        format!("/api/v1/agents/renew-cert/../{agent}/heartbeat"),
        format!("/api/v1/agents/renew-cert/challenge/../../{agent}/heartbeat"),
        format!("/api/v1/agents/{agent}%2fheartbeat"),
        format!("/api/v1/agents/{agent}/%68eartbeat"),
        format!("/api/v1/agents/{agent}/heartbeat/"),
        format!("/api/v1/agents/{agent}/heartbeat/enroll"),
        format!("/api/v1/agents/{agent}/heartbeat/../heartbeat"),
        format!("/api/v1/agents/{agent}/enroll"),
        format!("/api/v1/agents/{agent}/enroll/../heartbeat"),
        format!("/api/v1/agents/{agent}/heartbeat?/enroll"),
        format!("/api/v1/agents/{agent}/heartbeat;/enroll"),
        format!("/api/v1/agents/{agent}/heartbeat%00/enroll"),
        format!("/api/v1/agents/enroll/{agent}/heartbeat"),
        format!("/api/v1/agents/enroll{agent}/heartbeat"),
        format!("/enroll/api/v1/agents/{agent}/heartbeat"),
        format!("/enroll/../api/v1/agents/{agent}/heartbeat"),
        format!("/health/../api/v1/agents/{agent}/heartbeat"),
        format!("/pki/..\\api\\v1\\agents\\{agent}\\heartbeat"),
        format!("/API/V1/Agents/{agent}/heartbeat"),
        format!("api/v1/agents/{agent}/heartbeat"),
        format!("./api/v1/agents/{agent}/heartbeat"),
        format!("\\api\\v1\\agents\\{agent}\\heartbeat"),
        format!("https://localhost/api/v1/agents/{agent}/heartbeat"),
        format!("http://localhost/api/v1/agents/{agent}/heartbeat"),
        format!("https://localhost//api/v1/agents/enroll/../{agent}/heartbeat"),
    ]
    .to_vec()
}

#[tokio::test]
async fn no_spelling_of_an_agent_route_gets_around_enforcement() {
    let installation = Installation::start().await;
    installation.admin().set(json!({ "enforcement": "enforce" })).await;
    let device = Device::enrol(&installation, "honest").await;
    let bearer = format!("Authorization: Bearer {}", device.token);
    let lines = ["Host: localhost", bearer.as_str(), "Content-Length: 2\r\n\r\n{}"];
    let without = Raw::new(&installation, None);
    let agent = device.agent.to_string();
    for path in spellings_of_an_agent_route(&agent) {
        let answer = without.ask(&format!("POST {path} HTTP/1.1"), &lines).await;
        assert!([400, 401, 403, 404, 405, 421].contains(&status(&answer)), "{path}: {answer}");
    }
    // What a server behind another proxy might believe instead of the request line.
    for line in [
        format!("X-Original-URL: /api/v1/agents/{agent}/heartbeat"),
        format!("X-Rewrite-URL: /api/v1/agents/{agent}/heartbeat"),
        "X-HTTP-Method-Override: GET".to_owned(),
    ] {
        let lines = ["Host: localhost", bearer.as_str(), &line, "Content-Length: 2\r\n\r\n{}"];
        let plain = without.ask(&format!("POST /api/v1/agents/{agent}/heartbeat HTTP/1.1"), &lines).await;
        assert!(plain.contains("MTLS_REQUIRED"), "{line}: {plain}");
        let exempt = without.ask("POST /api/v1/agents/enroll HTTP/1.1", &lines).await;
        assert!(exempt.contains("INVALID_REQUEST"), "it is an enrolment, and a bad one: {line}: {exempt}");
    }
    assert!(installation.admin().device(device.id).await.last_seen_at.is_none());
    let with = Raw::new(&installation, Some(&device));
    let heard = with.ask(&format!("POST /api/v1/agents/{agent}/heartbeat HTTP/1.1"), &lines).await;
    assert_eq!(status(&heard), 200, "with a certificate the plain form is taken: {heard}");
}

#[tokio::test]
async fn no_spelling_of_an_upstreams_path_gets_around_its_requirement() {
    let upstream = Upstream::start().await;
    let renewal = "renewal_paths = [\"/required/renew\"]\n\n";
    let config = upstream.routes().replacen("\n\n", &format!("\n{renewal}"), 1);
    let installation = Installation::configured(&config, Time::Real).await;
    let without = Raw::new(&installation, None);
    let tricks = [
        "/required",
        "/required/",
        "/required/x",
        "//required/x",
        "/./required/x",
        "/%72equired/x",
        "/open/../required/x",
        "/open/%2e%2e/required/x",
        "/open/..%2frequired/x",
        "/open%2f..%2frequired/x",
        "/open/%252e%252e/required/x",
        "/open/..;/required/x",
        "/open/..\\required/x",
        "/open/%c0%ae%c0%ae/required/x",
        "/open/%00/../../required/x",
        "/required/renew/",
        "/required/renew/x",
        "/required/renew/../x",
        "/required/renew%2f..%2fx",
        "/required/x/renew",
        "/required/x?/required/renew",
        "/required/x;/required/renew",
        "/api/v1/agents/enroll/../../../../required/x",
        "required/x",
        "https://localhost/required/x",
        "https://localhost/open/../required/x",
        "https://other.example/required/x",
        "*",
    ];
    for path in tricks {
        let answer = without.ask(&format!("GET {path} HTTP/1.1"), &["Host: localhost"]).await;
        let is_refused = answer.contains("MTLS_REQUIRED") || [400, 404].contains(&status(&answer));
        assert!(is_refused, "{path}: {answer}");
        assert!(upstream.received().is_empty(), "{path}");
    }
    let hosts: [&[&str]; 6] = [
        &[],
        &["Host: localhost", "Host: localhost"],
        &["Host: a@localhost"],
        &["Host: localhost/open"],
        &["Host: localhost:99999"],
        &["Host: localhost", " folded: yes"],
    ];
    for lines in hosts {
        let answer = without.ask("GET /open/x HTTP/1.1", lines).await;
        assert_eq!(status(&answer), 400, "{lines:?}: {answer}");
    }
    for named in ["Client-Cert", "countersign_device", "X-Forwarded-For", "Authorization"] {
        let line = format!("Connection: {named}");
        let answer = without.ask("GET /open/x HTTP/1.1", &["Host: localhost", &line]).await;
        assert!(answer.contains("CONNECTION_NAMES_HEADER") && status(&answer) == 400, "{named}: {answer}");
    }
    assert!(upstream.received().is_empty(), "none of these was forwarded");
    let exempt = without.ask("GET /required/renew HTTP/1.1", &["Host: localhost"]).await;
    assert_eq!((status(&exempt), upstream.received_one().target.as_str()), (200, "/required/renew"));
}
