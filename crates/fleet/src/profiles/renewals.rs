//! Everybody renews.

use std::sync::Arc;

use super::Fleet;
use crate::crowd::each;
use crate::device::{Device, Refused};
use crate::report::Tally;

pub(super) async fn run(fleet: Fleet<'_>) {
    let Fleet { plan, devices, tally, .. } = fleet;
    each(devices, plan.at_once, |mut device| {
        let tally = Arc::clone(tally);
        async move {
            if tally.time("renew", device.renew()).await.is_ok()
                && let Err(refused) = come(&device, &tally).await
            {
                tally.violation(format!("{} was refused with its new certificate: {refused}", device.name));
            }
        }
    })
    .await;
}

async fn come(device: &Device, tally: &Tally) -> Result<(), Refused> {
    let mut connection = device.connect().await?;
    tally.time("heartbeat", device.heartbeat(&mut connection)).await.map(drop)
}
