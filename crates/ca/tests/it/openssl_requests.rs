//! Signing requests made by the real `openssl` command: the accepted kinds of key pass, the others
//! are refused by name, and whatever else a request asks for stays outside.

use std::error::Error;

use countersign_ca::{CertificateRequest, CsrError, KeyAlgorithm, KeyError, VerifiedCsr};

use crate::hierarchy::{Hierarchy, device, issue, key, request, server};
use crate::openssl::Openssl;

const P256: &[&str] = &["ec", "-pkeyopt", "ec_paramgen_curve:P-256"];
const P384: &[&str] = &["ec", "-pkeyopt", "ec_paramgen_curve:P-384"];

#[test]
fn every_accepted_key_and_digest_passes_and_is_certified() {
    let openssl = Openssl::new();
    let hierarchy = Hierarchy::new(KeyAlgorithm::P256);
    openssl.write("chain.pem", hierarchy.root.certificate_pem() + &hierarchy.devices.certificate_pem());
    let kinds: [(&[&str], &[&str]); 9] = [
        (P256, &[]),
        (P256, &["-sha384"]),
        (P384, &[]),
        (P384, &["-sha384"]),
        (P384, &["-sha512"]),
        (&["ed25519"], &[]),
        (&["rsa:2048"], &[]),
        (&["rsa:2048"], &["-sha384"]),
        (&["rsa:3072"], &["-sha512"]),
    ];
    for (newkey, extra) in kinds {
        let csr = VerifiedCsr::from_pem(&openssl.request(newkey, extra)).unwrap();
        let leaf = issue(&hierarchy.devices, request(device("d1"), csr.public_key()));
        assert_eq!(leaf.spki(), csr.public_key().sha256());
        openssl.write("leaf.pem", leaf.pem());
        let certified = openssl.must("x509 -in leaf.pem -noout -pubkey");
        assert_eq!(certified, openssl.must("pkey -in key.pem -pubout"), "{newkey:?}");
        let at = crate::hierarchy::now().secs();
        openssl.must(&format!("verify -x509_strict -attime {at} -CAfile chain.pem leaf.pem"));
    }
}

#[test]
fn a_proof_signed_by_openssl_verifies_under_the_requests_key() {
    let openssl = Openssl::new();
    openssl.write("message", "countersign-proof-v1\n");
    let kinds: [(&[&str], &str); 4] = [
        (P256, "-sha256 -rawin"),
        (P384, "-sha384 -rawin"),
        (&["rsa:2048"], "-sha256 -rawin"),
        (&["ed25519"], "-rawin"),
    ];
    for (newkey, how) in kinds {
        let csr = VerifiedCsr::from_pem(&openssl.request(newkey, &[])).unwrap();
        let how = how.replace("-sha", "-digest sha");
        openssl.must(&format!("pkeyutl -sign -inkey key.pem {how} -in message -out signature"));
        let signature = openssl.read("signature");
        csr.public_key().verify(b"countersign-proof-v1\n", &signature).unwrap();
        assert!(csr.public_key().verify(b"countersign-proof-v2\n", &signature).is_err());
        assert!(csr.public_key().verify(b"countersign-proof-v1\n", b"").is_err());
    }
}

#[test]
fn an_rsa_key_gives_a_service_key_encipherment_and_a_device_none() {
    let openssl = Openssl::new();
    let hierarchy = Hierarchy::new(KeyAlgorithm::P256);
    let csr = VerifiedCsr::from_pem(&openssl.request(&["rsa:2048"], &[])).unwrap();
    let server = server(&["door.example"], &[]);
    for (leaf, usage) in [
        (
            issue(&hierarchy.services, request(server, csr.public_key())),
            "Digital Signature, Key Encipherment\n",
        ),
        (issue(&hierarchy.devices, request(device("d1"), csr.public_key())), "Digital Signature\n"),
    ] {
        openssl.write("leaf.pem", leaf.pem());
        let text = openssl.must("x509 -in leaf.pem -noout -text");
        assert!(text.contains(&format!("X509v3 Key Usage: critical\n                {usage}")), "{text}");
    }
}

#[test]
fn other_keys_are_refused_by_name() {
    let openssl = Openssl::new();
    let kinds: [(&[&str], &str); 5] = [
        (&["rsa:512"], "RSA-512: RSA keys of 2048 to 4096 bits are accepted"),
        (&["rsa:1024"], "RSA-1024: RSA keys of 2048 to 4096 bits are accepted"),
        (
            &["ec", "-pkeyopt", "ec_paramgen_curve:P-521"],
            "unsupported public key: elliptic curve 1.3.132.0.35",
        ),
        (
            &["ec", "-pkeyopt", "ec_paramgen_curve:secp256k1"],
            "unsupported public key: elliptic curve 1.3.132.0.10",
        ),
        (&["ed448"], "unsupported public key: algorithm 1.3.101.113"),
    ];
    for (newkey, message) in kinds {
        let error = VerifiedCsr::from_pem(&openssl.request(newkey, &[])).unwrap_err();
        assert!(matches!(error, CsrError::Key(KeyError::RsaSize(_) | KeyError::Unsupported(_))), "{error:?}");
        let source = error.source().unwrap().to_string();
        assert!(source.starts_with(message), "{newkey:?}: {source}");
    }
}

