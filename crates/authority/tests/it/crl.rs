//! CRLs carry what was revoked, their numbers rise, and they are signed anew before they get old.

use countersign_authority::crl::CrlName;
use countersign_authority::{Authority, AuthorityConfig};
use countersign_core::certificate::{CertificateState, RevocationReason};
use countersign_core::crl_scope::CrlScope;
use countersign_core::ids::{CertificateRef, IssuerKeyId, SerialNumber};
use countersign_store::CrlRow;
use der::Decode as _;
use x509_cert::crl::CertificateList;

use super::house::{DAY, HOUR, House, SECOND, fresh_key};

impl House {
    /// The CRL of the device CA: the issuer of some device's certificate.
    async fn crl(&self, issuer: IssuerKeyId) -> CrlRow {
        let list = CrlName { issuer, scope: CrlScope::Whole };
        self.authority.crl(list).await.unwrap().unwrap()
    }
}

fn serials(crl: &CrlRow) -> Vec<SerialNumber> {
    let list: CertificateList = CertificateList::from_der(&crl.der).unwrap();
    let entries = list.tbs_cert_list.revoked_certificates.unwrap_or_default();
    entries.iter().map(|one| SerialNumber::from_be_bytes(one.serial_number.as_bytes()).unwrap()).collect()
}

/// Where the tests publish.
const PUBLIC: &str = "https://pki.example.com";

impl House {
    /// The same house with a public address: certificates name the lists of their shards.
    pub(crate) async fn published(mut self) -> Self {
        let config = AuthorityConfig { public_base_url: Some(PUBLIC.to_owned()), ..self.config() };
        self.authority = Authority::open(self.store.clone(), self.clock.clone(), config).await.unwrap();
        self
    }

    async fn shard(&self, issuer: IssuerKeyId, serial: &SerialNumber) -> CrlRow {
        let list = CrlName { issuer, scope: CrlScope::of(serial) };
        self.authority.crl(list).await.unwrap().unwrap()
    }
}

fn has(der: &[u8], text: &str) -> bool {
    der.windows(text.len()).any(|part| part == text.as_bytes())
}

#[tokio::test]
async fn a_certificate_names_the_list_of_its_shard_and_that_list_says_so() {
    let house = House::new().await.published().await;
    let device = house.device("pump").await;
    let row = house.in_state(device.id, CertificateState::Active).await;
    let CertificateRef { issuer, serial } = row.reference.clone();
    let url = format!("{PUBLIC}/pki/crl/{issuer}-{}.crl", CrlScope::of(&serial));
    assert!(has(&row.der, &url));
    let empty = house.shard(issuer, &serial).await;
    assert!(has(&empty.der, &url) && serials(&empty).is_empty());

    let reason = RevocationReason::KeyCompromise;
    house.authority.revoke_certificate(&house.operate(), row.id, reason).await.unwrap();
    house.authority.refresh_crls().await.unwrap();
    let list = house.shard(issuer, &serial).await;
    assert!(has(&list.der, &url) && list.number > empty.number);
    assert_eq!(serials(&list), std::slice::from_ref(&serial));
    let whole = house.crl(issuer).await;
    assert!(!has(&whole.der, "/pki/crl/") && whole.number > list.number);
    assert_eq!(serials(&whole), [serial]);
}

#[tokio::test]
async fn only_the_list_of_the_shard_is_signed_anew() {
    let house = House::new().await.published().await;
    let device = house.device("pump").await;
    let row = house.in_state(device.id, CertificateState::Active).await;
    let CertificateRef { issuer, serial } = row.reference.clone();
    let other = SerialNumber::from_be_bytes(&[1, !serial.as_bytes().last().unwrap()]).unwrap();
    let (before, whole) = (house.shard(issuer, &other).await, house.crl(issuer).await);
    let reason = RevocationReason::KeyCompromise;
    house.authority.revoke_certificate(&house.operate(), row.id, reason).await.unwrap();
    house.authority.refresh_crls().await.unwrap();
    assert_eq!(house.shard(issuer, &other).await, before);
    let list = CrlName { issuer, scope: CrlScope::Whole };
    let on_record = house.read(move |r| Box::pin(async move { r.latest_crl(list).await })).await;
    assert_eq!(on_record, Some(whole), "it waits until somebody wants it");
    assert!(house.read(|r| Box::pin(async move { r.crl_marks(None).await })).await.is_empty());
}

