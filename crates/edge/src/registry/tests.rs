use super::*;
use countersign_core::identity::{Identity, TrustDomain};
use countersign_core::ids::{IssuerKeyId, SpkiSha256};
use countersign_core::settings::Enforcement;
use countersign_core::snapshot::{Bar, TenantService, TenantTrust, TrustedIssuer};

const NOON: Timestamp = Timestamp::from_secs(100);

fn claim(device: &str, serial: &str) -> CertificateClaim {
    let uri = format!("spiffe://countersign.internal/tenant/acme/device/{device}");
    CertificateClaim {
        reference: CertificateRef { issuer: IssuerKeyId::from([1; 32]), serial: serial.parse().unwrap() },
        identity: Identity::from_uri(&uri).unwrap(),
        spki: SpkiSha256::from([2; 32]),
        not_before: Timestamp::from_secs(0),
        not_after: Timestamp::from_secs(1000),
    }
}

fn device(name: &str) -> DeviceKey {
    ("acme".parse().unwrap(), name.parse().unwrap())
}

fn snapshot() -> TrustSnapshot {
    let mut snapshot = TrustSnapshot::empty(TrustDomain::default(), NOON);
    snapshot.device_issuers.push_back(TrustedIssuer {
        key_id: IssuerKeyId::from([1; 32]),
        certificate: Arc::from([]),
        tenants: None,
    });
    let trust = TenantTrust { enforcement: Enforcement::Enforce, service: TenantService::Running };
    snapshot.tenants.insert("acme".parse().unwrap(), trust);
    snapshot
}

fn open(registry: &Arc<Registry>, snapshot: &TrustSnapshot, claim: &CertificateClaim) -> Arc<Registration> {
    registry.register(Some(claim), |claim| snapshot.standing(claim, NOON))
}

#[test]
fn a_fall_cuts_the_connections_of_that_device_alone() {
    let (registry, mut snapshot) = (Arc::new(Registry::new()), snapshot());
    let victim =
        [open(&registry, &snapshot, &claim("d1", "01")), open(&registry, &snapshot, &claim("d1", "02"))];
    let bystander = open(&registry, &snapshot, &claim("d2", "03"));
    assert_eq!(registry.count(&device("d1")), 2);
    snapshot.barred.insert(device("d1"), Bar::Quarantined);
    assert_eq!(registry.walk(&snapshot, NOON).cut.len(), 2);
    assert!(victim.iter().all(|live| live.is_told(Ending::Kill)));
    assert!(!bystander.is_told(Ending::Retire));
    drop(victim);
    assert_eq!(registry.count(&device("d1")), 0);
    assert_eq!(registry.count(&device("d2")), 1);
}

#[test]
fn a_superseded_certificates_connections_retire_and_then_end_with_the_overlap() {
    let (registry, mut snapshot) = (Arc::new(Registry::new()), snapshot());
    let live = open(&registry, &snapshot, &claim("d1", "01"));
    snapshot.superseded.insert(claim("d1", "01").reference, Timestamp::from_secs(200));
    assert!(registry.walk(&snapshot, NOON).cut.is_empty());
    assert!(live.is_told(Ending::Retire) && !live.is_told(Ending::Kill));
    assert!(registry.sweep(&snapshot, Timestamp::from_secs(200)).cut.is_empty());
    assert_eq!(registry.sweep(&snapshot, Timestamp::from_secs(201)).cut.len(), 1);
}

#[test]
fn expiry_alone_cuts_but_not_what_was_opened_expired() {
    let (registry, snapshot) = (Arc::new(Registry::new()), snapshot());
    let late = Timestamp::from_secs(1001);
    let live = open(&registry, &snapshot, &claim("d1", "01"));
    let renewing = registry.register(Some(&claim("d1", "01")), |claim| snapshot.standing(claim, late));
    assert_eq!(registry.sweep(&snapshot, late).cut.len(), 1);
    assert!(live.is_told(Ending::Kill) && !renewing.is_told(Ending::Retire));
}

#[test]
fn a_connection_opened_in_quarantine_falls_with_the_next_quarantine() {
    let (registry, good) = (Arc::new(Registry::new()), snapshot());
    let mut barred = good.clone();
    barred.barred.insert(device("d1"), Bar::Quarantined);
    let live = open(&registry, &barred, &claim("d1", "01"));
    assert!(registry.walk(&barred, NOON).cut.is_empty());
    assert!(registry.walk(&good, NOON).cut.is_empty());
    assert_eq!(registry.walk(&barred, NOON).cut.len(), 1);
    assert!(live.is_told(Ending::Kill));
}

#[test]
fn an_answer_that_brings_the_fall_is_let_out_first() {
    let (registry, mut snapshot) = (Arc::new(Registry::new()), snapshot());
    let live = open(&registry, &snapshot, &claim("d1", "01"));
    let renewal = Live::request(&live, RequestKind::Deciding);
    snapshot.denied.insert(claim("d1", "01").reference);
    let fallen = registry.walk(&snapshot, NOON);
    assert_eq!((fallen.cut.len(), fallen.answering.len()), (0, 1));
    assert!(live.is_told(Ending::Retire) && !live.is_told(Ending::Kill));
    drop(renewal);
    assert!(!live.is_busy());
}

#[tokio::test]
async fn a_door_that_drains_retires_late_comers_too() {
    let (registry, snapshot) = (Arc::new(Registry::new()), snapshot());
    registry.retire_all();
    let live = open(&registry, &snapshot, &claim("d1", "01"));
    live.told(Ending::Retire).await;
    let anonymous = registry.register(None, |_claim| Standing::Foreign);
    drop((live, anonymous));
    registry.wait_until_empty().await;
}
