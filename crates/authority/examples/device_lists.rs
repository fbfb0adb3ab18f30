//! Measures pages of devices in a large fleet: the first and one in the middle, by status, by a part of a name, and the
//! queue of those that are quarantined.
//!
//! `cargo run --release -p countersign-authority --example device_lists -- sqlite:/var/tmp/l.db 1000000`
//! (the URL of an empty database, how many devices; the oldest tenth of them is quarantined, the newest hundredth
//! offline).
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measurement prints, and stops when it cannot"
)]

use std::time::Instant;

use countersign_core::device::{DeviceStatus, QuarantineReason};
use countersign_core::ids::DeviceId;
use countersign_core::time::{Clock as _, SystemClock};
use countersign_store::{DeviceCursor, DeviceFilter, Store, StoreError};

mod fleet;
mod house;

use self::fleet::fleet;
use self::house::open;

/// How many times each page is read; the slowest counts.
const TIMES: usize = 5;

#[tokio::main(worker_threads = 2)]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().unwrap();
    let devices: usize = arguments.next().unwrap().parse().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&url.parse().unwrap()).await.unwrap();
    store.migrate().await.unwrap();
    let authority = open(&store, directory.path()).await;
    let (began, now) = (Instant::now(), SystemClock.now());
    fleet(&store, &authority, devices, |number, device| {
        let age = u32::try_from(devices - number).unwrap();
        device.enrolled_at = now - std::time::Duration::from_secs(1) * age;
        if number < devices / 10 {
            device.status = DeviceStatus::Quarantined;
            device.quarantined_at = Some(device.enrolled_at);
            device.quarantined_reason = Some(QuarantineReason::known(QuarantineReason::EXPIRED));
        } else if number >= devices - devices / 100 {
            device.status = DeviceStatus::Offline;
        }
    })
    .await;
    println!("made: {:.0} s", began.elapsed().as_secs_f64());

    let middle = now - std::time::Duration::from_secs(devices as u64 / 2);
    let all = || DeviceFilter { limit: 50, ..DeviceFilter::default() };
    let by = |status| DeviceFilter { status: Some(status), ..all() };
    let text = |text: &str| DeviceFilter { text: Some(text.to_owned()), ..all() };
    let after = Some(format!("{}_{}", middle.millis(), DeviceId::random()).parse::<DeviceCursor>().unwrap());
    for (what, filter) in [
        ("first page", all()),
        ("page in the middle", DeviceFilter { after, ..all() }),
        ("online", by(DeviceStatus::Online)),
        ("offline", by(DeviceStatus::Offline)),
        ("quarantined", by(DeviceStatus::Quarantined)),
        ("maintenance, of which there is none", by(DeviceStatus::Maintenance)),
        ("every name", text("host")),
        ("one name, an old one", text("host-12345")),
        ("a part that no name has", text("nothing")),
    ] {
        slowest(what, || async {
            let filter = filter.clone();
            let read =
                store.read::<_, StoreError, _>(|r| Box::pin(async move { r.list_devices(&filter).await }));
            read.await.unwrap().devices.len()
        })
        .await;
    }
    slowest("the queue of the quarantined", || async {
        let read =
            store.read::<_, StoreError, _>(|r| Box::pin(async move { r.quarantined_devices(None).await }));
        read.await.unwrap().len()
    })
    .await;
    authority.close().await.unwrap();
}

/// Prints how long the slowest of several takes, and how many devices it gives.
async fn slowest<F: Future<Output = usize>>(what: &str, read: impl Fn() -> F) {
    let (mut longest, mut found) = (0.0_f64, 0);
    for _time in 0..TIMES {
        let began = Instant::now();
        found = read().await;
        longest = longest.max(began.elapsed().as_secs_f64());
    }
    println!("{what}: {:.1} ms, {found} devices", longest * 1000.0);
}