#[tokio::test]
async fn without_a_public_address_there_is_the_whole_list_alone() {
    let house = House::new().await;
    let device = house.device("pump").await;
    let row = house.in_state(device.id, CertificateState::Active).await;
    let CertificateRef { issuer, serial } = row.reference.clone();
    let reason = RevocationReason::KeyCompromise;
    house.authority.revoke_certificate(&house.operate(), row.id, reason).await.unwrap();
    house.authority.refresh_crls().await.unwrap();
    let list = CrlName { issuer, scope: CrlScope::of(&serial) };
    assert_eq!(house.authority.crl(list).await.unwrap(), None);
    assert_eq!(serials(&house.crl(issuer).await), [serial]);
    assert!(house.read(|r| Box::pin(async move { r.crl_marks(None).await })).await.is_empty());
}

#[tokio::test]
async fn every_ca_has_one_and_revoked_serials_are_in_the_next() {
    let house = House::new().await;
    house.authority.refresh_crls().await.unwrap();
    for (issuer, _pem) in house.authority.ca_certificates() {
        let crl = house.crl(issuer).await;
        assert_eq!((crl.number, serials(&crl).len()), (1, 0));
        assert_eq!(crl.next_update, house.now() + DAY);
    }
    let device = house.device("pump").await;
    let first = house.in_state(device.id, CertificateState::Active).await.reference;
    let pending = house.renew(&device, &fresh_key()).await.unwrap();
    let second = house.certificate(pending.id).await.reference;
    house.authority.deny(&house.operate(), device.id).await.unwrap();
    house.pass(SECOND);
    house.authority.refresh_crls().await.unwrap();
    let crl = house.crl(first.issuer).await;
    assert_eq!(crl.number, 2);
    let mut expected = vec![first.serial, second.serial];
    let mut listed = serials(&crl);
    expected.sort_by_key(ToString::to_string);
    listed.sort_by_key(ToString::to_string);
    assert_eq!(listed, expected);
}

#[tokio::test]
async fn numbers_rise_over_restarts_and_entries_stay_until_one_list_after_their_end() {
    let house = House::new().await;
    let device = house.device("pump").await;
    let row = house.in_state(device.id, CertificateState::Active).await;
    let issuer = row.reference.issuer;
    let reason = RevocationReason::KeyCompromise;
    house.authority.revoke_certificate(&house.operate(), row.id, reason).await.unwrap();
    let mut last = 0;
    for (pass, listed) in [(HOUR, true), (DAY * 89, true), (DAY * 2, true), (DAY, false)] {
        house.pass(pass);
        let next = house.reopened(countersign_authority::IssuerMode::Embedded).await;
        next.refresh_crls().await.unwrap();
        let crl = house.crl(issuer).await;
        assert!(crl.number > last);
        last = crl.number;
        assert_eq!(serials(&crl).contains(&row.reference.serial), listed, "{}", house.now());
    }
}

#[tokio::test]
async fn one_that_is_young_is_left_and_one_at_two_thirds_of_its_life_is_not() {
    let house = House::new().await;
    house.authority.refresh_crls().await.unwrap();
    let root = house.authority.ca_certificates().remove(0).0;
    for (pass, number) in [(HOUR * 16 - SECOND, 1), (SECOND, 2), (HOUR, 2)] {
        house.pass(pass);
        house.authority.refresh_crls().await.unwrap();
        assert_eq!(house.crl(root).await.number, number);
    }
}

#[tokio::test]
async fn a_revocation_has_it_signed_soon() {
    let house = House::new().await;
    house.authority.refresh_crls().await.unwrap();
    let device = house.device("pump").await;
    let row = house.in_state(device.id, CertificateState::Active).await;
    let task = tokio::spawn(std::sync::Arc::clone(&house.authority).publish_crls());
    let reason = RevocationReason::KeyCompromise;
    house.authority.revoke_certificate(&house.operate(), row.id, reason).await.unwrap();
    let listed = async {
        let mut look = tokio::time::interval(std::time::Duration::from_millis(20));
        while !serials(&house.crl(row.reference.issuer).await).contains(&row.reference.serial) {
            look.tick().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), listed).await.unwrap();
    task.abort();
}
