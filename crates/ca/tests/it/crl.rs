//! Revocation lists say what RFC 5280 section 5 lets them say, and no more.

use std::time::Duration;

use const_oid::db::rfc5280::{
    ID_CE_AUTHORITY_KEY_IDENTIFIER, ID_CE_CRL_NUMBER, ID_CE_ISSUING_DISTRIBUTION_POINT,
};
use countersign_ca::{CrlContents, CrlEntry, CrlError, KeyAlgorithm};
use countersign_core::certificate::RevocationReason;
use countersign_core::ids::SerialNumber;
use countersign_core::time::Timestamp;
use countersign_testkit::property_cases;
use der::{Decode as _, Encode as _};
use proptest::prelude::*;
use x509_cert::certificate::Version;
use x509_cert::crl::CertificateList;
use x509_cert::ext::pkix::{CrlReason, IssuingDistributionPoint};

use crate::hierarchy::{CRL_URL, Hierarchy, now};

const DAY: Duration = Duration::from_secs(24 * 3600);

fn contents(entries: Vec<CrlEntry>) -> CrlContents {
    CrlContents { number: 1, this_update: now(), next_update: now() + DAY, entries, distribution_point: None }
}

fn entry(serial: &str, reason: RevocationReason) -> CrlEntry {
    CrlEntry { serial: serial.parse().unwrap(), revoked_at: now(), reason }
}

fn signed(contents: &CrlContents) -> CertificateList {
    let der = Hierarchy::new(KeyAlgorithm::P256).devices.sign_crl(contents).unwrap();
    CertificateList::from_der(&der).unwrap()
}

#[test]
fn an_empty_list_has_no_entries_element() {
    let list = signed(&contents(vec![])).tbs_cert_list;
    assert_eq!((list.version, list.revoked_certificates), (Version::V2, None));
}

#[test]
fn entries_are_ordered_by_number_and_unspecified_has_no_reason() {
    let list = signed(&contents(vec![
        entry("0200", RevocationReason::Unspecified),
        entry("7f", RevocationReason::Superseded),
        entry("010203", RevocationReason::PrivilegeWithdrawn),
    ]));
    let revoked = list.tbs_cert_list.revoked_certificates.unwrap();
    let said: Vec<_> = revoked
        .iter()
        .map(|one| {
            let reason = one.crl_entry_extensions.as_ref().map(|extensions| {
                assert_eq!(extensions.len(), 1);
                assert!(!extensions[0].critical);
                CrlReason::from_der(extensions[0].extn_value.as_bytes()).unwrap()
            });
            (one.serial_number.as_bytes().to_vec(), reason)
        })
        .collect();
    assert_eq!(
        said,
        [
            (vec![0x7f], Some(CrlReason::Superseded)),
            (vec![2, 0], None),
            (vec![1, 2, 3], Some(CrlReason::PrivilegeWithdrawn)),
        ]
    );
}

#[test]
fn every_reason_is_written_with_its_number() {
    for reason in RevocationReason::ALL {
        let list = signed(&contents(vec![entry("0101", reason)]));
        let revoked = list.tbs_cert_list.revoked_certificates.unwrap();
        let written = revoked[0]
            .crl_entry_extensions
            .as_ref()
            .map(|extensions| CrlReason::from_der(extensions[0].extn_value.as_bytes()).unwrap() as u32);
        let expected = (reason != RevocationReason::Unspecified).then(|| u32::from(reason.code()));
        assert_eq!(written, expected);
    }
}

#[test]
fn the_distribution_point_is_there_when_asked_and_critical() {
    let oids = |contents: &CrlContents| {
        let extensions = signed(contents).tbs_cert_list.crl_extensions.unwrap();
        extensions.into_iter().map(|one| (one.extn_id, one.critical)).collect::<Vec<_>>()
    };
    let always = [(ID_CE_AUTHORITY_KEY_IDENTIFIER, false), (ID_CE_CRL_NUMBER, false)];
    let plain = contents(vec![]);
    assert_eq!(oids(&plain), always);
    let placed = CrlContents { distribution_point: Some(CRL_URL.to_owned()), ..plain };
    assert_eq!(oids(&placed), [&always[..], &[(ID_CE_ISSUING_DISTRIBUTION_POINT, true)]].concat());
    let extensions = signed(&placed).tbs_cert_list.crl_extensions.unwrap();
    let point = IssuingDistributionPoint::from_der(extensions[2].extn_value.as_bytes()).unwrap();
    let name = point.distribution_point.unwrap().to_der().unwrap();
    assert!(name.ends_with(CRL_URL.as_bytes()));
}

#[test]
fn a_list_that_is_due_before_it_is_made_is_refused() {
    let devices = Hierarchy::new(KeyAlgorithm::P256).devices;
    for next_update in [now(), now() - DAY, now() + Duration::from_millis(999)] {
        let late = CrlContents { next_update, ..contents(vec![]) };
        assert!(matches!(devices.sign_crl(&late), Err(CrlError::Window { .. })));
    }
}

#[test]
fn a_list_that_names_a_certificate_twice_is_refused() {
    let twice = vec![entry("0a", RevocationReason::Superseded), entry("0a", RevocationReason::Unspecified)];
    let refused = Hierarchy::new(KeyAlgorithm::P256).devices.sign_crl(&contents(twice));
    assert!(matches!(refused, Err(CrlError::Duplicate(serial)) if serial.to_string() == "0a"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(property_cases(64)))]

    #[test]
    fn whatever_goes_in_comes_out_once_and_in_order(
        numbers in proptest::collection::btree_set(1_u64.., 0..40), number in any::<u64>(), at in 0_i64..4_000_000_000,
    ) {
        let serial = |number: &u64| SerialNumber::from_be_bytes(&number.to_be_bytes()).unwrap();
        let made = Timestamp::from_secs(at);
        let list = signed(&CrlContents {
            number,
            this_update: made,
            next_update: made + DAY,
            entries: numbers.iter().rev().map(|number| CrlEntry {
                serial: serial(number), revoked_at: made, reason: RevocationReason::Unspecified }).collect(),
            distribution_point: None,
        });
        let revoked = list.tbs_cert_list.revoked_certificates.unwrap_or_default();
        let read: Vec<_> = revoked.iter()
            .map(|one| SerialNumber::from_be_bytes(one.serial_number.as_bytes()).unwrap()).collect();
        prop_assert_eq!(read, numbers.iter().map(serial).collect::<Vec<_>>());
    }
}
