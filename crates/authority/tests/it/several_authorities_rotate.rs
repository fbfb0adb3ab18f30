//! Two authorities on one database, each with an edge of its own: a CA is replaced only when the edges of
//! both follow, whichever of the two is asked.

use countersign_authority::Authority;
use countersign_authority::door_certificate::DoorNames;
use countersign_authority::publish::Applied;
use countersign_authority::rotation::Stragglers;
use countersign_authority::rotation::adoption::Gate;
use countersign_authority::rotation::refused::RotationError;
use countersign_core::snapshot::SnapshotVersion;
use tokio::sync::watch;

use crate::on_postgres::house::{House, MINUTE, refused};
use crate::several_authorities::neighbour;

/// Attaches an edge that enforces nothing yet; what it does then is sent to the answer.
fn edge(authority: &Authority) -> watch::Sender<SnapshotVersion> {
    let (applied, receiver) = watch::channel(SnapshotVersion::default());
    authority.attach_edge(receiver);
    applied
}

/// The doors of an authority get a certificate of whichever CA signs services now, and it says so.
async fn open_doors(authority: &Authority) {
    let names = DoorNames { dns: vec!["door.example".into()], ips: Vec::new() };
    let door = authority.issue_door_certificate(&names).await.unwrap();
    authority.doors_show(door.issuer);
    authority.sweep().await.unwrap();
}

#[track_caller]
fn why(result: Result<Applied, RotationError>) -> String {
    let error = refused(result);
    let RotationError::Refused(why) = error else { panic!("{error:?}") };
    why.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_edges_of_both_follow_before_a_step_is_taken() {
    let house = House::new().await;
    let other = neighbour(&house).await;
    let (here, there) = (edge(&house.authority), edge(&other));
    open_doors(&house.authority).await;
    open_doors(&other).await;
    let (by, service) = (house.own(), "service".parse().unwrap());
    let step =
        async |authority: &Authority| authority.activate_rotation(&by, &service, Gate::default(), None).await;
    let retire =
        async |authority: &Authority| authority.retire_rotated(&by, &service, Stragglers::Kept).await;

    house.authority.prepare_rotation(&by, &service, None).await.unwrap();
    here.send_replace(house.authority.snapshot().version);
    house.authority.sweep().await.unwrap();
    other.sweep().await.unwrap();
    for asked in [&house.authority, &other] {
        let refusal = why(step(asked).await);
        assert!(refusal.contains("1 of 2 edges enforce epoch"), "{refusal}");
    }
    there.send_replace(other.snapshot().version);
    let refusal = why(step(&house.authority).await);
    assert!(refusal.contains("1 of 2 edges"), "what was not said does not count: {refusal}");
    other.sweep().await.unwrap();
    step(&house.authority).await.unwrap();

    other.sweep().await.unwrap();
    for doors in ["2 doors", "1 doors"] {
        for asked in [&house.authority, &other] {
            let refusal = why(retire(asked).await);
            assert!(refusal.contains(doors), "{doors} in {refusal}");
        }
        if doors == "2 doors" {
            open_doors(&house.authority).await;
        }
    }
    open_doors(&other).await;
    retire(&house.authority).await.unwrap();
}

/// The refusing twin: one that fell silent is waited for, but not for ever.
#[tokio::test(flavor = "multi_thread")]
async fn an_authority_that_fell_silent_is_waited_for_a_quarter_of_an_hour() {
    let house = House::new().await;
    let other = neighbour(&house).await;
    let there = edge(&other);
    other.sweep().await.unwrap();
    let (by, service) = (house.own(), "service".parse().unwrap());
    let step = async || house.authority.activate_rotation(&by, &service, Gate::default(), None).await;
    house.authority.prepare_rotation(&by, &service, None).await.unwrap();
    drop((there, other));
    house.pass(MINUTE * 14);
    let refusal = why(step().await);
    assert!(refusal.contains("0 of 1 edges"), "{refusal}");
    house.pass(MINUTE * 2);
    step().await.unwrap();
}
