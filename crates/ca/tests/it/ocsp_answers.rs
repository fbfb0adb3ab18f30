//! `openssl ocsp` accepts what a responder answers, and reads from it what was meant.

use countersign_ca::ocsp::{
    AskedIssuer, CertificateStatus, OcspAnswer, OcspFailure, OcspPeriod, OcspRequest, OcspResponder,
    OcspResponderError,
};
use countersign_ca::{IssuedCertificate, Issuer, KeyAlgorithm, Profile, Publication, SigningKey};
use countersign_core::certificate::RevocationReason;
use countersign_core::time::Timestamp;
use std::time::Duration;

use crate::hierarchy::{Hierarchy, device, issue, key, request, subject};
use crate::openssl::{Openssl, Said};

/// openssl compares an answer's times with the clock, so these tests live in the present.
fn today() -> Timestamp {
    let since = std::time::UNIX_EPOCH.elapsed().unwrap();
    Timestamp::from_secs(i64::try_from(since.as_secs()).unwrap())
}

struct Asking {
    openssl: Openssl,
    hierarchy: Hierarchy,
    responder: OcspResponder,
    leaf: IssuedCertificate,
}

fn responder_of(issuer: &Issuer, algorithm: KeyAlgorithm) -> (IssuedCertificate, SigningKey) {
    let key = key(algorithm);
    let profile = Profile::Ocsp { subject: subject("CN=Example OCSP responder") };
    let request = countersign_ca::CertificateRequest {
        issued_at: today(),
        publication: Publication {
            crl_url: Some("http://pki.example/a.crl".to_owned()),
            ca_issuers_url: Some("http://pki.example/a.cer".to_owned()),
            ocsp_url: Some("http://pki.example/ocsp".to_owned()),
        },
        ..request(profile, key.public_key())
    };
    (issue(issuer, request), key)
}

impl Asking {
    fn new(algorithm: KeyAlgorithm) -> Self {
        let hierarchy = Hierarchy::new(algorithm);
        let leaf_key = key(KeyAlgorithm::P256);
        let leaf = issue(&hierarchy.devices, request(device("d1"), leaf_key.public_key()));
        let (certificate, key) = responder_of(&hierarchy.devices, algorithm);
        let openssl = Openssl::new();
        openssl.write("devices.pem", hierarchy.devices.certificate_pem());
        openssl.write("root.pem", hierarchy.root.certificate_pem());
        openssl.write("leaf.pem", leaf.pem());
        openssl.write("responder.pem", certificate.pem());
        let responder = OcspResponder::new(certificate.der(), key).unwrap();
        Self { openssl, hierarchy, responder, leaf }
    }

    fn ask(&self, more: &str) -> OcspRequest {
        self.openssl.must(&format!("ocsp -issuer devices.pem {more} -cert leaf.pem -reqout question.der"));
        OcspRequest::from_der(&self.openssl.read("question.der")).unwrap()
    }

    fn answer(&self, request: &OcspRequest, status: &CertificateStatus, age: Duration) {
        let answers: Vec<_> =
            request.asked().iter().map(|asked| OcspAnswer { asked, status: status.clone() }).collect();
        let this_update = today() - age;
        let period = OcspPeriod { this_update, next_update: this_update + Duration::from_secs(3600) };
        let der = self.responder.respond(&answers, period, request.nonce()).unwrap();
        self.openssl.write("answer.der", der);
    }

    /// What openssl makes of the answer to its question: nonce, signature, responder, contents.
    fn judge(&self) -> Said {
        self.openssl.run(
            "ocsp -reqin question.der -respin answer.der -CAfile root.pem -verify_other devices.pem -resp_text",
        )
    }

    /// What it makes of the answer as one about the leaf, to a question without a nonce.
    fn judge_about_leaf(&self, more: &str) -> Said {
        self.openssl.run(&format!(
            "ocsp -issuer devices.pem {more} -cert leaf.pem -no_nonce -respin answer.der -CAfile root.pem \
             -verify_other devices.pem"
        ))
    }
}

