//! Clocks of devices are wrong. Nothing that a device says of the time counts, and a device with a clock so wrong
//! that the server's certificate is not valid by it keeps away by itself.

use std::sync::Arc;
use std::time::Duration;

use countersign_core::time::{Clock, SystemClock, Timestamp};

use super::Fleet;
use crate::crowd::each;

/// By how much, in seconds, before and after.
const SKEWS: [u64; 4] = [120, 3600, 24 * 3600, 400 * 24 * 3600];
/// Up to this every certificate is valid by either clock: they are backdated by five minutes.
const HARMLESS: u64 = 240;

/// A clock that goes wrong.
#[derive(Clone, Copy, Debug)]
enum Skewed {
    Behind(Duration),
    Ahead(Duration),
}

impl Clock for Skewed {
    fn now(&self) -> Timestamp {
        match self {
            Self::Behind(by) => SystemClock.now() - *by,
            Self::Ahead(by) => SystemClock.now() + *by,
        }
    }
}

pub(super) async fn run(fleet: Fleet<'_>) {
    let Fleet { plan, devices, tally, .. } = fleet;
    let skews: Vec<_> = [false, true].into_iter().flat_map(|ahead| SKEWS.map(|by| (by, ahead))).collect();
    each(devices.into_iter().zip(skews.into_iter().cycle()), plan.at_once, |(mut device, (by, is_ahead))| {
        let tally = Arc::clone(tally);
        async move {
            let skew = Duration::from_secs(by);
            let clock = if is_ahead { Skewed::Ahead(skew) } else { Skewed::Behind(skew) };
            device.held.client = device.held.client.clone().clock(Arc::new(clock));
            let coming = async {
                let mut connection = tally.time("connect", device.connect()).await?;
                tally.time("heartbeat", device.heartbeat(&mut connection)).await
            };
            if let Err(refused) = coming.await
                && by <= HARMLESS
            {
                tally.violation(format!("{} is {by} s off, and was refused: {refused}", device.name));
            }
        }
    })
    .await;
}