#[test]
fn weak_signatures_and_parameters_are_refused() {
    let openssl = Openssl::new();
    let sha1 = openssl.request(P256, &["-sha1"]);
    assert!(matches!(VerifiedCsr::from_pem(&sha1), Err(CsrError::Algorithm(_))));
    let pss = openssl.request(&["rsa:2048"], &["-sigopt", "rsa_padding_mode:pss"]);
    assert!(matches!(VerifiedCsr::from_pem(&pss), Err(CsrError::Algorithm(_))));
    let explicit: &[&str] =
        &["ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-pkeyopt", "ec_param_enc:explicit"];
    let error = VerifiedCsr::from_pem(&openssl.request(explicit, &[])).unwrap_err();
    assert!(matches!(error, CsrError::Key(KeyError::Unsupported(_))), "{error:?}");
}

#[test]
fn nothing_but_the_key_gets_from_a_request_into_a_certificate() {
    let openssl = Openssl::new();
    // Ed25519 signs the same bytes the same way, so whole certificates can be compared.
    let hierarchy = Hierarchy::new(KeyAlgorithm::Ed25519);
    let plain = openssl.request(P256, &[]);
    let greedy = openssl.run_all(&[
        "req",
        "-new",
        "-key",
        "key.pem",
        "-out",
        "greedy.pem",
        "-subj",
        "/O=evilcorp/CN=service_pulse",
        "-addext",
        "basicConstraints=critical,CA:TRUE",
        "-addext",
        "keyUsage=critical,keyCertSign,cRLSign",
        "-addext",
        "extendedKeyUsage=serverAuth,anyExtendedKeyUsage",
        "-addext",
        "subjectAltName=URI:spiffe://countersign.internal/tenant/victim/device/theirs,DNS:evil.example",
        "-addext",
        "subjectKeyIdentifier=hash",
    ]);
    assert!(greedy.success, "{}", greedy.text);
    let greedy = String::from_utf8(openssl.read("greedy.pem")).unwrap();
    let (plain, greedy) = (VerifiedCsr::from_pem(&plain).unwrap(), VerifiedCsr::from_pem(&greedy).unwrap());
    assert_eq!(plain.public_key(), greedy.public_key());
    assert_ne!(plain.der_sha256(), greedy.der_sha256());

    let serial = countersign_ca::random_serial(0x01).unwrap();
    let certify = |csr: &VerifiedCsr| {
        let request =
            CertificateRequest { serial: serial.clone(), ..request(device("d1"), csr.public_key()) };
        issue(&hierarchy.devices, request)
    };
    let leaf = certify(&greedy);
    assert_eq!(leaf.der(), certify(&plain).der());
    openssl.write("leaf.pem", leaf.pem());
    let text = openssl.must("x509 -in leaf.pem -noout -text");
    assert!(text.contains("CA:FALSE"), "{text}");
    for smuggled in ["evil", "service_pulse", "victim", "CA:TRUE", "Sign, CRL", "Server"] {
        assert!(!text.contains(smuggled), "{smuggled} in {text}");
    }
}

#[test]
fn a_request_signed_by_another_key_is_refused() {
    let openssl = Openssl::new();
    let pem = openssl.request(P256, &[]);
    let (_label, der) = der::pem::decode_vec(pem.as_bytes()).unwrap();
    let own = key(KeyAlgorithm::P256);
    let other = VerifiedCsr::from_der(&der).unwrap().public_key().spki_der().to_vec();
    let at = der.windows(other.len()).position(|window| window == other).unwrap();
    let mut swapped = der;
    swapped[at..at + other.len()].copy_from_slice(own.public_key().spki_der());
    assert!(matches!(VerifiedCsr::from_der(&swapped), Err(CsrError::Signature(_))));
}

#[test]
fn pem_spellings_that_tools_write_are_read() {
    let openssl = Openssl::new();
    let pem = openssl.request(P256, &[]);
    let expected = VerifiedCsr::from_pem(&pem).unwrap().der_sha256();
    let with_text = {
        openssl.must("req -in request.pem -text -out text.pem");
        String::from_utf8(openssl.read("text.pem")).unwrap()
    };
    let spellings = [
        pem.replace("CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST"),
        pem.replace('\n', "\r\n"),
        format!("\n\n{pem}\n\n"),
        pem.trim_end().to_owned(),
        with_text,
    ];
    for spelling in spellings {
        assert_eq!(VerifiedCsr::from_pem(&spelling).unwrap().der_sha256(), expected, "{spelling}");
    }
}
