//! A CA is replaced step by step: what each step does, what refuses it, and that it can be taken back.

use std::time::Duration;

use countersign_authority::door_certificate::DoorNames;
use countersign_authority::presence::Renewal;
use countersign_authority::publish::Applied;
use countersign_authority::rotation::adoption::{Gate, Measure, RotationStatus};
use countersign_authority::rotation::refused::{Refused, RotationError};
use countersign_authority::rotation::{Canary, RotationStep, Stragglers};
use countersign_authority::{Own, View};
use countersign_core::audit::AuditEvent;
use countersign_core::certificate::CertificateState;
use countersign_core::crl_scope::CrlScope;
use countersign_core::ids::{CaName, IssuerKeyId, TrustBundleHash};
use countersign_core::snapshot::{SnapshotVersion, Standing};
use countersign_store::{AuditFilter, ChainScope, CrlName, IssuerState, Role};
use tokio::sync::watch;

use super::house::{DAY, Device, HOUR, House, MINUTE, SECOND, address, fresh_key, refused};

const AT_ONCE: Option<Duration> = Some(Duration::ZERO);

fn ca(name: &str) -> CaName {
    name.parse().unwrap()
}

fn state(house: &House, name: &str) -> IssuerState {
    house.authority.cas().into_iter().find(|one| one.name == ca(name)).unwrap().state
}

fn key_of(house: &House, name: &str) -> IssuerKeyId {
    house.authority.cas().into_iter().find(|one| one.name == ca(name)).unwrap().key_id
}

async fn prepare(house: &House, name: &str) -> CaName {
    house.authority.prepare_rotation(&house.own(), &ca(name), None).await.unwrap().0
}

async fn choose(house: &House, canary: Canary, renewal: Option<Duration>) {
    house.authority.choose_canary(&house.own(), &ca("device"), canary, renewal).await.unwrap();
}

async fn try_activate(house: &House, name: &str, gate: Gate) -> Result<Applied, RotationError> {
    house.authority.activate_rotation(&house.own(), &ca(name), gate, AT_ONCE).await
}

async fn activate(house: &House, name: &str) {
    try_activate(house, name, Gate::default()).await.unwrap();
}

async fn try_retire(house: &House, name: &str) -> Result<Applied, RotationError> {
    house.authority.retire_rotated(&house.own(), &ca(name), Stragglers::Kept).await
}

async fn roll_back(house: &House, name: &str) -> Result<Applied, RotationError> {
    house.authority.roll_back_rotation(&house.own(), &ca(name), AT_ONCE).await
}

async fn status(house: &House, name: &str) -> RotationStatus {
    house.authority.rotation_status(&house.view(), &ca(name)).await.unwrap()
}

#[track_caller]
fn why(result: Result<Applied, RotationError>) -> Refused {
    let error = refused(result);
    let RotationError::Refused(why) = error else { panic!("{error:?}") };
    why
}

/// Who signed what a device uses now.
async fn issuer(house: &House, device: &Device) -> IssuerKeyId {
    house.in_state(device.id, CertificateState::Active).await.reference.issuer
}

async fn renewal(house: &House, device: &Device) -> Renewal {
    let caller = house.caller(device).await;
    let heard = house.authority.heartbeat(&caller, None, address()).await.unwrap();
    house.authority.flush_presence().await.unwrap();
    heard.renewal
}

/// The steps of the platform's chain, oldest first.
async fn audited(house: &House) -> Vec<AuditEvent> {
    let filter = AuditFilter { scope: ChainScope::Platform, ..AuditFilter::default() };
    let entries = house.audit(filter).await.into_iter().rev().map(|record| record.event);
    entries.filter(|event| event.as_str().starts_with("ca.rotation_")).collect()
}

