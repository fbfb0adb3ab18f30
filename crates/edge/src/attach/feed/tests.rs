use super::*;
use countersign_core::ids::{CertificateRef, Tenant};
use countersign_core::settings::Enforcement;
use countersign_core::snapshot::changes::TrustChanges;
use countersign_core::snapshot::{TenantService, TenantTrust};
use countersign_testkit::{KeyKind, TestKey};

const HOUR: Duration = Duration::from_secs(3600);

fn now() -> Timestamp {
    Timestamp::from_secs(1_750_000_000)
}

fn message(base: Option<u64>, position: u64, epoch: u64) -> TrustMessage {
    TrustMessage {
        edge: "berlin".parse().unwrap(),
        authority: AuthorityId::from(uuid::Uuid::from_u128(1)),
        base,
        position,
        version: SnapshotVersion { generation: 1, epoch },
        made_at: now(),
        trust_domain: TrustDomain::default(),
        changes: TrustChanges::default(),
    }
}

fn denying(number: u8) -> TrustChanges {
    let reference =
        CertificateRef { issuer: [1; 32].into(), serial: format!("{number:02x}").parse().unwrap() };
    TrustChanges { denied: [(reference, Some(()))].into(), ..TrustChanges::default() }
}

struct Authority(TestKey);

impl Authority {
    fn new() -> Self {
        Self(TestKey::generate(KeyKind::P256))
    }

    fn sign(&self, message: &TrustMessage) -> SignedTrust {
        let message = message.encode();
        let signature = self.0.sign_p256(&[SIGNED_PREFIX, &message].concat());
        SignedTrust { message, signature }
    }

    fn edge(&self, when_stale: Staleness) -> Feed {
        let key = TrustKey::from_spki_der(self.0.spki_der()).unwrap();
        let seen = SnapshotVersion { generation: 1, epoch: 5 };
        let who = (key, "berlin".parse().unwrap(), TrustDomain::default());
        Feed::new(who, seen, (HOUR, when_stale), now())
    }
}

#[test]
fn what_follows_is_taken_and_the_doors_go_by_it() {
    let authority = Authority::new();
    let mut feed = authority.edge(Staleness::Keep);
    let snapshots = feed.snapshots();
    let whole = feed.take(&authority.sign(&message(None, 7, 5)), now()).unwrap();
    assert!(whole.is_whole && whole.is_news);
    let next = TrustMessage { changes: denying(1), ..message(Some(7), 8, 6) };
    assert!(feed.take(&authority.sign(&next), now()).unwrap().is_news);
    assert_eq!(snapshots.borrow().denied.len(), 1);
    assert_eq!(snapshots.borrow().version.epoch, 6);
    let still = feed.take(&authority.sign(&message(Some(8), 8, 6)), now()).unwrap();
    assert!(!still.is_news && !still.is_whole);
    assert_eq!(snapshots.borrow().denied.len(), 1);
}

#[test]
fn fails_closed_on_what_is_forged_tampered_with_or_somebody_elses() {
    let (authority, forger) = (Authority::new(), Authority::new());
    let mut feed = authority.edge(Staleness::Keep);
    let good = message(None, 7, 5);
    assert!(matches!(feed.take(&forger.sign(&good), now()), Err(FeedError::Signature(_))));
    let mut tampered = authority.sign(&good);
    *tampered.message.last_mut().unwrap() ^= 1;
    assert!(matches!(feed.take(&tampered, now()), Err(FeedError::Signature(_))));
    let other = TrustMessage { edge: "paris".parse().unwrap(), ..good.clone() };
    assert!(matches!(feed.take(&authority.sign(&other), now()), Err(FeedError::OtherEdge(_))));
    let other = TrustMessage { trust_domain: "other.internal".parse().unwrap(), ..good };
    assert!(matches!(feed.take(&authority.sign(&other), now()), Err(FeedError::OtherInstallation(_))));
    assert_eq!(feed.told(), None);
}

#[test]
fn fails_closed_on_what_is_older_played_again_or_out_of_order() {
    let authority = Authority::new();
    let mut feed = authority.edge(Staleness::Keep);
    let older = feed.take(&authority.sign(&message(None, 1, 4)), now());
    assert!(matches!(older, Err(FeedError::Older { .. })));
    assert!(matches!(feed.take(&authority.sign(&message(Some(6), 7, 6)), now()), Err(FeedError::Gap)));
    feed.take(&authority.sign(&message(None, 7, 5)), now()).unwrap();
    let next = authority.sign(&TrustMessage { changes: denying(1), ..message(Some(7), 8, 6) });
    feed.take(&next, now()).unwrap();
    assert!(matches!(feed.take(&next, now()), Err(FeedError::Gap)), "played again");
    assert!(matches!(feed.take(&authority.sign(&message(Some(9), 10, 7)), now()), Err(FeedError::Gap)));
    let other_run =
        TrustMessage { authority: AuthorityId::from(uuid::Uuid::from_u128(2)), ..message(Some(8), 9, 7) };
    assert!(matches!(feed.take(&authority.sign(&other_run), now()), Err(FeedError::Gap)));
    let loud = TrustMessage { changes: denying(2), ..message(Some(8), 8, 6) };
    assert!(matches!(feed.take(&authority.sign(&loud), now()), Err(FeedError::Gap)));
    let restored =
        TrustMessage { version: SnapshotVersion { generation: 2, epoch: 1 }, ..message(None, 1, 0) };
    feed.take(&authority.sign(&restored), now()).unwrap();
}

#[test]
fn stale_trust_is_kept_or_admits_nobody_as_it_was_asked_for() {
    let authority = Authority::new();
    let trust = TenantTrust { enforcement: Enforcement::Enforce, service: TenantService::Running };
    let tenants = [("acme".parse::<Tenant>().unwrap(), Some(trust))].into();
    let changes = TrustChanges { tenants, ..TrustChanges::default() };
    let whole = TrustMessage { changes, ..message(None, 7, 5) };
    for (when_stale, left) in [(Staleness::Keep, 1), (Staleness::Refuse, 0)] {
        let mut feed = authority.edge(when_stale);
        let snapshots = feed.snapshots();
        feed.take(&authority.sign(&whole), now()).unwrap();
        feed.look(now() + HOUR);
        assert_eq!(snapshots.borrow().tenants.len(), 1, "not stale yet");
        let late = now() + HOUR + Duration::from_secs(1);
        feed.look(late);
        assert_eq!(snapshots.borrow().tenants.len(), left);
        let still = TrustMessage { made_at: late, ..message(Some(7), 7, 5) };
        feed.take(&authority.sign(&still), late).unwrap();
        assert_eq!(snapshots.borrow().tenants.len(), 1, "fresh again");
    }
}
