//! Connections break in the middle of heartbeats and renewals. Afterwards everybody must get in.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout};

use super::{Fleet, chance};
use crate::crowd::each;
use crate::device::{Device, Refused};
use crate::report::Tally;

/// The longest that something may go on before its connection breaks.
const LONGEST: Duration = Duration::from_millis(60);
/// How often in a hundred a device renews instead of beating.
const RENEWALS: f64 = 0.1;
/// How often a device tries to get in when all is over, and how long it waits in between.
const TRIES: u32 = 10;
const PAUSE: Duration = Duration::from_millis(500);

pub(super) async fn run(fleet: Fleet<'_>) {
    let Fleet { plan, devices, tally, .. } = fleet;
    let end = Instant::now() + plan.duration;
    each(devices, plan.at_once, |mut device| {
        let tally = Arc::clone(tally);
        async move {
            while Instant::now() < end {
                let patience = LONGEST.mul_f64(chance());
                // Dropped in the middle, whatever is open is closed.
                if timeout(patience, act(&mut device, &tally)).await.is_err() {
                    tally.took("broken off", patience);
                }
            }
            if let Err(refused) = settle(&mut device, &tally).await {
                tally.violation(format!("{} is locked out: {refused}", device.name));
            }
        }
    })
    .await;
}

async fn act(device: &mut Device, tally: &Tally) {
    let _noted: Result<(), Refused> = if chance() < RENEWALS {
        tally.time("renew", device.renew()).await
    } else {
        tally.time("heartbeat", beat(device)).await
    };
}

/// As an agent does when it has peace again: confirms what it has, and beats.
async fn settle(device: &mut Device, tally: &Tally) -> Result<(), Refused> {
    let mut tries = 0;
    loop {
        let settled = async {
            device.confirm().await?;
            beat(device).await
        };
        match tally.time("settle", settled).await {
            Ok(()) => return Ok(()),
            Err(refused) if tries == TRIES => return Err(refused),
            Err(_refused) => tries += 1,
        }
        sleep_until(Instant::now() + PAUSE).await;
    }
}

async fn beat(device: &Device) -> Result<(), Refused> {
    let mut connection = device.connect().await?;
    device.heartbeat(&mut connection).await.map(drop)
}