#[tokio::test]
async fn a_fleet_moves_to_a_new_device_ca_and_the_old_one_is_let_go() {
    let house = House::new().await;
    let old = key_of(&house, "device");
    let first = house.device("first").await;
    let second = house.device("second").await;

    assert_eq!(prepare(&house, "device").await, ca("device-2"));
    let new = key_of(&house, "device-2");
    assert_eq!(
        (state(&house, "device"), state(&house, "device-2")),
        (IssuerState::Active, IssuerState::Prepared)
    );
    let trusted: Vec<_> = house.authority.snapshot().device_issuers.iter().map(|one| one.key_id).collect();
    assert!(trusted.contains(&old) && trusted.contains(&new), "side by side");
    let third = house.device("third").await;
    assert_eq!(issuer(&house, &third).await, old, "it signs nothing yet");

    activate(&house, "device").await;
    assert_eq!(
        (state(&house, "device"), state(&house, "device-2")),
        (IssuerState::Retiring, IssuerState::Active)
    );
    let fourth = house.device("fourth").await;
    assert_eq!(issuer(&house, &fourth).await, new);
    assert_eq!(renewal(&house, &fourth).await, Renewal::NotDue, "it is where it belongs");
    for device in [first, second, third] {
        let row = house.in_state(device.id, CertificateState::Active).await;
        assert_eq!(house.standing(&row).await, Standing::Valid);
        assert_eq!(renewal(&house, &device).await, Renewal::Due);
        let refusal = why(try_retire(&house, "device").await);
        assert!(matches!(refusal, Refused::InUse(_)), "{refusal}");
        house.pass(MINUTE);
        let device = house.renewed(device).await;
        assert_eq!(issuer(&house, &device).await, new);
        assert_eq!(renewal(&house, &device).await, Renewal::NotDue);
    }

    // Replaced ones count until their overlap is over: sessions may be open.
    let at_old = status(&house, "device").await.old_in_use.unwrap();
    assert_eq!((at_old.certificates.active, at_old.certificates.superseded), (0, 3));
    assert!(why(try_retire(&house, "device").await).to_string().contains("3 replaced"));
    house.pass(DAY + HOUR);
    house.authority.sweep().await.unwrap();
    try_retire(&house, "device").await.unwrap();
    assert_eq!(state(&house, "device"), IssuerState::Retired);
    let trusted: Vec<_> = house.authority.snapshot().device_issuers.iter().map(|one| one.key_id).collect();
    assert_eq!(trusted, [new]);
    assert!(!house.authority.trusted_ca_certificates().contains(&pem(&house, "device")));
    let over = status(&house, "device-2").await;
    assert_eq!((over.step, over.old_in_use), (RotationStep::Retired, None));
    assert_eq!(
        audited(&house).await,
        [AuditEvent::CaRotationPrepared, AuditEvent::CaRotationActivated, AuditEvent::CaRotationRetired]
    );
    // And on.
    assert_eq!(prepare(&house, "device-2").await, ca("device-3"));
}

fn pem(house: &House, name: &str) -> String {
    house.authority.ca_chain(&ca(name)).unwrap().remove(0).certificate_pem()
}

#[tokio::test]
async fn a_new_ca_is_like_the_old_one_with_another_name_and_key() {
    let house = House::new().await;
    let new = prepare(&house, "device").await;
    let facts = |name: &CaName| {
        let chain = house.authority.ca_chain(name).unwrap();
        assert_eq!(chain[1].name, ca("root"));
        countersign_ca::CertificateFacts::of(&chain[0].certificate).unwrap()
    };
    let (old, new) = (facts(&ca("device")), facts(&new));
    assert_eq!(new.subject, format!("{} 2", old.subject));
    assert_eq!((new.path_length, &new.purposes), (old.path_length, &old.purposes));
    assert_eq!((new.not_after, new.key.algorithm()), (old.not_after, old.key.algorithm()));
    assert_ne!(new.key.sha256(), old.key.sha256());
    let open = house.read(|r| Box::pin(async move { r.unfinished_intents().await })).await;
    assert!(open.is_empty());
}

#[tokio::test]
async fn the_canary_goes_first_and_must_have_moved() {
    let house = House::new().await;
    let (quiet, eager) = (house.device("quiet").await, house.device("eager").await);
    let (old, new) = (key_of(&house, "device"), prepare(&house, "device").await);
    let new = key_of(&house, new.as_str());
    assert!(matches!(why_of_canary(&house, Canary::Devices(1)).await, Refused::NobodyToGoFirst));
    house.heartbeat(&quiet).await;
    house.pass(SECOND);
    house.heartbeat(&eager).await;

    choose(&house, Canary::Devices(1), AT_ONCE).await;
    assert_eq!(renewal(&house, &quiet).await, Renewal::NotDue);
    assert_eq!(renewal(&house, &eager).await, Renewal::Due, "the one that was seen last");
    let refusal = why(try_activate(&house, "device", Gate::default()).await);
    assert!(refusal.to_string().contains("0 of 1 devices of the canary"), "{refusal}");
    let (eager, quiet) = (house.renewed(eager).await, house.renewed(quiet).await);
    assert_eq!((issuer(&house, &eager).await, issuer(&house, &quiet).await), (new, old));
    let measured = status(&house, "device").await;
    assert_eq!((measured.step, measured.canary), (RotationStep::Canary, Some(Canary::Devices(1))));
    assert_eq!(measured.adoption.devices.measure, Measure::CanaryCertificate);
    assert_eq!((measured.adoption.devices.adopted, measured.missing.len()), (1, 0));

    // Somebody else goes first from now on; newcomers too.
    choose(&house, Canary::Tenant("default".parse().unwrap()), None).await;
    assert_eq!(issuer(&house, &house.device("newcomer").await).await, new);
    let half = Gate { percent: 50, ..Gate::default() };
    assert!(try_activate(&house, "device", Gate::default()).await.is_err(), "one of two");
    try_activate(&house, "device", half).await.unwrap();
    assert_eq!(renewal(&house, &quiet).await, Renewal::Due);
}

