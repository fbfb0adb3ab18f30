//! Every lint fires on the list it is there for, and none on a good one.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use countersign_core::certificate::RevocationReason;
use countersign_core::time::Timestamp;
use der::asn1::GeneralizedTime;
use x509_cert::name::Name;
use x509_cert::serial_number::SerialNumber;

use super::*;
use crate::crl::CrlEntry;
use crate::issuer::Issuer;
use crate::key::{KeyAlgorithm, SigningKey};
use crate::random::random_serial;
use crate::tbs::extension as encoded;

const DAY: Duration = Duration::from_secs(86_400);

fn now() -> Timestamp {
    Timestamp::parse("2026-06-01T12:00:00Z").unwrap()
}

fn issuer() -> Issuer {
    let key = Arc::new(SigningKey::generate(KeyAlgorithm::P256).unwrap());
    let name = "CN=Test Root".parse().unwrap();
    Issuer::create_root(name, key, random_serial(1).unwrap(), (now(), DAY * 3650)).unwrap()
}

fn contents() -> CrlContents {
    let entry =
        |serial: &str, reason| CrlEntry { serial: serial.parse().unwrap(), revoked_at: now(), reason };
    CrlContents {
        number: 7,
        this_update: now(),
        next_update: now() + DAY,
        entries: vec![
            entry("0102", RevocationReason::Unspecified),
            entry("7f", RevocationReason::Superseded),
            entry("ff", RevocationReason::KeyCompromise),
        ],
        distribution_point: Some("http://pki.example/a.crl".to_owned()),
    }
}

fn list(issuer: &Issuer, contents: &CrlContents) -> TbsCertList {
    let der = issuer.sign_crl(contents).unwrap();
    x509_cert::crl::CertificateList::from_der(&der).unwrap().tbs_cert_list
}

/// The lint that refuses, if any.
fn refused_by(issuer: &Issuer, contents: &CrlContents, list: &TbsCertList) -> Option<&'static str> {
    match check(&Subject { list, contents, issuer: issuer.facts() }) {
        Ok(()) => None,
        Err(CrlError::Lint { name, .. }) => Some(name),
        Err(other) => panic!("{other}"),
    }
}

type Change = fn(&mut TbsCertList);

fn extensions(list: &mut TbsCertList) -> &mut Vec<x509_cert::ext::Extension> {
    list.crl_extensions.as_mut().unwrap()
}

fn revoked(list: &mut TbsCertList) -> &mut Vec<RevokedCert> {
    list.revoked_certificates.as_mut().unwrap()
}

fn changes() -> Vec<(&'static str, Change)> {
    vec![
        ("crl_version_is_2", |list| list.version = Version::V1),
        ("crl_issuer_name_is_the_issuers_subject", |list| list.issuer = Name::default()),
        ("crl_dates_use_right_time_type", |list| {
            let at = list.this_update.to_unix_duration();
            list.this_update = Time::GeneralTime(GeneralizedTime::from_unix_duration(at).unwrap());
        }),
        ("crl_next_update_after_this_update", |list| list.next_update = None),
        ("crl_next_update_after_this_update", |list| list.next_update = Some(list.this_update)),
        ("crl_extensions_unique_and_known", |list| {
            let first = extensions(list)[0].clone();
            extensions(list).push(first);
        }),
        ("crl_extensions_unique_and_known", |list| {
            extensions(list).push(encoded(CrlReason::OID, false, &CrlReason::Superseded).unwrap());
        }),
        ("crl_number_present", |list| drop(extensions(list).remove(1))),
        ("crl_number_present", |list| extensions(list)[1].critical = true),
        ("crl_number_present", |list| {
            let other = CrlNumber::try_from(6_u64).unwrap();
            extensions(list)[1] = encoded(CrlNumber::OID, false, &other).unwrap();
        }),
        ("crl_aki_matches_issuer", |list| drop(extensions(list).remove(0))),
        ("crl_aki_matches_issuer", |list| {
            let none = AuthorityKeyIdentifier::default();
            extensions(list)[0] = encoded(AuthorityKeyIdentifier::OID, false, &none).unwrap();
        }),
        ("crl_idp_equals_cdp", |list| drop(extensions(list).remove(2))),
        ("crl_idp_equals_cdp", |list| extensions(list)[2].critical = false),
        ("crl_no_empty_list", |list| revoked(list).clear()),
        ("crl_no_empty_list", |list| list.revoked_certificates = None),
        ("crl_entries_sorted_and_unique", |list| revoked(list).swap(0, 1)),
        ("crl_entries_sorted_and_unique", |list| {
            let first = revoked(list)[0].clone();
            revoked(list)[1] = first;
        }),
        ("crl_serials_positive_and_at_most_20_octets", |list| {
            revoked(list)[0].serial_number = SerialNumber::new(&[0]).unwrap();
        }),
        ("crl_no_reason_code_zero", |list| {
            let zero = encoded(CrlReason::OID, false, &CrlReason::Unspecified).unwrap();
            revoked(list)[0].crl_entry_extensions = Some(vec![zero]);
        }),
        ("crl_no_reason_code_zero", |list| revoked(list)[0].crl_entry_extensions = Some(vec![])),
    ]
}

#[test]
fn every_lint_refuses_what_it_is_there_for() {
    let (issuer, contents) = (issuer(), contents());
    let good = list(&issuer, &contents);
    assert_eq!(refused_by(&issuer, &contents, &good), None);
    for (lint, change) in changes() {
        let mut wrong = good.clone();
        change(&mut wrong);
        assert_eq!(refused_by(&issuer, &contents, &wrong), Some(lint));
    }
    let tested: BTreeSet<_> = changes().into_iter().map(|(lint, _)| lint).collect();
    let all: BTreeSet<_> = crl_lints().map(|row| row.name).collect();
    assert_eq!(tested, all, "a lint without a test");
}

#[test]
fn a_place_that_nobody_asked_for_and_an_empty_list_are_refused() {
    let (issuer, contents) = (issuer(), contents());
    let placed = list(&issuer, &contents);
    let anywhere = CrlContents { distribution_point: None, ..contents.clone() };
    assert_eq!(refused_by(&issuer, &anywhere, &placed), Some("crl_idp_equals_cdp"));
    let elsewhere =
        CrlContents { distribution_point: Some("http://pki.example/b.crl".to_owned()), ..contents };
    assert_eq!(refused_by(&issuer, &elsewhere, &placed), Some("crl_idp_equals_cdp"));
    let none = CrlContents { entries: vec![], ..elsewhere };
    let mut empty = list(&issuer, &none);
    assert_eq!(refused_by(&issuer, &none, &empty), None);
    empty.revoked_certificates = Some(vec![]);
    assert_eq!(refused_by(&issuer, &none, &empty), Some("crl_no_empty_list"));
}
