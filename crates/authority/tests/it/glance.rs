//! What the overview shows is so: devices by status, certificates by when they end, refusals by code; and
//! word of what changes reaches whoever may see it.

use std::collections::BTreeSet;
use std::sync::Arc;

use countersign_authority::View;
use countersign_authority::audit::ChainScope;
use countersign_authority::edges::add::WantedEdge;
use countersign_authority::notices::Topic;
use countersign_authority::refusal_counts::HOURS;
use countersign_authority::refusals::{Outcome, RefusalReport};
use countersign_authority::tenants::TenantError;
use countersign_core::device::{DeviceStatus, QuarantineReason};
use countersign_core::door_work::{DoorLoad, DoorWork, Slot};
use countersign_core::ids::{ProcessId, RequestId};
use countersign_store::Role;
use tokio::sync::{mpsc, oneshot};

use super::house::{DAY, House, MINUTE, address, refused};

#[tokio::test]
async fn devices_are_counted_by_status_and_certificates_by_their_end() {
    let house = House::new().await;
    let (first, _second) = (house.device("one").await, house.device("two").await);
    house.heartbeat(&first).await;
    let glance = house.authority.glance(&house.view(), None).await.unwrap();
    assert_eq!((glance.of(DeviceStatus::Online), glance.of(DeviceStatus::Pending)), (1, 1));
    assert_eq!((glance.in_service(), glance.of(DeviceStatus::Quarantined)), (2, 0));
    assert_eq!(glance.ending.iter().sum::<u64>(), 2, "both end within a quarter of a year");
    assert_eq!(glance.ending[0], 0);

    let other =
        house.authority.create_tenant(&house.own(), "other".parse().unwrap(), "Other".into()).await.unwrap();
    let bound = house.person(Role::Viewer, Some(other.id)).await.authorize::<View>().unwrap();
    let own = house.authority.glance(&bound, None).await.unwrap();
    assert_eq!((own.in_service(), own.ending.iter().sum::<u64>()), (0, 0));
    let theirs = Some(house.row(first.id).await.tenant);
    let refusal = refused(house.authority.glance(&bound, theirs).await);
    assert!(matches!(refusal, TenantError::Forbidden(_)), "{refusal}");
    let of_tenant = house.authority.glance(&house.view(), theirs).await.unwrap();
    assert_eq!((of_tenant.in_service(), of_tenant.ending.iter().sum::<u64>()), (2, 2));
}

#[tokio::test]
async fn refusals_are_counted_by_code_and_hour() {
    let house = House::new().await;
    let (reports, receiver) = mpsc::channel(100);
    let (stop, stopped) = oneshot::channel::<()>();
    let recording = tokio::spawn(Arc::clone(&house.authority).record_refusals(receiver, async {
        drop(stopped.await);
    }));
    for code in ["MTLS_REQUIRED", "MTLS_REQUIRED", "MTLS_REQUIRED", "UNAUTHORIZED"] {
        let report = RefusalReport {
            request: RequestId::random(),
            at: house.now(),
            code: code.to_owned(),
            outcome: Outcome::Refused,
            tenant: Some("default".parse().unwrap()),
            address: address(),
            facts: std::collections::BTreeMap::new(),
        };
        reports.send(report).await.unwrap();
    }
    drop(reports);
    stop.send(()).unwrap();
    recording.await.unwrap();
    house.pass(MINUTE);
    let counts = house.authority.refusal_counts(&house.view(), ChainScope::All).await.unwrap();
    let codes: Vec<_> = counts.codes.iter().map(|one| (one.code.as_str(), one.sum())).collect();
    assert_eq!(codes, [("MTLS_REQUIRED", 3), ("UNAUTHORIZED", 1)]);
    assert!(counts.codes[0].hours.last().is_some_and(|last| *last == 3) && !counts.is_cut);
    house.pass(DAY * 2);
    let later = house.authority.refusal_counts(&house.view(), ChainScope::All).await.unwrap();
    assert!(later.codes.is_empty());
}

#[tokio::test]
async fn what_doors_let_in_is_counted_by_hour_here_and_at_edges_elsewhere() {
    let house = House::new().await;
    let wanted = WantedEdge {
        name: "berlin".parse().unwrap(),
        tenants: Vec::new(),
        public_names: Vec::new(),
        life: MINUTE,
    };
    let edge = house.authority.add_edge(&house.administer(), wanted).await.unwrap().row;
    let slot = |hours| Slot::of(house.now() - MINUTE * 60 * hours);
    let work = |handshakes: &[(Slot, u64)]| DoorWork {
        source: ProcessId::random(),
        load: DoorLoad { connections: 7, ..DoorLoad::default() },
        handshakes: handshakes.iter().copied().collect(),
    };
    house.authority.note_door_work(work(&[(slot(0), 5), (slot(2), 1)])).await.unwrap();
    let told = work(&[(slot(0), 10), (slot(30), 100), (Slot::new(i64::MAX), 100)]);
    for _again in 0..2 {
        house.authority.note_edge_work(&edge, told.clone()).await.unwrap();
    }
    let hours = house.authority.admitted_by_hour(&house.view()).await.unwrap();
    assert_eq!((hours[HOURS - 1], hours[HOURS - 3], hours.iter().sum::<u64>()), (15, 1, 16));
    let listed = house.authority.list_edges(&house.view()).await.unwrap();
    assert_eq!(listed[0].row.load.map(|(load, at)| (load.connections, at)), Some((7, house.now())));

    let tenant =
        house.authority.create_tenant(&house.own(), "other".parse().unwrap(), "Other".into()).await.unwrap();
    let bound = house.person(Role::Viewer, Some(tenant.id)).await.authorize::<View>().unwrap();
    assert!(house.authority.admitted_by_hour(&bound).await.is_err(), "doors are of no tenant alone");
    house.pass(DAY);
    house.authority.sweep().await.unwrap();
    assert_eq!(house.authority.admitted_by_hour(&house.view()).await.unwrap(), [0; HOURS]);
}

#[tokio::test]
async fn whoever_may_see_a_change_hears_of_it() {
    let house = House::new().await;
    let other =
        house.authority.create_tenant(&house.own(), "other".parse().unwrap(), "Other".into()).await.unwrap();
    let bound = house.person(Role::Viewer, Some(other.id)).await.authorize::<View>().unwrap();
    let device = house.device("one").await;
    let mut all = house.authority.notices(&house.view()).await.unwrap();
    let mut own = house.authority.notices(&bound).await.unwrap();
    let reason = QuarantineReason::known(QuarantineReason::REVOKED);
    house.authority.quarantine_device(&house.operate(), device.id, reason).await.unwrap();
    let heard = all.next().await.unwrap();
    assert_eq!(heard, BTreeSet::from([Topic::Devices, Topic::Audit]));
    house.suspend("other").await;
    // The first that it hears of is its own tenant's.
    assert_eq!(own.next().await.unwrap(), BTreeSet::from([Topic::Administration, Topic::Audit]));
    house.authority.close_edges();
    while let Some(topics) = all.next().await {
        assert!(!topics.is_empty());
    }
}