async fn why_of_canary(house: &House, canary: Canary) -> Refused {
    why(house.authority.choose_canary(&house.own(), &ca("device"), canary, None).await)
}

#[tokio::test]
async fn nothing_goes_on_before_every_edge_trusts_the_new_ca() {
    let house = House::new().await;
    let (applied, receiver) = watch::channel(SnapshotVersion::default());
    house.authority.attach_edge(receiver);
    prepare(&house, "device").await;
    let percent = || Canary::percent(5).unwrap();
    for refusal in
        [why_of_canary(&house, percent()).await, why(try_activate(&house, "device", Gate::default()).await)]
    {
        assert!(matches!(refusal, Refused::NotAdopted(_)), "{refusal}");
        assert!(refusal.to_string().contains("0 of 1 edges enforce epoch"), "{refusal}");
    }
    let lenient = Gate { percent: 0, ..Gate::default() };
    assert!(try_activate(&house, "device", lenient).await.is_err(), "edges are all or nothing");
    applied.send_replace(house.authority.snapshot().version);
    choose(&house, percent(), None).await;
    roll_back(&house, "device").await.unwrap();
    activate(&house, "device").await;
}

#[tokio::test]
async fn what_danger_skips_is_written_down() {
    let house = House::new().await;
    let device = house.device("pump").await;
    let (_applied, receiver) = watch::channel(SnapshotVersion::default());
    house.authority.attach_edge(receiver);
    prepare(&house, "device").await;
    let danger = Gate { stragglers: Stragglers::DangerStranded, ..Gate::default() };
    try_activate(&house, "device", danger).await.unwrap();
    let stranded = Stragglers::DangerStranded;
    house.authority.retire_rotated(&house.own(), &ca("device"), stranded).await.unwrap();
    let row = house.in_state(device.id, CertificateState::Active).await;
    assert_eq!(house.standing(&row).await, Standing::Foreign, "refused from now on");
    let told = async |event| {
        let scope = ChainScope::Platform;
        let filter = AuditFilter { scope, event: Some(event), ..AuditFilter::default() };
        house.audit(filter).await.remove(0).details
    };
    let activated = told(AuditEvent::CaRotationActivated).await;
    assert_eq!(activated["dangerSkippedAdoption"], "true");
    let retired = told(AuditEvent::CaRotationRetired).await;
    assert!(retired["dangerStranded"].contains("default/pump"), "{retired:?}");
}

#[tokio::test]
async fn every_step_can_be_taken_back() {
    let house = House::new().await;
    let (old, name) = (key_of(&house, "device"), prepare(&house, "device").await);
    let new = key_of(&house, name.as_str());
    choose(&house, Canary::Tenant("default".parse().unwrap()), AT_ONCE).await;
    let device = house.device("pump").await;
    assert_eq!(issuer(&house, &device).await, new);

    roll_back(&house, "device").await.unwrap();
    assert_eq!(status(&house, "device").await.step, RotationStep::Prepared);
    assert_eq!(renewal(&house, &device).await, Renewal::Due, "it is to come back");
    let refusal = why(roll_back(&house, "device").await);
    assert!(refusal.to_string().contains("the CA device-2 is still needed"), "{refusal}");

    activate(&house, "device").await;
    assert_eq!(renewal(&house, &device).await, Renewal::NotDue, "it was right all the time");
    roll_back(&house, "device-2").await.unwrap();
    assert_eq!(
        (state(&house, "device"), state(&house, "device-2")),
        (IssuerState::Active, IssuerState::Prepared)
    );
    house.pass(MINUTE);
    let device = house.renewed(device).await;
    assert_eq!(issuer(&house, &device).await, old);
    house.pass(DAY + HOUR);
    house.authority.sweep().await.unwrap();
    roll_back(&house, "device").await.unwrap();
    assert_eq!(state(&house, "device-2"), IssuerState::Retired);
    let over = why(roll_back(&house, "device").await);
    assert!(matches!(over, Refused::Step(_)), "{over}");
    assert_eq!(prepare(&house, "device").await, ca("device-3"), "a name is never used again");
}

