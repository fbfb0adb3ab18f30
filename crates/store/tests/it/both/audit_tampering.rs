//! The audit log verifies after any history, and shows every way of changing it behind our back.

use countersign_core::audit::{Actor, AuditEntry, AuditEvent};
use countersign_core::ids::{CertificateId, DeviceId, UserId};
use countersign_store::{AuditFault, AuditFilter, AuditReport, ChainScope, LogPart, StoreError};
use countersign_testkit::property_cases;
use proptest::prelude::*;
use sqlx::{AssertSqlSafe, Executor as _};

use super::database::{LATER, drop_audit_triggers};
use super::fixture::{Fixture, HOUR, now, read, write};

const CHAINS: [Option<&str>; 3] = [None, Some("acme"), Some("other")];

fn entry(chain: Option<&str>, event: AuditEvent) -> AuditEntry {
    AuditEntry::new(chain.map(|slug| slug.parse().unwrap()), now(), event, Actor::System)
}

async fn append(fixture: &Fixture, entry: AuditEntry) {
    write!(fixture.store, |w| w.append_audit(&entry)).unwrap();
}

async fn verify(fixture: &Fixture) -> AuditReport {
    read!(fixture.store, |r| r.verify_audit()).unwrap()
}

/// Three chains of four entries.
async fn filled() -> Fixture {
    let fixture = Fixture::new().await;
    for number in 0..4 {
        for chain in CHAINS {
            append(&fixture, entry(chain, AuditEvent::LoginSucceeded).detail("number", number)).await;
        }
    }
    fixture
}

#[tokio::test]
async fn what_is_appended_reads_back_newest_first() {
    let fixture = filled().await;
    let (device, certificate) = (DeviceId::random(), CertificateId::random());
    let special = AuditEntry::new(
        Some("acme".parse().unwrap()),
        now() + HOUR,
        AuditEvent::DeviceDenied,
        Actor::User(UserId::random()),
    )
    .device(device)
    .certificate(certificate)
    .detail("reason", "ä \"quoted\"\nline")
    .detail("a", 1);
    let expected = special.clone();
    append(&fixture, special).await;

    let find = |filter: AuditFilter| {
        let store = fixture.store.clone();
        async move {
            let filter = AuditFilter { limit: 100, ..filter };
            read!(store, |r| r.audit_entries(&filter)).unwrap()
        }
    };
    let all = find(AuditFilter::default()).await;
    assert_eq!(all.len(), 13);
    assert!(all.is_sorted_by(|a, b| a.id > b.id));
    let last = &all[0];
    assert_eq!((last.tenant.as_ref(), last.sequence), (expected.tenant.as_ref(), 5));
    assert_eq!((last.at, last.event, last.device), (now() + HOUR, expected.event, Some(device)));
    assert_eq!(last.certificate, Some(certificate));
    assert_eq!((&last.actor, &last.details), (&expected.actor.to_string(), &expected.details));

    let none = AuditFilter::default;
    let acme = ChainScope::Tenant("acme".parse().unwrap());
    assert_eq!(find(AuditFilter { scope: acme, ..none() }).await.len(), 5);
    assert_eq!(find(AuditFilter { scope: ChainScope::Platform, ..none() }).await.len(), 4);
    assert_eq!(find(AuditFilter { device: Some(device), ..none() }).await.len(), 1);
    assert_eq!(find(AuditFilter { event: Some(AuditEvent::DeviceDenied), ..none() }).await.len(), 1);
    assert_eq!(find(AuditFilter { since: Some(now() + HOUR), ..none() }).await.len(), 1);
    assert_eq!(find(AuditFilter { until: Some(now() + HOUR), ..none() }).await.len(), 12);
    assert_eq!(find(AuditFilter { before: Some(all[3].id), ..none() }).await, all[4..]);
}

