//! Proves that what cannot be right is refused at the border, with an error that says what is wrong,
//! and that nothing of it reaches a certificate.

use countersign_testkit::{Answer, Connection, KeyKind, TestKey};
use serde_json::{Value, json};

use crate::harness::{Installation, done, enrolment, openssl};

const ENROLL: &str = "/api/v1/agents/enroll";

async fn enroll(connection: &mut Connection, body: &Value) -> Answer {
    connection.json("POST", ENROLL, None, Some(body)).await.unwrap()
}

#[tokio::test]
async fn a_body_of_two_megabytes_is_too_large_at_every_listener() {
    let installation = Installation::start().await;
    let body = format!("{{\"enrollmentKey\":\"{}\"}}", "k".repeat(2 << 20));
    let json = [("content-type", "application/json")];
    let mut door = installation.connect().await;
    let answer = door.request("POST", ENROLL, &json, body.clone()).await.unwrap();
    assert_eq!((answer.status, answer.code().as_str()), (413, "BODY_TOO_LARGE"), "{}", answer.text());
    let mut admin = Connection::plain(installation.admin_address()).await.unwrap();
    let answer = admin.request("POST", "/api/v1/auth/login", &json, body).await.unwrap();
    assert_eq!((answer.status, answer.code().as_str()), (413, "BODY_TOO_LARGE"), "{}", answer.text());
    // The server is none the worse.
    assert_eq!(installation.get_plain("/health").await.status, 200);
}

#[tokio::test]
async fn broken_json_and_missing_fields_are_named() {
    let installation = Installation::start().await;
    let mut door = installation.connect().await;
    for (body, says) in [
        ("{\"enrollmentKey\": \"x\", ", "line 1 column"),
        ("{\"enrollmentKey\"; 1}", "line 1 column"),
        ("[1]", "must be a JSON object"),
        ("\u{feff}{}", "line 1 column"),
    ] {
        let headers = [("content-type", "application/json")];
        let answer = door.request("POST", ENROLL, &headers, body.to_owned()).await.unwrap();
        assert_eq!((answer.status, answer.code().as_str()), (400, "INVALID_JSON"), "{}", answer.text());
        let error = answer.json()["error"].as_str().unwrap().to_owned();
        assert!(error.contains(says), "{body}: {error}");
    }
    let answer = enroll(&mut door, &json!({ "osType": "plan9", "hostname": 7 })).await;
    assert_eq!((answer.status, answer.code().as_str()), (400, "INVALID_REQUEST"), "{}", answer.text());
    let fields = answer.json()["fields"].as_object().unwrap().clone();
    for field in ["enrollmentKey", "osType", "hostname"] {
        assert!(fields.contains_key(field), "{field} in {fields:?}");
    }
    let mut admin = Connection::plain(installation.admin_address()).await.unwrap();
    let token = installation.admin().token().to_owned();
    let patch = json!({ "certLifetimeDays": 0, "enforcement": "maybe", "typo": 1 });
    let path = "/api/v1/agents/org/default/settings/mtls";
    let answer = admin.json("PATCH", path, Some(&token), Some(&patch)).await.unwrap();
    assert_eq!(answer.status, 400);
    let fields = answer.json()["fields"].as_object().unwrap().clone();
    assert_eq!(fields.len(), 3, "{fields:?}");
}

#[tokio::test]
async fn a_bad_signing_request_is_refused_with_its_reason_and_burns_no_key() {
    let installation = Installation::start().await;
    let admin = installation.admin();
    let key = admin.one_use_key().await;
    let mut door = installation.connect().await;
    let good = TestKey::generate(KeyKind::P256).signing_request_pem("ws-01");
    let rsa_512 = openssl(&["genrsa", "-traditional", "512"], b"").stdout;
    let rsa_512 =
        openssl(&["req", "-new", "-key", "/dev/stdin", "-subj", "/CN=x"], rsa_512.as_bytes()).stdout;
    assert!(rsa_512.contains("BEGIN CERTIFICATE REQUEST"), "OpenSSL makes such a key");
    let ed448 = openssl(&["genpkey", "-algorithm", "ED448"], b"").stdout;
    let ed448 = openssl(&["req", "-new", "-key", "/dev/stdin", "-subj", "/CN=x"], ed448.as_bytes()).stdout;
    let forged = good.replacen("\nM", "\nN", 1);
    let cut: String = good.chars().take(good.len() / 2).collect();
    let of_another_kind = good.replace("CERTIFICATE REQUEST", "CERTIFICATE");
    for (csr, says) in [
        ("not PEM", "PEM"),
        ("-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n", "PKCS #10"),
        (cut.as_str(), "PEM"),
        (of_another_kind.as_str(), "CERTIFICATE"),
        (forged.as_str(), "PKCS #10"),
        (rsa_512.as_str(), "512"),
        (ed448.as_str(), "key"),
    ] {
        let answer = enroll(&mut door, &enrolment(&key, "ws-01", Some(csr))).await;
        assert_eq!((answer.status, answer.code().as_str()), (400, "INVALID_REQUEST"), "{}", answer.text());
        let problem = answer.json()["fields"]["csr"].as_str().unwrap().to_owned();
        assert!(problem.contains(says), "{says} in {problem}");
    }
    assert!(admin.devices().await.is_empty());
    assert_eq!(enroll(&mut door, &enrolment(&key, "ws-01", Some(&good))).await.status, 201);
}

#[tokio::test]
async fn what_a_signing_request_asks_for_is_not_what_it_gets() {
    let installation = Installation::start().await;
    let admin = installation.admin();
    let victim = crate::harness::Device::enrol(&installation, "victim").await;
    let key_file = installation.folder().join("key.pem");
    fs_err::write(&key_file, TestKey::generate(KeyKind::P256).pkcs8_pem()).unwrap();
    let csr = openssl(
        &[
            "req",
            "-new",
            "-key",
            key_file.to_str().unwrap(),
            "-subj",
            "/O=default/CN=default\\/victim",
            "-addext",
            "basicConstraints=critical,CA:TRUE",
            "-addext",
            "keyUsage=critical,keyCertSign,cRLSign",
            "-addext",
            "subjectAltName=URI:spiffe://countersign.internal/tenant/default/device/victim,DNS:cs.example.com",
            "-addext",
            "extendedKeyUsage=serverAuth",
        ],
        b"",
    );
    assert_eq!(csr.code, 0, "{}", csr.stderr);
    let body = enrolment(&admin.one_use_key().await, "mallory", Some(&csr.stdout));
    let enrolled = done(&enroll(&mut installation.connect().await, &body).await);
    let leaf = enrolled["mtls"]["certificate"].as_str().unwrap();
    let text = openssl(&["x509", "-noout", "-text"], leaf.as_bytes()).stdout;
    for part in
        ["CA:FALSE", "O = default, CN = default/mallory", "/tenant/default/device/mallory", "TLS Web Client"]
    {
        assert!(text.contains(part), "no {part} in {text}");
    }
    for part in ["CA:TRUE", "victim", "cs.example.com", "TLS Web Server", "Certificate Sign"] {
        assert!(!text.contains(part), "{part} in {text}");
    }
    assert_eq!(admin.states(victim.id).await.len(), 1);
}