#[test]
fn openssl_reads_good_revoked_and_unknown() {
    for algorithm in [KeyAlgorithm::P256, KeyAlgorithm::P384, KeyAlgorithm::Ed25519] {
        let asking = Asking::new(algorithm);
        let revoked_at = today() - Duration::from_secs(60);
        let compromised =
            CertificateStatus::Revoked { at: revoked_at, reason: RevocationReason::KeyCompromise };
        let unspecified =
            CertificateStatus::Revoked { at: revoked_at, reason: RevocationReason::Unspecified };
        for (status, short, long) in [
            (CertificateStatus::Good, "leaf.pem: good", "Cert Status: good"),
            (CertificateStatus::Unknown, "leaf.pem: unknown", "Cert Status: unknown"),
            (compromised, "Reason: keyCompromise", "Revocation Reason: keyCompromise"),
            (unspecified, "leaf.pem: revoked", "Cert Status: revoked"),
        ] {
            for hash in ["", "-sha256"] {
                asking.answer(&asking.ask(hash), &status, Duration::ZERO);
                let said = asking.judge();
                assert!(said.success && said.text.contains("Response verify OK"), "{}", said.text);
                assert!(said.text.contains(long) && !said.text.contains("WARNING"), "{}", said.text);
                asking.answer(&asking.ask(&format!("{hash} -no_nonce")), &status, Duration::ZERO);
                let said = asking.judge_about_leaf(hash);
                assert!(said.success && said.text.contains(short), "{algorithm:?} {hash}: {}", said.text);
            }
        }
    }
}

#[test]
fn openssl_refuses_an_answer_to_another_question() {
    let asking = Asking::new(KeyAlgorithm::P256);
    let first = asking.ask("");
    let _second = asking.ask("");
    asking.answer(&first, &CertificateStatus::Good, Duration::ZERO);
    let said = asking.judge();
    assert!(said.text.contains("Nonce Verify error"), "{}", said.text);
}

#[test]
fn openssl_refuses_an_answer_that_is_over() {
    let asking = Asking::new(KeyAlgorithm::P256);
    asking.answer(&asking.ask("-no_nonce"), &CertificateStatus::Good, Duration::from_secs(7200));
    let said = asking.judge_about_leaf("");
    assert!(said.text.contains("status expired"), "{}", said.text);
}

#[test]
fn openssl_refuses_an_answer_of_another_ca() {
    let asking = Asking::new(KeyAlgorithm::P256);
    let (certificate, key) = responder_of(&asking.hierarchy.services, KeyAlgorithm::P256);
    let stranger = OcspResponder::new(certificate.der(), key).unwrap();
    let asking = Asking { responder: stranger, ..asking };
    let question = asking.ask("");
    asking.answer(&question, &CertificateStatus::Good, Duration::ZERO);
    let said = asking.judge();
    assert!(said.text.contains("Response Verify Failure"), "{}", said.text);
}

#[test]
fn a_question_means_the_ca_that_it_names() {
    let asking = Asking::new(KeyAlgorithm::P256);
    let devices = AskedIssuer::of(asking.hierarchy.devices.certificate_der()).unwrap();
    let services = AskedIssuer::of(asking.hierarchy.services.certificate_der()).unwrap();
    for more in ["", "-sha256"] {
        let question = asking.ask(more);
        let about = question.asked().first().unwrap();
        assert!(devices.is_meant_by(about) && !services.is_meant_by(about), "{more}");
        assert_eq!(about.serial().as_ref(), Some(&asking.leaf.reference().serial));
    }
    let by_another_hash = asking.ask("-sha512");
    assert!(!devices.is_meant_by(by_another_hash.asked().last().unwrap()));
}

#[test]
fn the_responder_is_named_by_nobody_and_asked_about_by_nobody() {
    let asking = Asking::new(KeyAlgorithm::P256);
    let shown = asking.openssl.must("x509 -in responder.pem -noout -text");
    assert!(shown.contains("OCSP No Check") && shown.contains("OCSP Signing"), "{shown}");
    assert!(!shown.contains("OCSP - URI") && !shown.contains("CRL Distribution"), "{shown}");
    assert!(shown.contains("CA Issuers - URI:http://pki.example/a.cer"), "{shown}");
}

#[test]
fn a_responder_has_the_key_of_its_certificate() {
    let hierarchy = Hierarchy::new(KeyAlgorithm::P256);
    let (certificate, _its_key) = responder_of(&hierarchy.devices, KeyAlgorithm::P256);
    let refused = OcspResponder::new(certificate.der(), key(KeyAlgorithm::P256));
    assert!(matches!(refused, Err(OcspResponderError::KeyMismatch)));
}

#[test]
fn failures_are_what_openssl_calls_them() {
    let openssl = Openssl::new();
    for (failure, name) in [
        (OcspFailure::MalformedRequest, "malformedrequest"),
        (OcspFailure::InternalError, "internalerror"),
        (OcspFailure::TryLater, "trylater"),
        (OcspFailure::Unauthorized, "unauthorized"),
    ] {
        openssl.write("answer.der", failure.der());
        let said = openssl.run("ocsp -respin answer.der -resp_text -noverify").text;
        assert!(said.contains(name), "{said}");
    }
}
