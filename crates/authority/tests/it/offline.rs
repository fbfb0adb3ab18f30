//! A root whose key is away: what lasts meanwhile, when it is needed again, and what only it can do.

use std::time::Duration;

use countersign_authority::IssuerMode;
use countersign_authority::crl::CrlName;
use countersign_authority::crl::ceremony::{CrlCeremonyError, CrlRequest};
use countersign_authority::crl::due::CrlFault;
use countersign_authority::offline::OfflineError;
use countersign_authority::rotation::Stragglers;
use countersign_ca::RootFile;
use countersign_core::certificate::CertificateState;
use countersign_core::crl_scope::CrlScope;
use countersign_core::ids::{CaName, IssuerKeyId};
use countersign_store::CrlRow;
use der::Decode as _;
use x509_cert::crl::CertificateList;

use super::house::{DAY, HOUR, House, refused};

const PASSPHRASE: &str = "a root sleeps well in a drawer";
const YEAR: Duration = Duration::from_secs(365 * 86_400);

fn ca(name: &str) -> CaName {
    name.parse().unwrap()
}

impl House {
    async fn take_root_away(&self) -> RootFile {
        let text = self.authority.root_file(&ca("root"), PASSPHRASE).await.unwrap();
        let file = RootFile::open(&text, PASSPHRASE).unwrap();
        self.authority.take_offline(&ca("root"), &file, YEAR).await.unwrap();
        file
    }

    fn root_id(&self) -> IssuerKeyId {
        self.authority.cas().into_iter().find(|one| one.name == ca("root")).unwrap().key_id
    }

    async fn root_crl(&self) -> CrlRow {
        let list = CrlName { issuer: self.root_id(), scope: CrlScope::Whole };
        self.authority.crl(list).await.unwrap().unwrap()
    }

    async fn faults(&self) -> Vec<CrlFault> {
        self.authority.crls_due().await.unwrap().into_iter().map(|due| due.fault).collect()
    }

    /// Lets the service CA be replaced and retired, which revokes its certificate.
    async fn retire_device_ca(&self) {
        let own = self.own();
        self.authority.activate_rotation(&own, &ca("device"), Default::default(), None).await.unwrap();
        self.authority.retire_rotated(&own, &ca("device"), Stragglers::Kept).await.unwrap();
    }
}

fn revoked(der: &[u8]) -> usize {
    let list: CertificateList = CertificateList::from_der(der).unwrap();
    list.tbs_cert_list.revoked_certificates.map_or(0, |entries| entries.len())
}

#[tokio::test]
async fn its_list_lasts_and_its_last_third_is_told_of() {
    let house = House::new().await;
    let before = house.root_crl().await;
    house.take_root_away().await;
    let ahead = house.root_crl().await;
    assert!(ahead.number > before.number);
    assert_eq!(ahead.next_update, house.now() + YEAR);
    for (passes, expected) in
        [(DAY * 240, vec![]), (DAY * 4, vec![CrlFault::EndsSoon]), (DAY * 122, vec![CrlFault::Over])]
    {
        house.pass(passes);
        // Nothing can be signed, and that is no failure.
        house.authority.refresh_crls().await.unwrap();
        assert_eq!(house.root_crl().await.number, ahead.number);
        assert_eq!(house.faults().await, expected, "{}", house.now());
    }
}

#[tokio::test]
async fn the_list_of_one_shard_is_told_of_when_all_others_last() {
    let house = House::new().await.published().await;
    let file = house.take_root_away().await;
    house.pass(DAY * 200);
    let request = house.authority.crl_request(&ca("root")).await.unwrap();
    let shard = request.lists.iter().position(|list| list.distribution_point.is_some()).unwrap();
    let mut lists = request.sign(file.issuer(), house.now(), YEAR).unwrap();
    let forgotten = lists.remove(shard);
    for list in &lists {
        house.authority.take_in_crl(list).await.unwrap();
    }
    assert_eq!(house.faults().await, []);
    house.pass(DAY * 50);
    assert_eq!(house.faults().await, [CrlFault::EndsSoon]);
    house.pass(DAY * 150);
    let due = house.authority.crls_due().await.unwrap();
    assert_eq!((due[0].fault, due[0].until), (CrlFault::Over, house.now() - DAY * 35));
    house.authority.take_in_crl(&forgotten).await.unwrap();
    assert_eq!(house.faults().await, []);
}

#[tokio::test]
async fn a_restart_needs_no_root_and_what_needs_it_says_so() {
    let house = House::new().await;
    let file = house.take_root_away().await;
    let house = house.restarted(IssuerMode::Embedded).await;
    let device = house.device("pump").await;
    house.in_state(device.id, CertificateState::Active).await;
    let rotated = house.authority.prepare_rotation(&house.own(), &ca("device"), None).await;
    assert!(refused(rotated).to_string().contains("cannot use the CA"));
    let again = house.authority.root_file(&ca("root"), PASSPHRASE).await;
    assert!(matches!(refused(again), OfflineError::Refused(..)));

    house.authority.bring_back(&file).await.unwrap();
    assert!(house.authority.prepare_rotation(&house.own(), &ca("device"), None).await.is_ok());
    assert!(matches!(refused(house.authority.bring_back(&file).await), OfflineError::Refused(..)));
}

