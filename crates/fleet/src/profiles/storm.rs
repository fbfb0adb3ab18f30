//! Everybody comes back at once.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::{Fleet, chance};
use crate::crowd::each;
use crate::device::{Device, Refused};
use crate::report::Tally;

/// How long an agent waits after a first failure; twice as long after each further one.
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(30);

pub(super) async fn run(fleet: Fleet<'_>) {
    let Fleet { plan, devices, tally, .. } = fleet;
    let (began, end) = (Instant::now(), Instant::now() + plan.duration);
    let count = devices.len();
    each(devices, count, |device| {
        let tally = Arc::clone(tally);
        async move {
            let mut wait = FIRST_WAIT;
            while come_back(&device, &tally).await.is_err() {
                if Instant::now() >= end {
                    return tally.violation(format!("{} did not get back in", device.name));
                }
                sleep_until(Instant::now() + wait.mul_f64(0.5 + chance())).await;
                wait = (wait * 2).min(LONGEST_WAIT);
            }
            tally.took("back after", began.elapsed());
        }
    })
    .await;
}

async fn come_back(device: &Device, tally: &Tally) -> Result<(), Refused> {
    let mut connection = tally.time("connect", device.connect()).await?;
    tally.time("heartbeat", device.heartbeat(&mut connection)).await.map(drop)
}
