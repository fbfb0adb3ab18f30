//! `openssl verify -x509_strict` and `openssl crl` accept what we issue, and refuse what is revoked.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use countersign_ca::{
    CertificateRequest, CrlContents, CrlEntry, Issuer, KeyAlgorithm, Profile, PublicKey, Publication,
};
use countersign_core::alternative_names::AlternativeNames;
use countersign_core::certificate::RevocationReason;

use crate::hierarchy::{CRL_URL, Hierarchy, ROOT_LIFE, device, issue, key, now, request, server, subject};
use crate::openssl::Openssl;

const ALGORITHMS: [KeyAlgorithm; 4] =
    [KeyAlgorithm::P256, KeyAlgorithm::P384, KeyAlgorithm::Ed25519, KeyAlgorithm::Rsa2048];
const DAY: Duration = Duration::from_secs(24 * 3600);

fn files(hierarchy: &Hierarchy) -> Openssl {
    let openssl = Openssl::new();
    openssl.write("root.pem", hierarchy.root.certificate_pem());
    openssl.write("devices.pem", hierarchy.devices.certificate_pem());
    openssl.write("services.pem", hierarchy.services.certificate_pem());
    openssl
}

fn verify(purpose: &str, between: &str) -> String {
    verify_and("", purpose, between)
}

fn verify_and(more: &str, purpose: &str, between: &str) -> String {
    let at = (now() + DAY).secs();
    format!(
        "verify -x509_strict -check_ss_sig -policy_check -attime {at} -purpose {purpose} {more} \
         -CAfile root.pem -untrusted {between} leaf.pem"
    )
}

fn published(profile: Profile, key: &PublicKey) -> CertificateRequest<'_> {
    let publication = Publication {
        crl_url: Some(CRL_URL.to_owned()),
        ca_issuers_url: Some("http://pki.example/devices.cer".to_owned()),
        ocsp_url: Some("http://pki.example/ocsp".to_owned()),
    };
    CertificateRequest { publication, ..request(profile, key) }
}

#[test]
fn device_and_service_chains_verify_strictly() {
    for algorithm in ALGORITHMS {
        let hierarchy = Hierarchy::new(algorithm);
        let openssl = files(&hierarchy);
        let at = (now() + DAY).secs();
        openssl.must(&format!("verify -x509_strict -check_ss_sig -attime {at} -CAfile root.pem root.pem"));
        let key = key(algorithm);

        let leaf = issue(&hierarchy.devices, published(device("d1"), key.public_key()));
        openssl.write("leaf.pem", leaf.pem());
        openssl.must(&verify("sslclient", "devices.pem"));
        assert!(!openssl.run(&verify("sslserver", "devices.pem")).success, "a device is no server");
        assert!(!openssl.run(&verify("sslclient", "services.pem")).success, "another CA did not sign it");

        let name = server(&["door.example"], &[]);
        let leaf = issue(&hierarchy.services, published(name, key.public_key()));
        openssl.write("leaf.pem", leaf.pem());
        openssl.must(&verify("sslserver", "services.pem"));
        openssl.must(&verify_and("-verify_hostname door.example", "sslserver", "services.pem"));
        assert!(!openssl.run(&verify("sslclient", "services.pem")).success, "a server is no client");

        let names = AlternativeNames {
            uris: vec!["spiffe://countersign.internal/service/pulse".to_owned()],
            dns: vec!["pulse.example".to_owned()],
            ips: vec![],
        };
        let client = Profile::ServiceClient { names: names.into() };
        let leaf = issue(&hierarchy.services, published(client, key.public_key()));
        openssl.write("leaf.pem", leaf.pem());
        openssl.must(&verify("sslclient", "services.pem"));
    }
}

#[test]
fn names_that_fit_no_common_name_still_verify() {
    let hierarchy = Hierarchy::new(KeyAlgorithm::P256);
    let openssl = files(&hierarchy);
    let key = key(KeyAlgorithm::P256);
    let long = format!("{}.{}.example", "a".repeat(40), "b".repeat(40));
    let leaf = issue(&hierarchy.services, published(server(&[&long], &[]), key.public_key()));
    openssl.write("leaf.pem", leaf.pem());
    openssl.must(&verify_and(&format!("-verify_hostname {long}"), "sslserver", "services.pem"));
    let text = openssl.must("x509 -in leaf.pem -noout -text");
    assert!(text.contains("X509v3 Subject Alternative Name: critical"), "{text}");

    let ips = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
    let leaf = issue(&hierarchy.services, published(server(&[], &ips), key.public_key()));
    openssl.write("leaf.pem", leaf.pem());
    for ip in ips {
        openssl.must(&verify_and(&format!("-verify_ip {ip}"), "sslserver", "services.pem"));
    }
}

