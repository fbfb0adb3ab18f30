//! Heartbeats as agents send them.

use std::sync::Arc;

use countersign_testkit::Connection;
use tokio::time::{Instant, sleep_until};

use super::{Fleet, chance};
use crate::crowd::each;
use crate::device::{Device, Refused};
use crate::report::Tally;

pub(super) async fn run(fleet: Fleet<'_>) {
    let Fleet { plan, devices, tally, .. } = fleet;
    let end = Instant::now() + plan.duration;
    let count = devices.len();
    each(devices, count, |mut device| {
        let (tally, interval) = (Arc::clone(tally), plan.interval);
        async move {
            // As after a while: each has its own moment within the interval.
            let mut next = Instant::now() + interval.mul_f64(chance());
            let mut connection = None;
            while next < end {
                sleep_until(next).await;
                next += interval;
                beat(&mut device, &mut connection, &tally).await;
            }
        }
    })
    .await;
}

/// One heartbeat, and the renewal that its answer asks for.
async fn beat(device: &mut Device, connection: &mut Option<Connection>, tally: &Tally) {
    let open = connection.take().filter(|open| !open.is_closed());
    let mut open = match open {
        Some(open) => open,
        None => match tally.time("connect", device.connect()).await {
            Ok(open) => open,
            Err(_noted) => return,
        },
    };
    let Ok(answer) = tally.time("heartbeat", device.heartbeat(&mut open)).await else { return };
    if answer.renew_cert && answer.renew_from.is_none() {
        // The next one shows the new certificate.
        drop(open);
        let _noted: Result<(), Refused> = tally.time("renew", device.renew()).await;
    } else {
        *connection = Some(open);
    }
}
