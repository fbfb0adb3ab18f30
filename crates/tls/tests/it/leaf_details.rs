//! The texts of a presented certificate, for rules and identity headers.

use countersign_testkit::{LeafSpec, NOT_BEFORE, TestCa};
use countersign_tls::{ClientAuth, LeafDetails, Peer};

use crate::meeting::{Client, DOMAIN, Door, VERSIONS};

async fn peer(ca: &TestCa, shows: &TestCa, spec: &LeafSpec) -> Peer {
    let door = Door::new(ca, ClientAuth::Optional);
    door.meet(&Client::showing(ca, VERSIONS[1], &shows.mint(spec))).await.peer()
}

fn is_hex(text: &str, length: usize, upper: bool) -> bool {
    let letters = if upper { 'A'..='F' } else { 'a'..='f' };
    text.len() == length && text.chars().all(|c| c.is_ascii_digit() || letters.contains(&c))
}

fn check_texts(leaf: &LeafDetails) {
    assert_eq!(leaf.subject_dn, "CN=acme/d1,O=acme");
    assert_eq!(leaf.subject_dn_rfc2253, leaf.subject_dn);
    assert_eq!(leaf.subject_dn_legacy, "/O=acme/CN=acme/d1");
    assert_eq!(leaf.issuer_dn, "CN=Test Devices,O=Countersign Test");
    assert_eq!(leaf.issuer_dn_legacy, "/O=Countersign Test/CN=Test Devices");
    assert_eq!(leaf.serial, "AB01", "leading zeros do not count");
    assert_eq!(leaf.not_before, NOT_BEFORE);
    assert_eq!(leaf.not_before_text, "Jan  1 00:00:00 2020 GMT");
    assert_eq!(leaf.not_after_text, "Jan  1 00:00:00 2045 GMT");
    assert_eq!(leaf.san_uris, ["spiffe://countersign.internal/tenant/acme/device/d1"]);
    assert_eq!(leaf.san_dns, ["d1.acme.test"]);
    assert_eq!(leaf.ekus, ["clientAuth"]);
    assert_eq!(leaf.key_type, "P-256");
    assert!(is_hex(&leaf.fingerprint_sha256, 64, false) && is_hex(&leaf.fingerprint_sha1, 40, false));
    assert!(is_hex(&leaf.ski, 40, true) && is_hex(&leaf.issuer_ski, 40, true));
    assert!(is_hex(&leaf.issuer_serial, 36, true), "{}", leaf.issuer_serial);
}

#[tokio::test]
async fn a_leaf_is_written_in_cloudflares_formats_trusted_or_not() {
    let ca = TestCa::new(DOMAIN);
    let spec = LeafSpec {
        serial: Some(vec![0xab, 0x01]),
        dns: vec!["d1.acme.test".to_owned()],
        ..ca.device_spec("acme", "d1")
    };
    let vouched = peer(&ca, &ca, &spec).await;
    assert!(vouched.claim().is_some());
    check_texts(vouched.leaf().unwrap());
    let twin = peer(&ca, &ca.evil_twin(), &spec).await;
    assert!(twin.claim().is_none());
    check_texts(twin.leaf().unwrap());
}
