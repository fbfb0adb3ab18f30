//! Whoever asks about a certificate hears good, revoked or unknown, from a responder that its CA has
//! certified; nobody hears good about what was not issued or is no longer so.

use std::sync::Arc;

use countersign_authority::IssuerMode;
use countersign_authority::ocsp::OcspReply;
use countersign_core::audit::AuditEvent;
use countersign_core::certificate::{CertificateState, RevocationReason};
use countersign_core::ids::{CertificateRef, SerialNumber};
use countersign_store::{AuditFilter, IntentRow, IssuerRole, ServiceCertificateFilter};
use der::{Decode as _, Encode as _};
use sha2::Digest as _;
use x509_cert::Certificate;

use super::house::{DAY, HOUR, House};

/// A request about a serial number of a CA, by SHA-256 (RFC 6960 section 4.1.1).
fn question(ca: &[u8], serial: &SerialNumber, nonce: Option<&[u8]>) -> Vec<u8> {
    let certificate = Certificate::from_der(ca).unwrap();
    let tbs = certificate.tbs_certificate();
    let name = sha2::Sha256::digest(tbs.subject().to_der().unwrap());
    let key = sha2::Sha256::digest(tbs.subject_public_key_info().subject_public_key.raw_bytes());
    let sha256 = tlv(0x30, &[6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1]);
    let id = tlv(0x30, &[sha256, tlv(4, &name), tlv(4, &key), tlv(2, serial.as_bytes())].concat());
    let questions = tlv(0x30, &tlv(0x30, &id));
    let extensions = nonce.map_or_else(Vec::new, |nonce| {
        let oid = [6, 9, 0x2b, 6, 1, 5, 5, 7, 0x30, 1, 2];
        let extension = tlv(0x30, &[&oid[..], &tlv(4, &tlv(4, nonce))].concat());
        tlv(0xa2, &tlv(0x30, &extension))
    });
    tlv(0x30, &tlv(0x30, &[questions, extensions].concat()))
}

fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u8::try_from(content.len()).unwrap();
    let header = if length < 0x80 { vec![tag, length] } else { vec![tag, 0x81, length] };
    [header, content.to_vec()].concat()
}

/// The elements of a constructed value's content.
fn elements(mut content: &[u8]) -> Vec<(u8, &[u8])> {
    let mut elements = Vec::new();
    while let [tag, first, rest @ ..] = content {
        let (length, rest) = match (first, rest) {
            (0x81, [length, rest @ ..]) => (usize::from(*length), rest),
            (0x82, [high, low, rest @ ..]) => (usize::from(u16::from_be_bytes([*high, *low])), rest),
            (short, rest) => (usize::from(*short), rest),
        };
        let (value, rest) = rest.split_at(length);
        elements.push((*tag, value));
        content = rest;
    }
    elements
}

fn inside(content: &[u8], at: usize) -> &[u8] {
    elements(content).into_iter().nth(at).unwrap().1
}

/// What an answer says about its one certificate.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    Good,
    Revoked,
    Unknown,
    /// None about a certificate: the response status (RFC 6960 section 4.2.1).
    Failure(u8),
}

const MALFORMED: Said = Said::Failure(1);
const UNAUTHORIZED: Said = Said::Failure(6);

fn said(reply: &OcspReply) -> Said {
    let response = inside(&reply.der, 0);
    if let [(_, [status])] = elements(response).as_slice() {
        return Said::Failure(*status);
    }
    let bytes = inside(inside(response, 1), 0);
    let basic = inside(inside(bytes, 1), 0);
    // Responder, time, answers.
    let answers = inside(inside(basic, 0), 2);
    match elements(inside(answers, 0)).get(1) {
        Some((0x80, _)) => Said::Good,
        Some((0xa1, _)) => Said::Revoked,
        Some((0x82, _)) => Said::Unknown,
        other => panic!("status {other:?}"),
    }
}

impl House {
    fn ca_certificate(&self, role: IssuerRole) -> Vec<u8> {
        self.authority.cas().into_iter().find(|ca| ca.role == role).unwrap().certificate
    }

    async fn asked(&self, reference: &CertificateRef) -> Said {
        let ca = self.authority.cas().into_iter().find(|ca| ca.key_id == reference.issuer).unwrap();
        said(&self.authority.answer_ocsp(&question(&ca.certificate, &reference.serial, None)).await)
    }

    async fn responders(&self) -> usize {
        let filter = ServiceCertificateFilter {
            label: Some("ocsp".parse().unwrap()),
            limit: 100,
            ..ServiceCertificateFilter::default()
        };
        self.read(move |r| Box::pin(async move { r.service_certificates(&filter).await })).await.len()
    }
}

#[tokio::test]
async fn a_certificate_is_good_until_it_is_revoked() {
    let house = House::new().await;
    let device = house.device("pump").await;
    let row = house.in_state(device.id, CertificateState::Active).await;
    assert_eq!(house.asked(&row.reference).await, Said::Good);
    assert_eq!(house.asked(&row.reference).await, Said::Good, "the kept answer");
    let reason = RevocationReason::KeyCompromise;
    house.authority.revoke_certificate(&house.operate(), row.id, reason).await.unwrap();
    assert_eq!(house.asked(&row.reference).await, Said::Revoked, "what was kept is forgotten");
    assert_eq!(house.asked(&row.reference).await, Said::Revoked);
}