#[test]
fn a_device_certificate_reads_as_the_contract_says() {
    let hierarchy = Hierarchy::new(KeyAlgorithm::P256);
    let openssl = files(&hierarchy);
    let key = key(KeyAlgorithm::P256);
    let leaf = issue(&hierarchy.devices, published(device("d1"), key.public_key()));
    openssl.write("leaf.pem", leaf.pem());
    let text = openssl.must("x509 -in leaf.pem -noout -text -nameopt RFC2253");
    for line in [
        "Version: 3 (0x2)",
        "Signature Algorithm: ecdsa-with-SHA256",
        "Issuer: CN=Example Devices",
        "Subject: CN=acme/d1,O=acme",
        "Not Before: Jun  1 11:55:00 2026 GMT",
        "Not After : Aug 30 12:00:00 2026 GMT",
        "X509v3 Basic Constraints: critical\n                CA:FALSE\n",
        "X509v3 Key Usage: critical\n                Digital Signature\n",
        "X509v3 Extended Key Usage: \n                TLS Web Client Authentication\n",
        "X509v3 Subject Alternative Name: \n                \
         URI:spiffe://countersign.internal/tenant/acme/device/d1\n",
        "CA Issuers - URI:http://pki.example/devices.cer",
        "URI:http://pki.example/devices.crl",
    ] {
        assert!(text.contains(line), "{line:?} is missing in {text}");
    }
    let identifiers = |certificate: &str| {
        openssl
            .must(&format!("x509 -in {certificate} -noout -ext subjectKeyIdentifier,authorityKeyIdentifier"))
    };
    let after = |text: &str, heading: &str| {
        let rest = text.split_once(heading).unwrap().1;
        rest.lines().find(|line| line.contains(':') && line.len() > 40).unwrap().trim().to_owned()
    };
    let issuer = after(&identifiers("devices.pem"), "Subject Key Identifier");
    assert_eq!(after(&identifiers("leaf.pem"), "Authority Key Identifier"), issuer);
}

#[test]
fn without_publication_urls_a_certificate_points_nowhere() {
    let hierarchy = Hierarchy::new(KeyAlgorithm::P256);
    let openssl = files(&hierarchy);
    let key = key(KeyAlgorithm::P256);
    openssl.write("leaf.pem", issue(&hierarchy.devices, request(device("d1"), key.public_key())).pem());
    for certificate in ["leaf.pem", "root.pem", "devices.pem"] {
        let text = openssl.must(&format!("x509 -in {certificate} -noout -text"));
        assert!(!text.contains("URI:http"), "{text}");
    }
}

#[test]
fn the_hierarchy_reads_as_the_contract_says() {
    let hierarchy = Hierarchy::new(KeyAlgorithm::P256);
    let openssl = files(&hierarchy);
    let text = |certificate: &str| openssl.must(&format!("x509 -in {certificate} -noout -text"));
    let (root, devices, services) = (text("root.pem"), text("devices.pem"), text("services.pem"));
    assert!(root.contains("CA:TRUE\n") && !root.contains("Extended Key Usage"), "{root}");
    assert!(devices.contains("CA:TRUE, pathlen:0\n"), "{devices}");
    assert!(devices.contains("TLS Web Client Authentication\n") && !devices.contains("Server"), "{devices}");
    assert!(services.contains("CA:TRUE, pathlen:0\n"), "{services}");
    assert!(
        services.contains("TLS Web Server Authentication, TLS Web Client Authentication\n"),
        "{services}"
    );
    for ca in [root, devices, services] {
        assert!(
            ca.contains("X509v3 Key Usage: critical\n                Certificate Sign, CRL Sign\n"),
            "{ca}"
        );
        assert!(ca.contains("X509v3 Basic Constraints: critical\n"), "{ca}");
        assert!(ca.contains("X509v3 Authority Key Identifier"), "{ca}");
    }
}

#[test]
fn certificates_beyond_2049_verify() {
    let hierarchy = Hierarchy::new(KeyAlgorithm::P256);
    let root_key = key(KeyAlgorithm::P256);
    let at = countersign_core::time::Timestamp::parse("2045-01-01T00:00:00Z").unwrap();
    let serial = countersign_ca::random_serial(1).unwrap();
    let late = subject("CN=Late Root");
    let root = Issuer::create_root(late, Arc::new(root_key), serial, (at, ROOT_LIFE)).unwrap();
    assert_eq!(hierarchy.root.not_after().to_string(), "2036-05-29T12:00:00Z");
    let openssl = Openssl::new();
    openssl.write("root.pem", root.certificate_pem());
    let at = (root.not_after() - DAY).secs();
    openssl.must(&format!("verify -x509_strict -attime {at} -CAfile root.pem root.pem"));
    let asn1 = openssl.must("asn1parse -in root.pem");
    assert!(asn1.contains("UTCTIME") && asn1.contains("GENERALIZEDTIME"), "{asn1}");
}

#[test]
fn crls_verify_and_refuse_exactly_the_revoked() {
    for algorithm in ALGORITHMS {
        let hierarchy = Hierarchy::new(algorithm);
        let openssl = files(&hierarchy);
        let key = key(algorithm);
        let good = issue(&hierarchy.devices, published(device("good"), key.public_key()));
        let bad = issue(&hierarchy.devices, published(device("bad"), key.public_key()));
        let contents = |entries| CrlContents {
            number: 7,
            this_update: now(),
            next_update: now() + DAY * 7,
            entries,
            distribution_point: Some(CRL_URL.to_owned()),
        };
        let revoked = CrlEntry {
            serial: bad.reference().serial.clone(),
            revoked_at: now(),
            reason: RevocationReason::KeyCompromise,
        };
        for (entries, bad_passes) in [(vec![], true), (vec![revoked], false)] {
            let list = hierarchy.devices.sign_crl(&contents(entries)).unwrap();
            openssl.write("list.der", list);
            openssl.must("crl -inform DER -in list.der -out list.pem");
            openssl
                .write("chain.pem", hierarchy.root.certificate_pem() + &hierarchy.devices.certificate_pem());
            let said = openssl.must("crl -in list.pem -CAfile chain.pem -noout");
            assert!(said.contains("verify OK"), "{said}");
            let check = verify_and("-crl_check -CRLfile list.pem", "sslclient", "devices.pem");
            openssl.write("leaf.pem", good.pem());
            openssl.must(&check);
            openssl.write("leaf.pem", bad.pem());
            let said = openssl.run(&check);
            assert_eq!(said.success, bad_passes, "{}", said.text);
            assert!(bad_passes || said.text.contains("certificate revoked"), "{}", said.text);
        }
    }
}