#[tokio::test]
async fn a_retired_ca_does_not_come_back_and_signs_nothing() {
    let house = House::new().await;
    let old = key_of(&house, "device");
    prepare(&house, "device").await;
    activate(&house, "device").await;
    try_retire(&house, "device").await.unwrap();
    assert!(matches!(why(roll_back(&house, "device").await), Refused::Step(_)));
    let retired =
        house.read(move |r| Box::pin(async move { r.retired_among([old].into_iter()).await })).await;
    assert_eq!(retired, Some(old));
    // Its certificate is revoked by the CA above.
    let root = key_of(&house, "root");
    let (now, list) = (house.now(), CrlName { issuer: root, scope: CrlScope::Whole });
    let entries = house.read(move |r| Box::pin(async move { r.crl_entries(list, now).await })).await;
    assert_eq!(entries.len(), 1);
    let refusal = refused(house.authority.prepare_rotation(&house.own(), &ca("device"), None).await);
    assert!(matches!(refusal, RotationError::Refused(Refused::NotPossible(..))), "{refusal}");
}

#[tokio::test]
async fn a_certificate_that_is_being_signed_keeps_its_ca() {
    let house = House::new().await;
    let old = key_of(&house, "device");
    prepare(&house, "device").await;
    activate(&house, "device").await;
    let now = house.now();
    let intent = countersign_store::IntentRow {
        reference: countersign_core::ids::CertificateRef { issuer: old, serial: "0a".parse().unwrap() },
        device: None,
        profile: "device".to_owned(),
        at: now,
        expires_at: now + DAY,
    };
    house.write(move |w| Box::pin(async move { w.insert_intent(&intent).await })).await;
    assert!(
        why(try_retire(&house, "device").await).to_string().contains("1 certificates that are being signed")
    );
}

#[tokio::test]
async fn the_service_ca_waits_for_devices_that_know_the_root_and_for_doors() {
    let house = House::new().await;
    let names = DoorNames { dns: vec!["door.example".into()], ips: Vec::new() };
    let (applied, receiver) = watch::channel(SnapshotVersion::default());
    house.authority.attach_edge(receiver);
    let door = house.authority.issue_door_certificate(&names).await.unwrap();
    house.authority.doors_show(door.issuer);
    let device = house.device("pump").await;
    house.heartbeat(&device).await;
    let root = house.authority.root_pem();
    let new = prepare(&house, "service").await;
    applied.send_replace(house.authority.snapshot().version);
    let canary = house.authority.choose_canary(&house.own(), &new, Canary::percent(5).unwrap(), None).await;
    assert!(matches!(why(canary), Refused::NoCanary(_)));
    let refusal = why(try_activate(&house, "service", Gate::default()).await);
    assert!(refusal.to_string().contains("0 of 1 devices seen in the last 30 days"), "{refusal}");
    let caller = house.caller(&device).await;
    house.authority.note_report(&caller, None, Some(TrustBundleHash::of(&root))).await.unwrap();
    activate(&house, "service").await;
    assert_eq!(house.authority.root_pem(), root, "devices pin what they pinned");

    assert!(!house.authority.signs_doors(door.issuer));
    assert!(why(try_retire(&house, "service").await).to_string().contains("1 doors"));
    let door = house.authority.issue_door_certificate(&names).await.unwrap();
    house.authority.doors_show(door.issuer);
    assert!(house.authority.signs_doors(door.issuer));
    applied.send_replace(house.authority.snapshot().version);
    try_retire(&house, "service").await.unwrap();
}

#[tokio::test]
async fn who_is_silent_for_long_is_not_waited_for() {
    let house = House::new().await;
    let device = house.device("pump").await;
    house.heartbeat(&device).await;
    prepare(&house, "service").await;
    assert!(try_activate(&house, "service", Gate::default()).await.is_err());
    house.pass(DAY * 31);
    activate(&house, "service").await;
}