#[tokio::test]
async fn fails_closed_what_was_not_issued_is_never_good() {
    let house = House::new().await;
    let device = house.device("pump").await;
    let row = house.in_state(device.id, CertificateState::Active).await;
    let stranger = CertificateRef { serial: "0102030405".parse().unwrap(), ..row.reference.clone() };
    assert_eq!(house.asked(&stranger).await, Said::Unknown);

    let reserved = CertificateRef { serial: "01aabb".parse().unwrap(), ..row.reference.clone() };
    let intent = IntentRow {
        reference: reserved.clone(),
        device: None,
        profile: "device".to_owned(),
        at: house.now(),
        expires_at: house.now() + DAY,
    };
    house.write(move |w| Box::pin(async move { w.insert_intent(&intent).await })).await;
    assert_eq!(house.asked(&reserved).await, Said::Unknown, "signed or not, it was not handed out");

    // The device's number under the CA of the services.
    let services = house.ca_certificate(IssuerRole::Service);
    let reply = house.authority.answer_ocsp(&question(&services, &row.reference.serial, None)).await;
    assert_eq!(said(&reply), Said::Unknown);
}

#[tokio::test]
async fn a_ca_is_asked_about_at_its_root() {
    let house = House::new().await;
    let (root, devices) = (house.ca_certificate(IssuerRole::Root), house.ca_certificate(IssuerRole::Device));
    let certificate = Certificate::from_der(&devices).unwrap();
    let serial = certificate.tbs_certificate().serial_number().as_bytes();
    let serial = SerialNumber::from_be_bytes(serial).unwrap();
    let reply = house.authority.answer_ocsp(&question(&root, &serial, None)).await;
    assert_eq!(said(&reply), Said::Good);
}

#[tokio::test]
async fn an_answer_with_a_nonce_is_for_its_request_alone() {
    let house = House::new().await;
    let device = house.device("pump").await;
    let row = house.in_state(device.id, CertificateState::Active).await;
    let ca = house.ca_certificate(IssuerRole::Device);
    let ask = |nonce: Option<&'static [u8]>| {
        let question = question(&ca, &row.reference.serial, nonce);
        let authority = Arc::clone(&house.authority);
        async move { authority.answer_ocsp(&question).await }
    };
    let (first, second) = (ask(Some(b"0123456789abcdef")).await, ask(Some(b"fedcba9876543210")).await);
    assert!(first.period.is_none() && first != second);
    assert!(first.der.windows(16).any(|part| part == b"0123456789abcdef"));
    let (kept, again) = (ask(None).await, ask(None).await);
    assert!(kept.period.is_some());
    assert_eq!(kept, again);
    house.pass(HOUR / 2);
    assert_ne!(ask(None).await, kept, "half of its life is over");
}

#[tokio::test]
async fn a_responder_is_certified_when_it_is_needed_and_anew_at_two_thirds_of_its_life() {
    let house = House::new().await;
    let device = house.device("pump").await;
    let row = house.in_state(device.id, CertificateState::Active).await;
    assert_eq!(house.responders().await, 0);
    for (pass, expected) in [(HOUR, 1), (HOUR, 1), (DAY * 4, 1), (HOUR * 15, 2)] {
        house.pass(pass);
        assert_eq!(house.asked(&row.reference).await, Said::Good);
        assert_eq!(house.responders().await, expected);
    }
    let event = Some(AuditEvent::OcspResponderCertified);
    let certified = house.audit(AuditFilter { event, ..AuditFilter::default() }).await;
    assert_eq!(certified.len(), 2);
}

#[tokio::test]
async fn strangers_and_nonsense_get_the_failures_of_the_protocol() {
    let house = House::new().await;
    let other = House::new().await;
    let theirs = question(&other.ca_certificate(IssuerRole::Device), &"0102".parse().unwrap(), None);
    let reply = house.authority.answer_ocsp(&theirs).await;
    assert_eq!(said(&reply), UNAUTHORIZED);
    assert_eq!(house.responders().await, 0, "nothing was signed for it");
    let cut = theirs.split_last().unwrap().1;
    for nonsense in [&b""[..], b"hello", cut, &[0x30; 20_000]] {
        assert_eq!(said(&house.authority.answer_ocsp(nonsense).await), MALFORMED);
    }
}

#[tokio::test]
async fn another_authority_on_the_same_records_answers_the_same() {
    let house = House::new().await;
    let device = house.device("pump").await;
    let row = house.in_state(device.id, CertificateState::Active).await;
    assert_eq!(house.asked(&row.reference).await, Said::Good);
    let house = house.restarted(IssuerMode::Embedded).await;
    assert_eq!(house.asked(&row.reference).await, Said::Good);
    assert_eq!(house.responders().await, 2, "its key is never on disk");
}
