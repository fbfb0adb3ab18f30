//! A certificate that openssl made comes in with its key, also one of version 1 without any extension; the
//! key of another, a CA and CAs out of order are refused.

use countersign_ca::{ForeignCertificate, ForeignCertificateError, Purpose, SigningKey, purposes_of};

use crate::openssl::Openssl;

/// A CA and a client below it, as guides on the web make them.
fn made() -> Openssl {
    let openssl = Openssl::new();
    for (name, subject) in [("ca", "/CN=Example-CA"), ("other", "/CN=Another-CA")] {
        openssl.must(&format!(
            "req -new -x509 -newkey rsa:2048 -nodes -keyout {name}.key -out {name}.crt -days 365 -subj {subject}"
        ));
    }
    openssl
        .write("v3.ext", "subjectAltName=DNS:client.example.com,IP:192.0.2.9\nextendedKeyUsage=clientAuth\n");
    openssl.must("genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out client.key");
    openssl.must("req -new -key client.key -out client.csr -subj /CN=client.example.com");
    let sign = "x509 -req -in client.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 365";
    openssl.must(&format!("{sign} -out client.crt"));
    openssl.must(&format!("{sign} -extfile v3.ext -out named.crt"));
    openssl
}

fn key(openssl: &Openssl, name: &str) -> SigningKey {
    SigningKey::from_pkcs8_pem(&text(openssl, name)).unwrap()
}

fn text(openssl: &Openssl, name: &str) -> String {
    String::from_utf8(openssl.read(name)).unwrap()
}

#[test]
fn what_openssl_makes_comes_in_alone_or_with_its_ca() {
    let openssl = made();
    let (bare, ca) = (text(&openssl, "client.crt"), text(&openssl, "ca.crt"));
    let alone = ForeignCertificate::read(&bare, key(&openssl, "client.key")).unwrap();
    assert_eq!(alone.subject(), "CN=client.example.com");
    assert!(alone.names().is_empty() && alone.chain_pem().is_empty());
    assert!(purposes_of(alone.der()).is_empty());
    let with_ca = ForeignCertificate::read(&format!("{bare}{ca}"), key(&openssl, "client.key")).unwrap();
    assert_eq!((with_ca.chain_pem(), with_ca.serial()), (ca, alone.serial()));
    assert_ne!(with_ca.issuer(), alone.issuer(), "without its CA nobody knows that key");
    let ca_der = countersign_ca::certificates_from_pem(&text(&openssl, "ca.crt")).unwrap().remove(0);
    let other = countersign_ca::certificates_from_pem(&text(&openssl, "other.crt")).unwrap().remove(0);
    assert!(alone.is_signed_by(&ca_der) && !alone.is_signed_by(&other));

    let named = ForeignCertificate::read(&text(&openssl, "named.crt"), key(&openssl, "client.key")).unwrap();
    assert_eq!(named.names().to_string(), "DNS:client.example.com, IP:192.0.2.9");
    assert_eq!(purposes_of(named.der()), [Purpose::ClientAuth]);
    assert!(!named.is_for_servers() && named.validity().0 < named.validity().1);
}

#[test]
fn fails_closed_on_what_does_not_belong_together() {
    let openssl = made();
    let (leaf, ca, other) =
        (text(&openssl, "client.crt"), text(&openssl, "ca.crt"), text(&openssl, "other.crt"));
    let read = |pem: &str, of: &str| ForeignCertificate::read(pem, key(&openssl, of)).unwrap_err();
    assert!(matches!(read(&leaf, "ca.key"), ForeignCertificateError::OtherKey));
    assert!(matches!(read(&ca, "ca.key"), ForeignCertificateError::Ca));
    assert!(matches!(read(&format!("{leaf}{other}"), "client.key"), ForeignCertificateError::Chain(2)));
    assert!(matches!(read(&format!("{leaf}{ca}{other}"), "client.key"), ForeignCertificateError::Chain(3)));
    assert!(matches!(read(&format!("{ca}{leaf}"), "client.key"), ForeignCertificateError::OtherKey));
    assert!(matches!(
        read(&format!("{leaf}{}", ca.repeat(9)), "client.key"),
        ForeignCertificateError::Count(10)
    ));
    for text in ["", "no certificate", &leaf.replace('M', "N")] {
        let refused = ForeignCertificate::read(text, key(&openssl, "client.key"));
        assert!(refused.is_err(), "{text}");
    }
}

#[test]
fn a_changed_octet_never_makes_it_another_keys() {
    let openssl = made();
    let der = countersign_ca::certificates_from_pem(&text(&openssl, "named.crt")).unwrap().remove(0);
    let own = key(&openssl, "client.key").public_key().clone();
    for place in 0..der.len() {
        let mut changed = der.clone();
        changed[place] ^= 0x11;
        let _read = purposes_of(&changed);
        let pem = countersign_ca::certificate_pem(&changed);
        if let Ok(read) = ForeignCertificate::read(&pem, key(&openssl, "client.key")) {
            assert_eq!(*read.key().public_key(), own, "{place}");
            let certified = countersign_ca::PublicKey::from_certificate_der(read.der()).unwrap();
            assert_eq!(certified, own, "{place}");
        }
    }
}