#[tokio::test]
async fn an_intact_log_reports_every_chain() {
    let fixture = filled().await;
    let report = verify(&fixture).await;
    assert!(report.is_intact(), "{report:?}");
    let chains: Vec<(Option<String>, u64)> = report
        .chains
        .iter()
        .map(|chain| (chain.tenant.as_ref().map(ToString::to_string), chain.entries))
        .collect();
    assert_eq!(chains, [(None, 4), (Some("acme".into()), 4), (Some("other".into()), 4)]);
}

/// More than one statement takes, of several chains in turn, behind entries that were there before.
/// On PostgreSQL so many go another way than a few.
#[tokio::test]
async fn thousands_of_entries_of_one_change_are_chained_in_their_order() {
    const MANY: u64 = 5000;
    const TEXT: &str = "tab\tline\n\\N \\. ä \"quoted\"";
    let fixture = filled().await;
    let before = read!(fixture.store, |r| r.last_audit_id()).unwrap();
    write!(fixture.store, |w| async move {
        for number in 0..MANY {
            let chain = CHAINS[usize::try_from(number % 3).unwrap()];
            let entry = entry(chain, AuditEvent::CertificateRevoked).detail("text", TEXT);
            w.append_audit(&entry.detail("number", number)).await?;
        }
        Ok::<_, StoreError>(())
    })
    .unwrap();
    let report = verify(&fixture).await;
    assert!(report.is_intact(), "{report:?}");
    assert_eq!(report.chains.iter().map(|chain| chain.entries).sum::<u64>(), MANY + 12);
    let (mut after, mut number) = (before, 0);
    let last = read!(fixture.store, |r| r.last_audit_id()).unwrap();
    while after < last {
        let filter = AuditFilter { limit: 1000, ..AuditFilter::default() };
        for linked in read!(fixture.store, |r| r.audit_log(&filter, LogPart { after, last })).unwrap() {
            assert_eq!(linked.record.details.get("number"), Some(&number.to_string()));
            assert_eq!(linked.record.details.get("text").map(String::as_str), Some(TEXT));
            assert_eq!(linked.record.sequence, 5 + number / 3);
            (after, number) = (linked.record.id, number + 1);
        }
    }
    assert_eq!(number, MANY);
}

#[tokio::test]
async fn the_database_itself_refuses_changes() {
    let fixture = filled().await;
    let mut intruder = fixture.intruder().await;
    for change in [
        "UPDATE audit_entries SET actor = 'nobody'",
        "DELETE FROM audit_entries WHERE sequence = 4",
        "DELETE FROM audit_heads",
        "UPDATE audit_heads SET sequence = sequence - 1",
    ] {
        let refused = intruder.execute(change).await.unwrap_err();
        assert!(refused.to_string().contains("append-only"), "{change}: {refused}");
    }
    assert!(verify(&fixture).await.is_intact());
}

