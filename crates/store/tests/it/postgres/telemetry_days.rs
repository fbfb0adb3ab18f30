//! Telemetry lies by day: what came before its day had a table is moved there and reads back, a day is made once,
//! and one that is no longer kept goes as a whole.

use countersign_store::TelemetryFilter;

use crate::on_postgres::fixture::{DAY, Fixture, now, read, write};
use crate::on_sqlite::messages::new_telemetry;

async fn payloads(fixture: &Fixture) -> Vec<String> {
    let filter = TelemetryFilter { limit: 10, ..TelemetryFilter::default() };
    let rows = read!(fixture.store, |r| r.telemetry(&filter)).unwrap();
    rows.into_iter().map(|row| row.payload).collect()
}

#[tokio::test]
async fn days_are_made_ahead_and_go_when_they_are_over() {
    let fixture = Fixture::new().await;
    let device = fixture.device("d1").await;
    let take = async |payload: &str, at| {
        let (device, mut new) = (device.clone(), new_telemetry(payload));
        new.received_at = at;
        write!(fixture.store, |w| w.insert_telemetry(&device, &new)).unwrap()
    };
    let turn = async |now, before| write!(fixture.store, |w| w.turn_telemetry_days(now, before)).unwrap();
    take("{\"of\":\"no day\"}", now()).await;
    assert!(turn(now(), now() - DAY).await, "days are made");
    assert!(!turn(now(), now() - DAY).await, "once");
    assert_eq!(payloads(&fixture).await, ["{\"of\":\"no day\"}"], "what was there is moved");
    take("{\"of\":\"today\"}", now()).await;
    assert_eq!(take("{\"of\":\"tomorrow\"}", now() + DAY).await, 3, "numbers go on");
    take("{\"of\":\"long ago\"}", now() - DAY * 400).await;
    assert!(!turn(now(), now()).await, "the day is not over");
    assert_eq!(payloads(&fixture).await.len(), 4);
    assert!(turn(now() + DAY, now() + DAY).await);
    assert_eq!(payloads(&fixture).await, ["{\"of\":\"long ago\"}", "{\"of\":\"tomorrow\"}"]);
    assert_eq!(write!(fixture.store, |w| w.prune_messages(now() + DAY)).unwrap(), 1);
    assert_eq!(payloads(&fixture).await, ["{\"of\":\"tomorrow\"}"]);
}
