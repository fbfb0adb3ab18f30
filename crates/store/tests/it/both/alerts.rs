//! An alert is raised once for each cause, told to each target until it has arrived, and read back whole.

use std::time::Duration;

use countersign_core::ids::{AlertId, SilenceId};
use countersign_core::time::Timestamp;
use countersign_store::{
    AlertFilter, AlertRow, AlertsOnly, DeliveryRow, News, Severity, SilenceRow, StoreError,
};

use super::fixture::{DAY, Fixture, HOUR, now, read, write};

pub(crate) fn alert(kind: &str, subject: &str) -> AlertRow {
    AlertRow {
        id: AlertId::random(),
        kind: kind.to_owned(),
        subject: subject.to_owned(),
        tenant: Some("acme".parse().unwrap()),
        severity: Severity::Warning,
        summary: "ünï".to_owned(),
        opened_at: now(),
        seen_at: now(),
        told_at: None,
        resolved_at: None,
        acknowledged: None,
    }
}

pub(crate) fn delivery(alert: &AlertRow, target: &str) -> DeliveryRow {
    let target = target.to_owned();
    DeliveryRow { alert: alert.id, target, news: News::Raised, due_at: now(), attempts: 0 }
}

pub(crate) fn silence(ends_at: Timestamp) -> SilenceRow {
    SilenceRow {
        id: SilenceId::random(),
        kind: String::new(),
        subject: "berlin".to_owned(),
        reason: "moves".to_owned(),
        created_by: "user:x".to_owned(),
        created_at: now(),
        ends_at,
    }
}

#[tokio::test]
async fn a_cause_has_one_open_alert_and_another_after_that_is_resolved() {
    let fixture = Fixture::new().await;
    let (first, second) = (alert("edge_silent", "berlin"), alert("edge_silent", "berlin"));
    let (one, two) =
        (first.clone(), AlertRow { severity: Severity::Critical, seen_at: now() + HOUR, ..second.clone() });
    let new = write!(fixture.store, |w| async move {
        Ok::<_, StoreError>((w.raise_alert(&one).await?, w.raise_alert(&two).await?))
    });
    assert_eq!(new.unwrap(), (true, false));
    let open = read!(fixture.store, |r| r.open_alerts()).unwrap();
    let wanted = AlertRow { severity: Severity::Critical, seen_at: now() + HOUR, ..first.clone() };
    assert_eq!(open, [wanted]);

    let (id, again) = (first.id, second.clone());
    let done = write!(fixture.store, |w| async move {
        let told = (w.begin_to_tell(id, now()).await?, w.begin_to_tell(id, now()).await?);
        let acknowledged = (
            w.acknowledge_alert(id, "user:x", now()).await?,
            w.acknowledge_alert(id, "user:y", now()).await?,
        );
        let resolved = (w.resolve_alert(id, now() + DAY).await?, w.resolve_alert(id, now()).await?);
        Ok::<_, StoreError>((told, acknowledged, resolved, w.raise_alert(&again).await?))
    });
    assert_eq!(done.unwrap(), ((true, false), (true, false), (true, false), true));
    let kept = read!(fixture.store, |r| r.alert(id)).unwrap().unwrap();
    assert_eq!(
        (kept.resolved_at, kept.acknowledged),
        (Some(now() + DAY), Some((now(), "user:x".to_owned())))
    );
    let only = |only, tenant: Option<&str>| AlertFilter {
        only,
        limit: 10,
        tenant: tenant.map(|slug| slug.parse().unwrap()),
    };
    for (filter, count) in [
        (only(AlertsOnly::All, None), 2),
        (only(AlertsOnly::Open, None), 1),
        (only(AlertsOnly::Open, Some("acme")), 1),
        (only(AlertsOnly::All, Some("other")), 0),
    ] {
        let shown = format!("{filter:?}");
        assert_eq!(read!(fixture.store, |r| r.alerts(&filter)).unwrap().len(), count, "{shown}");
    }
    write!(fixture.store, |w| w.prune_alerts(now() + DAY * 2)).unwrap();
    assert_eq!(
        read!(fixture.store, |r| r.alerts(&AlertFilter { limit: 10, ..AlertFilter::default() }))
            .unwrap()
            .len(),
        1
    );
}

#[tokio::test]
async fn what_is_due_is_taken_by_one_until_it_has_arrived() {
    let fixture = Fixture::new().await;
    let raised = alert("quarantine", "acme");
    let row = raised.clone();
    write!(fixture.store, |w| async move {
        w.raise_alert(&row).await?;
        w.queue_delivery(&delivery(&row, "on-call")).await?;
        w.queue_delivery(&delivery(&row, "on-call")).await?;
        w.queue_delivery(&delivery(&row, "chat")).await
    })
    .unwrap();
    let later = now() + Duration::from_secs(60);
    let take = |at: Timestamp| {
        let store = fixture.store.clone();
        async move {
            write!(store, |w| w.take_deliveries("on-call", (at, at + Duration::from_secs(60)), 10)).unwrap()
        }
    };
    let taken = take(now()).await;
    assert_eq!(taken.len(), 1);
    assert_eq!((&taken[0].1, taken[0].0.due_at), (&raised, later));
    assert!(take(now()).await.is_empty(), "somebody has it");
    let again = take(later).await;
    let mut row = again[0].0.clone();
    row.attempts = 3;
    row.due_at = now() + HOUR;
    let put_off = row.clone();
    write!(fixture.store, |w| w.put_off(&put_off)).unwrap();
    assert!(take(now() + HOUR - Duration::from_secs(1)).await.is_empty());
    assert_eq!(take(now() + HOUR).await[0].0.attempts, 3);
    write!(fixture.store, |w| w.end_delivery(&row)).unwrap();
    assert!(take(now() + DAY).await.is_empty());
}

#[tokio::test]
async fn a_silence_reads_back_until_it_ends_or_is_ended() {
    let fixture = Fixture::new().await;
    let (short, long) = (silence(now() + HOUR), silence(now() + DAY));
    let (one, two) = (short.clone(), long.clone());
    write!(fixture.store, |w| async move {
        w.insert_silence(&one).await?;
        w.insert_silence(&two).await
    })
    .unwrap();
    assert_eq!(read!(fixture.store, |r| r.silences(now())).unwrap(), [short, long.clone()]);
    assert_eq!(read!(fixture.store, |r| r.silences(now() + HOUR)).unwrap(), std::slice::from_ref(&long));
    let id = long.id;
    let ended = write!(fixture.store, |w| async move {
        Ok::<_, StoreError>((w.delete_silence(id).await?, w.delete_silence(id).await?))
    });
    assert_eq!(ended.unwrap(), (true, false));
}