#[tokio::test]
async fn whoever_drops_the_triggers_is_still_found_out() {
    let cases = [
        (
            "UPDATE audit_entries SET actor = 'nobody' WHERE chain = 'acme' AND sequence = 2",
            2,
            AuditFault::Altered,
        ),
        (
            "UPDATE audit_entries SET details = '{}' WHERE chain = 'acme' AND sequence = 3",
            3,
            AuditFault::Altered,
        ),
        (
            &format!("UPDATE audit_entries SET {LATER} WHERE chain = 'acme' AND sequence = 1"),
            1,
            AuditFault::Altered,
        ),
        ("UPDATE audit_entries SET hash = 'x' WHERE chain = 'acme' AND sequence = 4", 4, AuditFault::Altered),
        ("DELETE FROM audit_entries WHERE chain = 'acme' AND sequence = 2", 2, AuditFault::Missing),
        ("DELETE FROM audit_entries WHERE chain = 'acme' AND sequence = 4", 4, AuditFault::Missing),
        ("DELETE FROM audit_entries WHERE chain = 'acme'", 1, AuditFault::Missing),
        ("DELETE FROM audit_heads WHERE chain = 'acme'", 1, AuditFault::BeyondHead),
        ("UPDATE audit_heads SET sequence = 3 WHERE chain = 'acme'", 4, AuditFault::BeyondHead),
        (
            "UPDATE audit_heads SET hash = substr(hash, 3) || '00' WHERE chain = 'acme'",
            4,
            AuditFault::HeadAltered,
        ),
        (
            "UPDATE audit_entries SET sequence = 9 WHERE chain = 'acme' AND sequence = 4",
            4,
            AuditFault::Missing,
        ),
        (
            "UPDATE audit_entries SET chain = 'acme', sequence = 5 WHERE chain = 'other' AND sequence = 4",
            5,
            AuditFault::BeyondHead,
        ),
    ];
    for (change, sequence, fault) in cases {
        let fixture = filled().await;
        let mut intruder = fixture.intruder().await;
        drop_audit_triggers(&mut intruder).await;
        intruder.execute(AssertSqlSafe(change.to_owned())).await.unwrap();
        let broken = verify(&fixture).await.broken.unwrap_or_else(|| panic!("not noticed: {change}"));
        assert_eq!(
            (broken.chain.as_str(), broken.sequence, broken.fault),
            ("acme", sequence, fault),
            "{change}"
        );
    }
}

/// Entry and head cut together is what only a copy of the head kept elsewhere shows.
#[tokio::test]
async fn a_tail_cut_with_its_head_differs_from_the_head_reported_before() {
    let fixture = filled().await;
    let before = verify(&fixture).await;
    let mut intruder = fixture.intruder().await;
    drop_audit_triggers(&mut intruder).await;
    let cut = "UPDATE audit_heads SET sequence = 3, hash =
                   (SELECT hash FROM audit_entries WHERE chain = 'acme' AND sequence = 3) WHERE chain = 'acme';
               DELETE FROM audit_entries WHERE chain = 'acme' AND sequence = 4";
    intruder.execute(sqlx::raw_sql(cut)).await.unwrap();
    let after = verify(&fixture).await;
    assert!(after.is_intact());
    assert_ne!(before.chains, after.chains);
}

#[tokio::test]
async fn an_entry_that_cannot_be_read_is_an_error_in_a_query() {
    let fixture = filled().await;
    let mut intruder = fixture.intruder().await;
    drop_audit_triggers(&mut intruder).await;
    intruder.execute("UPDATE audit_entries SET event = 'nothing.known' WHERE id = 3").await.unwrap();
    let filter = AuditFilter { limit: 100, ..AuditFilter::default() };
    let error = read!(fixture.store, |r| r.audit_entries(&filter)).unwrap_err();
    assert!(matches!(error, StoreError::Corrupt { column: "event", .. }), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: property_cases(24), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_history_verifies_and_any_altered_entry_shows(
        history in prop::collection::vec((0_usize..3, 0..AuditEvent::ALL.len(), "\\PC{0,12}"), 1..30),
        victim in any::<prop::sample::Index>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let fixture = Fixture::new().await;
            for (chain, event, text) in &history {
                append(&fixture, entry(CHAINS[*chain], AuditEvent::ALL[*event]).detail("text", text)).await;
            }
            let report = verify(&fixture).await;
            prop_assert!(report.is_intact(), "{report:?}");
            let total: u64 = report.chains.iter().map(|chain| chain.entries).sum();
            prop_assert_eq!(total, history.len() as u64);

            let mut intruder = fixture.intruder().await;
            drop_audit_triggers(&mut intruder).await;
            let id = i64::try_from(victim.index(history.len())).unwrap() + 1;
            sqlx::query("UPDATE audit_entries SET details = details || ' ' WHERE id = $1")
                .bind(id).execute(&mut intruder).await.unwrap();
            let broken = verify(&fixture).await.broken;
            prop_assert!(broken.is_some_and(|broken| broken.fault == AuditFault::Altered));
            Ok(())
        })?;
    }
}
