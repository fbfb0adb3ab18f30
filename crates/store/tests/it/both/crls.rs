//! Whatever revokes leaves a mark on the shard of the number; only the mark that was seen is removed.

use countersign_core::certificate::RevocationReason;
use countersign_core::crl_scope::CrlScope;
use countersign_core::ids::{CertificateRef, SerialNumber};
use countersign_store::{CrlDate, CrlName, CrlRow, RevocationRow};

use super::fixture::{DAY, Fixture, device_ca, issuer, now, read, whole, write};

fn shard(octet: u8) -> CrlName {
    CrlName { issuer: issuer(), scope: CrlScope::Shard(octet) }
}

fn revocation(number: &str) -> RevocationRow {
    let serial: SerialNumber = number.parse().unwrap();
    RevocationRow {
        reference: CertificateRef { issuer: issuer(), serial },
        spki: None,
        revoked_at: now(),
        reason: RevocationReason::KeyCompromise,
        expires_at: now() + DAY,
    }
}

async fn revoke(fixture: &Fixture, number: &str) {
    let row = revocation(number);
    assert!(write!(fixture.store, |w| w.insert_revocation(&row)).unwrap());
}

#[tokio::test]
async fn a_revocation_marks_its_shard_until_the_mark_that_was_seen_is_removed() {
    let fixture = Fixture::new().await;
    assert!(read!(fixture.store, |r| r.crl_marks(None)).unwrap().is_empty());
    revoke(&fixture, "01a7").await;
    revoke(&fixture, "0200").await;
    let seen = read!(fixture.store, |r| r.crl_marks(Some(issuer()))).unwrap();
    let mut lists: Vec<_> = seen.iter().map(|mark| mark.list).collect();
    lists.dedup();
    assert_eq!(lists, [shard(0), shard(0xa7)]);

    revoke(&fixture, "03a7").await;
    for mark in seen {
        write!(fixture.store, |w| w.clear_crl_mark(&mark)).unwrap();
    }
    let left = read!(fixture.store, |r| r.crl_marks(None)).unwrap();
    assert_eq!(left.iter().map(|mark| mark.list).collect::<Vec<_>>(), [shard(0xa7)], "the later one stays");

    let again = revocation("01a7");
    assert!(!write!(fixture.store, |w| w.insert_revocation(&again)).unwrap());
    assert_eq!(read!(fixture.store, |r| r.crl_marks(None)).unwrap(), left, "nothing was revoked");
}

#[tokio::test]
async fn a_shard_lists_its_own_and_the_whole_list_all() {
    let fixture = Fixture::new().await;
    for number in ["01a7", "02a7", "a703"] {
        revoke(&fixture, number).await;
    }
    for (list, expected) in [(shard(0xa7), 2), (shard(3), 1), (shard(1), 0), (whole(), 3)] {
        let entries = read!(fixture.store, |r| r.crl_entries(list, now() + DAY)).unwrap();
        assert_eq!(entries.len(), expected, "{list:?}");
    }
}

#[tokio::test]
async fn each_list_has_its_latest_and_the_highest_of_shards_is_known() {
    let fixture = Fixture::new().await;
    let row = device_ca(issuer(), "device");
    write!(fixture.store, |w| w.insert_issuer(&row)).unwrap();
    assert_eq!(write!(fixture.store, |w| w.next_crl_numbers(issuer(), 3)).unwrap(), 1);
    assert_eq!(write!(fixture.store, |w| w.next_crl_numbers(issuer(), 2)).unwrap(), 4);
    assert_eq!(read!(fixture.store, |r| r.highest_shard_number(issuer())).unwrap(), 0);
    for (list, number, is_later) in
        [(shard(1), 2, true), (shard(2), 3, true), (whole(), 9, true), (shard(1), 1, false)]
    {
        let CrlName { issuer, scope } = list;
        let (this_update, next_update) = (now(), now() + DAY);
        let crl = CrlRow { issuer, scope, number, this_update, next_update, der: vec![9] };
        assert_eq!(write!(fixture.store, |w| w.save_crl(&crl)).unwrap(), is_later);
    }
    assert_eq!(read!(fixture.store, |r| r.latest_crl(shard(1))).unwrap().unwrap().number, 2);
    assert_eq!(read!(fixture.store, |r| r.highest_shard_number(issuer())).unwrap(), 3);
    let dates = read!(fixture.store, |r| r.crl_dates()).unwrap();
    let (this_update, next_update) = (now(), now() + DAY);
    assert_eq!(dates, [shard(1), shard(2), whole()].map(|list| CrlDate { list, this_update, next_update }));
}