#[tokio::test]
async fn what_cannot_be_rotated_says_why() {
    let house = House::new().await;
    let prepared =
        async |name: &str| refused(house.authority.prepare_rotation(&house.own(), &ca(name), None).await);
    let root = prepared("root").await;
    assert!(matches!(root, RotationError::Refused(Refused::NotPossible(..))), "{root}");
    assert!(matches!(prepared("nobody").await, RotationError::Ca(_)));
    let none = house.authority.rotation_status(&house.view(), &ca("device")).await;
    assert!(matches!(none, Err(RotationError::NotRotating(_))));
    prepare(&house, "device").await;
    for name in ["device", "device-2"] {
        let twice = prepared(name).await;
        assert!(matches!(twice, RotationError::Refused(Refused::GoesOn(..))), "{twice}");
    }
    assert!(matches!(why(try_retire(&house, "device").await), Refused::Step(_)), "not before it is active");
}

#[tokio::test]
async fn whoever_is_bound_to_a_tenant_sees_and_changes_nothing() {
    let house = House::new().await;
    prepare(&house, "device").await;
    let tenant = house.authority.find_tenant(&house.view(), "default").await.unwrap().id;
    let bound = house.person(Role::Owner, Some(tenant)).await;
    let (own, view) = (bound.authorize::<Own>().unwrap(), bound.authorize::<View>().unwrap());
    let name = ca("device");
    let authority = &house.authority;
    let refusals = [
        refused(authority.prepare_rotation(&own, &name, None).await.map(drop)),
        refused(authority.choose_canary(&own, &name, Canary::Percent(1), None).await.map(drop)),
        refused(authority.activate_rotation(&own, &name, Gate::default(), None).await.map(drop)),
        refused(authority.retire_rotated(&own, &name, Stragglers::Kept).await.map(drop)),
        refused(authority.roll_back_rotation(&own, &name, None).await.map(drop)),
        refused(authority.rotation_status(&view, &name).await.map(drop)),
        refused(authority.devices_of_ca(&view, &name, (None, 9)).await.map(drop)),
    ];
    assert!(refusals.iter().all(|refusal| matches!(refusal, RotationError::Forbidden(_))), "{refusals:?}");
}

#[tokio::test]
async fn who_has_not_moved_is_listed_page_by_page() {
    let house = House::new().await;
    let mut devices = Vec::new();
    for number in 0..5 {
        devices.push(house.device(&format!("pump-{number}")).await);
        house.pass(SECOND);
    }
    prepare(&house, "device").await;
    activate(&house, "device").await;
    let moved = house.renewed(devices.remove(0)).await;
    house.pass(DAY + HOUR);
    house.authority.sweep().await.unwrap();
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = house.authority.devices_of_ca(&house.view(), &ca("device"), (after, 3)).await.unwrap();
        seen.extend(page.devices.iter().map(|device| device.id));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let expected: Vec<_> = devices.iter().rev().map(|device| device.id).collect();
    assert_eq!(seen, expected);
    let page = house.authority.devices_of_ca(&house.view(), &ca("device-2"), (None, 3)).await.unwrap();
    assert_eq!(page.devices.iter().map(|device| device.id).collect::<Vec<_>>(), [moved.id]);
}

/// Everything is on record: after a restart the next call goes on.
#[tokio::test]
async fn a_restart_between_two_steps_changes_nothing() {
    let house = House::new().await;
    prepare(&house, "device").await;
    let house = house.restarted(countersign_authority::IssuerMode::Embedded).await;
    choose(&house, Canary::Tenant("default".parse().unwrap()), AT_ONCE).await;
    let house = house.restarted(countersign_authority::IssuerMode::Embedded).await;
    let device = house.device("pump").await;
    house.heartbeat(&device).await;
    assert_eq!(issuer(&house, &device).await, key_of(&house, "device-2"));
    activate(&house, "device").await;
    let house = house.restarted(countersign_authority::IssuerMode::Embedded).await;
    try_retire(&house, "device").await.unwrap();
    let house = house.restarted(countersign_authority::IssuerMode::Embedded).await;
    assert_eq!(state(&house, "device"), IssuerState::Retired);
    let key = fresh_key();
    house.pass(MINUTE);
    house.renew(&device, &key).await.unwrap();
}
