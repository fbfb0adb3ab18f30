//! Messages read back whole, count up in the order in which they were taken, and a message that came twice
//! says so.

use countersign_store::{
    DeviceRow, MessagePart, NewTelemetry, SetAsideFilter, SetAsideRow, TelemetryFilter, TelemetryRow,
};

use super::fixture::{DAY, Fixture, HOUR, now, read, reference, write};

pub(crate) fn new_telemetry(payload: &str) -> NewTelemetry {
    NewTelemetry {
        certificate: reference(),
        topic: "tenant/acme/device/d1/telemetry/ü".to_owned(),
        qos: 1,
        is_dup: false,
        received_at: now(),
        sent_at: Some(now() + HOUR),
        payload: payload.to_owned(),
    }
}

pub(crate) fn set_aside(device: Option<&DeviceRow>) -> SetAsideRow {
    SetAsideRow {
        id: 0,
        tenant: device.map(|device| device.tenant),
        tenant_slug: device.map_or_else(|| "gone".parse().unwrap(), |device| device.tenant_slug.clone()),
        device_name: "d1".parse().unwrap(),
        device: device.map(|device| device.id),
        certificate: reference(),
        topic: "other/d2".to_owned(),
        qos: 2,
        reason: "TOPIC_IDENTITY_MISMATCH".to_owned(),
        received_at: now(),
        payload: b"\x00\xff".to_vec(),
        payload_bytes: 9000,
        released: None,
    }
}

async fn taken(fixture: &Fixture, device: &DeviceRow, new: &NewTelemetry) -> u64 {
    let (device, new) = (device.clone(), new.clone());
    write!(fixture.store, |w| w.insert_telemetry(&device, &new)).unwrap()
}

async fn found(fixture: &Fixture, filter: TelemetryFilter) -> Vec<TelemetryRow> {
    read!(fixture.store, |r| r.telemetry(&filter)).unwrap()
}

#[tokio::test]
async fn telemetry_reads_back_in_parts() {
    let fixture = Fixture::new().await;
    let (device, other) = (fixture.device("d1").await, fixture.device("d2").await);
    let mut ids = Vec::new();
    for payload in ["{\"n\":1}", "{\"n\":2}", "{\"n\":3}"] {
        ids.push(taken(&fixture, &device, &new_telemetry(payload)).await);
    }
    taken(&fixture, &other, &NewTelemetry { sent_at: None, ..new_telemetry("{}") }).await;
    assert_eq!(ids, [1, 2, 3]);
    let of = |part| TelemetryFilter { device: Some(device.id), part, limit: 2, ..TelemetryFilter::default() };
    let numbers = |rows: Vec<TelemetryRow>| rows.into_iter().map(|row| row.id).collect::<Vec<_>>();
    let newest = found(&fixture, of(MessagePart::Newest)).await;
    let expected = new_telemetry("{\"n\":3}");
    let first = newest.first().unwrap();
    assert_eq!((first.tenant, first.tenant_slug.as_str()), (device.tenant, "acme"));
    assert_eq!((&first.device_name, first.device), (&device.name, device.id));
    assert_eq!((&first.topic, &first.payload, first.qos), (&expected.topic, &expected.payload, 1));
    assert_eq!((first.received_at, first.sent_at), (now(), Some(now() + HOUR)));
    assert_eq!(numbers(newest), [3, 2]);
    assert_eq!(numbers(found(&fixture, of(MessagePart::Before(2))).await), [1]);
    assert_eq!(numbers(found(&fixture, of(MessagePart::After(1))).await), [2, 3]);
    let all = TelemetryFilter { limit: 10, ..TelemetryFilter::default() };
    assert_eq!(found(&fixture, all.clone()).await.len(), 4);
    assert_eq!(found(&fixture, TelemetryFilter { from: Some(now() + HOUR), ..all.clone() }).await, []);
    assert_eq!(found(&fixture, TelemetryFilter { to: Some(now()), ..all }).await, []);
    assert_eq!(write!(fixture.store, |w| w.prune_messages(now())).unwrap(), 0);
    assert_eq!(write!(fixture.store, |w| w.prune_messages(now() + DAY)).unwrap(), 4);
}

#[tokio::test]
async fn only_what_says_that_it_may_have_come_before_is_held_against_earlier_ones() {
    let fixture = Fixture::new().await;
    let (device, other) = (fixture.device("d1").await, fixture.device("d2").await);
    let new = new_telemetry("{}");
    let again = NewTelemetry { is_dup: true, ..new.clone() };
    let first = taken(&fixture, &device, &new).await;
    taken(&fixture, &device, &new).await;
    taken(&fixture, &device, &again).await;
    taken(&fixture, &other, &again).await;
    taken(&fixture, &device, &NewTelemetry { topic: "another".to_owned(), ..again }).await;
    let rows = found(&fixture, TelemetryFilter { limit: 10, ..TelemetryFilter::default() }).await;
    let marks: Vec<_> = rows.iter().rev().map(|row| row.duplicate_of).collect();
    assert_eq!(marks, [None, None, Some(first), None, None]);
}

#[tokio::test]
async fn what_is_set_aside_reads_back_and_is_released_once() {
    let fixture = Fixture::new().await;
    let device = fixture.device("d1").await;
    for row in [set_aside(Some(&device)), set_aside(None)] {
        assert!(write!(fixture.store, |w| w.insert_set_aside(&row, 1)).unwrap());
    }
    let one_more = set_aside(Some(&device));
    assert!(!write!(fixture.store, |w| w.insert_set_aside(&one_more, 1)).unwrap(), "too many");
    let filter = SetAsideFilter { limit: 10, ..SetAsideFilter::default() };
    let everything = filter.clone();
    let all = read!(fixture.store, |r| r.set_aside(&everything)).unwrap();
    let expected =
        [SetAsideRow { id: 2, ..set_aside(None) }, SetAsideRow { id: 1, ..set_aside(Some(&device)) }];
    let plain = |row: &SetAsideRow| SetAsideRow { certificate: reference(), ..row.clone() };
    for (row, expected) in all.iter().zip(&expected) {
        let certificate = row.certificate.clone();
        assert_eq!(*row, SetAsideRow { certificate, ..plain(expected) });
    }
    assert_eq!(all.len(), 2);
    let own = SetAsideFilter { tenant: Some(device.tenant), ..filter.clone() };
    assert_eq!(read!(fixture.store, |r| r.set_aside(&own)).unwrap().len(), 1);
    let reason = SetAsideFilter { reason: Some("SCHEMA_INVALID".to_owned()), ..filter };
    assert_eq!(read!(fixture.store, |r| r.set_aside(&reason)).unwrap(), []);
    assert!(write!(fixture.store, |w| w.release_set_aside(1, now() + HOUR, 7)).unwrap());
    assert!(!write!(fixture.store, |w| w.release_set_aside(1, now() + DAY, 8)).unwrap());
    let released = read!(fixture.store, |r| r.set_aside_message(1)).unwrap().unwrap();
    assert_eq!(released.released, Some((now() + HOUR, 7)));
    assert_eq!(read!(fixture.store, |r| r.set_aside_message(3)).unwrap(), None);
}