#[tokio::test]
async fn another_key_takes_nothing_away() {
    let (house, other) = (House::new().await, House::new().await);
    let text = other.authority.root_file(&ca("root"), PASSPHRASE).await.unwrap();
    let file = RootFile::open(&text, PASSPHRASE).unwrap();
    let taken = house.authority.take_offline(&ca("root"), &file, YEAR).await;
    assert!(matches!(refused(taken), OfflineError::OtherRoot(_)));
    assert!(matches!(refused(house.authority.bring_back(&file).await), OfflineError::OtherRoot(_)));
    let device = house.authority.root_file(&ca("device"), PASSPHRASE).await;
    assert!(matches!(refused(device), OfflineError::Refused(..)));
    assert!(house.authority.prepare_rotation(&house.own(), &ca("device"), None).await.is_ok());
}

#[tokio::test]
async fn a_list_that_lacks_something_is_replaced_by_one_from_where_the_key_is() {
    let house = House::new().await;
    house.authority.prepare_rotation(&house.own(), &ca("device"), None).await.unwrap();
    let file = house.take_root_away().await;
    house.pass(HOUR);
    house.retire_device_ca().await;
    assert_eq!(house.faults().await, [CrlFault::Lacks]);
    assert_eq!(revoked(&house.root_crl().await.der), 0);

    let asked = house.authority.crl_request(&ca("root")).await.unwrap();
    // It is carried as text.
    let request: CrlRequest = serde_json::from_str(&serde_json::to_string(&asked).unwrap()).unwrap();
    assert_eq!(request, asked);
    let lists = request.sign(file.issuer(), house.now(), YEAR).unwrap();
    let taken = house.authority.take_in_crl(&lists[0]).await.unwrap();
    assert_eq!((taken.ca, taken.number), (ca("root"), request.highest_number()));
    assert_eq!(revoked(&house.root_crl().await.der), 1);
    assert_eq!(house.faults().await, []);
    // Once more changes nothing; an older one does not come back.
    house.authority.take_in_crl(&lists[0]).await.unwrap();
    let newer = house.authority.crl_request(&ca("root")).await.unwrap();
    let newer = newer.sign(file.issuer(), house.now(), YEAR).unwrap();
    house.authority.take_in_crl(&newer[0]).await.unwrap();
    let older = house.authority.take_in_crl(&lists[0]).await;
    assert!(matches!(refused(older), CrlCeremonyError::Unwanted(_, "a later one is on record")));
    assert_eq!(house.root_crl().await.der, newer[0]);
}

#[tokio::test]
async fn a_list_that_was_not_asked_for_is_not_published() {
    let house = House::new().await;
    let here = house.authority.crl_request(&ca("root")).await;
    assert!(matches!(refused(here), CrlCeremonyError::Here(_)));
    let file = house.take_root_away().await;
    let published = house.root_crl().await;
    let request = house.authority.crl_request(&ca("root")).await.unwrap();
    let sign = |request: &CrlRequest| request.sign(file.issuer(), house.now(), YEAR).unwrap().remove(0);

    let mut invented = request.clone();
    invented.lists[0].number += 100;
    let refusal = refused(house.authority.take_in_crl(&sign(&invented)).await);
    assert!(refusal.to_string().contains("was not taken here"), "{refusal}");
    let mut elsewhere = request.clone();
    elsewhere.lists[0].distribution_point = Some("http://evil.example.com/x.crl".to_owned());
    let refusal = refused(house.authority.take_in_crl(&sign(&elsewhere)).await);
    assert!(refusal.to_string().contains("no list of ours"), "{refusal}");
    let over = request.sign(file.issuer(), house.now() - DAY * 3, DAY).unwrap().remove(0);
    assert!(refused(house.authority.take_in_crl(&over).await).to_string().contains("it is over"));
    let early = request.sign(file.issuer(), house.now() + DAY * 3, DAY).unwrap().remove(0);
    assert!(refused(house.authority.take_in_crl(&early).await).to_string().contains("in the future"));

    let other = House::new().await;
    let stranger = other.take_root_away().await;
    let theirs = other.authority.crl_request(&ca("root")).await.unwrap();
    assert!(request.sign(stranger.issuer(), house.now(), YEAR).is_err(), "for another root");
    let theirs = theirs.sign(stranger.issuer(), house.now(), YEAR).unwrap().remove(0);
    let refusal = refused(house.authority.take_in_crl(&theirs).await);
    assert!(matches!(refusal, CrlCeremonyError::NobodysList), "{refusal:?}");
    assert_eq!(house.root_crl().await.der, published.der);
}
