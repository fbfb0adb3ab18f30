//! Proves to a stranger's library that certificates and revocation lists of a real installation are
//! what RFC 5280 says.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign_testkit::{KeyKind, TestKey};
use sha2::{Digest as _, Sha256};

use crate::harness::{Device, Installation, Time, done, openssl, revoked_serials, until};

const CONFIG: &str = "public_base_url = \"http://pki.example.com\"\n";

/// Files that OpenSSL reads.
struct Files<'a>(&'a Installation);

impl Files<'_> {
    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.0.folder().join(name);
        fs_err::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// The published revocation lists of every CA, in PEM.
    async fn revocation_lists(&self) -> (String, Vec<String>) {
        let (mut pem, mut serials) = (String::new(), Vec::new());
        for issuer in self.issuers().await {
            let crl = self.0.get_plain(&format!("/pki/crl/{issuer}.crl")).await;
            assert_eq!((crl.status, crl.header("content-type")), (200, "application/pkix-crl"));
            serials.extend(revoked_serials(&crl.body));
            let ca = self.0.get_plain(&format!("/pki/ca/{issuer}.pem")).await;
            let ca = self.write("issuer.pem", &ca.body);
            let verified = openssl(&["crl", "-inform", "DER", "-CAfile", &ca], &crl.body);
            assert!(verified.stderr.contains("verify OK"), "{}", verified.stderr);
            pem.push_str(&verified.stdout);
        }
        (self.write("crls.pem", pem), serials)
    }

    /// The ids of every CA: the SHA-256 of its public key.
    async fn issuers(&self) -> Vec<String> {
        let bundle = self.0.get_plain("/pki/bundle.pem").await.text();
        let certificates = bundle.split_inclusive("-----END CERTIFICATE-----\n");
        let ids: Vec<String> = certificates
            .map(|certificate| {
                let pem = openssl(&["x509", "-noout", "-pubkey"], certificate.as_bytes()).stdout;
                let base64: String = pem.lines().filter(|line| !line.starts_with("---")).collect();
                hex::encode(Sha256::digest(STANDARD.decode(base64).unwrap()))
            })
            .collect();
        assert_eq!(ids.len(), 3, "{bundle}");
        ids
    }
}

#[tokio::test]
async fn a_device_certificate_passes_the_strict_check_until_it_is_revoked() {
    let installation = Installation::configured(CONFIG, Time::Real).await;
    let files = Files(&installation);
    let root = files.write("root.pem", installation.root_pem());
    for (kind, name) in [(KeyKind::P256, "p256"), (KeyKind::P384, "p384"), (KeyKind::Rsa2048, "rsa")] {
        let key = TestKey::generate(kind);
        let key_file = files.write("key.pem", key.pkcs8_pem());
        let csr = openssl(&["req", "-new", "-key", &key_file, "-subj", "/CN=x"], b"").stdout;
        let enrolment_key = installation.admin().one_use_key().await;
        let body = crate::harness::enrolment(&enrolment_key, name, Some(&csr));
        let mut connection = installation.connect().await;
        let answer = connection.json("POST", "/api/v1/agents/enroll", None, Some(&body)).await.unwrap();
        let mtls = &done(&answer)["mtls"];
        let leaf = files.write("leaf.pem", mtls["certificate"].as_str().unwrap());
        let chain = files.write("chain.pem", mtls["chain"].as_str().unwrap());
        let verify = |more: &[&str]| {
            let common =
                ["verify", "-x509_strict", "-purpose", "sslclient", "-CAfile", &root, "-untrusted", &chain];
            openssl(&[&common, more, &[&leaf]].concat(), b"")
        };
        let verified = verify(&[]);
        assert_eq!(verified.code, 0, "{name}: {}{}", verified.stdout, verified.stderr);
        let (lists, _) = files.revocation_lists().await;
        let checked = verify(&["-crl_check_all", "-CRLfile", &lists]);
        assert_eq!(checked.code, 0, "{name}: {}{}", checked.stdout, checked.stderr);
        let as_server =
            openssl(&["verify", "-purpose", "sslserver", "-CAfile", &root, "-untrusted", &chain, &leaf], b"");
        assert_ne!(as_server.code, 0, "a device is no server");

        let text = openssl(&["x509", "-noout", "-text", "-in", &leaf], b"").stdout;
        let uri = format!("URI:spiffe://countersign.internal/tenant/default/device/{name}");
        for part in ["CA:FALSE", "http://pki.example.com/pki/crl/", "http://pki.example.com/pki/ca/", &uri] {
            assert!(text.contains(part), "no {part} in {text}");
        }

        let device = answer.json()["deviceId"].as_str().unwrap().parse().unwrap();
        let active = installation.admin().active(device).await.unwrap();
        done(&installation.admin().revoke(active.id, "keyCompromise").await);
        // The whole list is signed when somebody wants it from the server; the records have the one before.
        let on_record = installation.run(&["ca", "crl", "device"]);
        assert!(on_record.stderr.contains("may lack what was revoked last"), "{}", on_record.stderr);
        let serial = active.serial_number.to_string();
        until("it is in the list", async || files.revocation_lists().await.1.contains(&serial)).await;
        let (lists, _) = files.revocation_lists().await;
        let checked = verify(&["-crl_check_all", "-CRLfile", &lists]);
        assert!(checked.stderr.contains("certificate revoked"), "{}{}", checked.stdout, checked.stderr);
    }
}

#[tokio::test]
async fn the_doors_own_certificate_passes_as_a_server_and_the_door_asks_for_device_certificates() {
    let installation = Installation::configured(CONFIG, Time::Real).await;
    let files = Files(&installation);
    let root = files.write("root.pem", installation.root_pem());
    let device = Device::enrol(&installation, "ws-01").await;
    let identity = files.write("identity.pem", device.identity_pem());
    let chain = files.write("chain.pem", &device.certificate().chain);
    let door = installation.door().to_string();
    let request = format!(
        "POST /api/v1/agents/{}/heartbeat HTTP/1.1\r\nHost: {door}\r\nAuthorization: Bearer {}\r\n\
         Content-Length: 2\r\nConnection: close\r\n\r\n{{}}",
        device.agent, device.token
    );
    for version in ["-tls1_2", "-tls1_3"] {
        let mut arguments = vec!["s_client", "-connect", &door, "-CAfile", &root, "-quiet", version];
        arguments.extend(["-verify_return_error", "-x509_strict", "-purpose", "sslserver"]);
        arguments.extend(["-verify_ip", "127.0.0.1", "-cert", &identity, "-key", &identity]);
        arguments.extend(["-cert_chain", &chain]);
        let ran = openssl(&arguments, request.as_bytes());
        assert!(ran.stdout.starts_with("HTTP/1.1 200 OK"), "{version}: {}{}", ran.stdout, ran.stderr);
    }
}
