//! Whom doors may trust besides ourselves: a name is taken once, and what changes carries its epoch.

use std::time::Duration;

use countersign_core::ids::TrustName;
use countersign_store::ForeignTrustRow;

use super::fixture::{Fixture, now, read, write};

pub(crate) fn partner(name: &str) -> ForeignTrustRow {
    ForeignTrustRow { name: name.parse().unwrap(), certificates: "PEM of ünï".to_owned(), added_at: now() }
}

async fn changed_since(fixture: &Fixture, epoch: u64) -> Option<Vec<ForeignTrustRow>> {
    read!(fixture.store, |r| r.trust_changes_since(epoch)).unwrap().foreign_trusts
}

#[tokio::test]
async fn a_name_is_taken_until_it_is_removed() {
    let fixture = Fixture::new().await;
    let (row, name): (_, TrustName) = (partner("partner"), "partner".parse().unwrap());
    let added = write!(fixture.store, |w| w.add_foreign_trust(&row)).unwrap();
    assert!(added.is_some());
    let other = ForeignTrustRow { certificates: "others".to_owned(), ..partner("partner") };
    assert_eq!(write!(fixture.store, |w| w.add_foreign_trust(&other)).unwrap(), None);
    assert_eq!(read!(fixture.store, |r| r.foreign_trusts()).unwrap(), [partner("partner")]);
    let (gone, later) = (name.clone(), now() + Duration::from_secs(1));
    assert!(write!(fixture.store, |w| w.remove_foreign_trust(&gone, later)).unwrap().is_some());
    let again = name.clone();
    assert_eq!(write!(fixture.store, |w| w.remove_foreign_trust(&again, later)).unwrap(), None);
    assert!(read!(fixture.store, |r| r.foreign_trusts()).unwrap().is_empty());
    let other = ForeignTrustRow { certificates: "others".to_owned(), ..partner("partner") };
    let expected = other.clone();
    assert!(write!(fixture.store, |w| w.add_foreign_trust(&other)).unwrap().is_some());
    assert_eq!(read!(fixture.store, |r| r.foreign_trusts()).unwrap(), [expected]);
}

#[tokio::test]
async fn additions_and_removals_are_changes_of_trust() {
    let fixture = Fixture::new().await;
    let before = read!(fixture.store, |r| r.snapshot_version()).unwrap().epoch;
    assert_eq!(changed_since(&fixture, before).await, None);
    let (one, two) = (partner("one"), partner("two"));
    write!(fixture.store, |w| w.add_foreign_trust(&one)).unwrap();
    let version = write!(fixture.store, |w| w.add_foreign_trust(&two)).unwrap().unwrap();
    assert_eq!(changed_since(&fixture, before).await, Some(vec![partner("one"), partner("two")]));
    assert_eq!(changed_since(&fixture, version.epoch).await, None);
    let name = "one".parse().unwrap();
    write!(fixture.store, |w| w.remove_foreign_trust(&name, now())).unwrap();
    assert_eq!(changed_since(&fixture, version.epoch).await, Some(vec![partner("two")]));
    let material = read!(fixture.store, |r| r.trust_material(now())).unwrap();
    assert_eq!(material.foreign_trusts, [partner("two")]);
}
