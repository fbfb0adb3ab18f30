//! What doors did is counted once, however often it is said, and what authorities say of presence is added up.

use std::collections::BTreeMap;

use countersign_core::door_work::Slot;
use countersign_core::ids::AuthorityId;
use countersign_store::EdgeReportRow;

use super::fixture::{Fixture, now, read, write};

#[tokio::test]
async fn a_sum_that_is_said_again_counts_once_and_an_older_one_not_at_all() {
    let fixture = Fixture::new().await;
    let (one, two) = (Slot::new(100), Slot::new(101));
    for (source, counts) in [
        ("a", [(one, 5), (two, 1)]),
        ("a", [(one, 5), (two, 4)]),
        ("a", [(one, 3), (two, 2)]),
        ("b", [(one, 10), (two, 0)]),
    ] {
        let counts = BTreeMap::from(counts);
        write!(fixture.store, |w| w.put_door_work(source, &counts)).unwrap();
    }
    let sums = read!(fixture.store, |r| r.door_work(one)).unwrap();
    assert_eq!(sums, BTreeMap::from([(one, 15), (two, 4)]));
    assert_eq!(read!(fixture.store, |r| r.door_work(two)).unwrap(), BTreeMap::from([(two, 4)]));
    assert_eq!(write!(fixture.store, |w| w.prune_door_work(two)).unwrap(), 2);
    assert_eq!(read!(fixture.store, |r| r.door_work(one)).unwrap(), BTreeMap::from([(two, 4)]));
}

#[tokio::test]
async fn presence_at_others_is_that_of_all_but_oneself() {
    let fixture = Fixture::new().await;
    let own = AuthorityId::random();
    assert_eq!(read!(fixture.store, |r| r.presence_elsewhere(own)).unwrap(), 0);
    for (authority, presence) in [(own, 100), (AuthorityId::random(), 3), (AuthorityId::random(), 4)] {
        let row =
            EdgeReportRow { authority, edges: 0, applied_epoch: 1, door_issuer: None, presence, at: now() };
        write!(fixture.store, |w| w.put_edge_report(&row, now())).unwrap();
    }
    assert_eq!(read!(fixture.store, |r| r.presence_elsewhere(own)).unwrap(), 7);
}
