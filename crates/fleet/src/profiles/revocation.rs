//! All certificates fall in one call, while every device has a connection open.

use std::sync::Arc;
use std::time::Duration;

use countersign_testkit::Connection;
use tokio::time::{Instant, timeout};

use super::Fleet;
use crate::crowd::each;
use crate::device::Device;

/// How long a connection may outlive its certificate before the report calls that a violation.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) async fn run(fleet: Fleet<'_>) -> anyhow::Result<()> {
    let Fleet { site, plan, devices, tally } = fleet;
    let open = each(devices, plan.at_once, |device| {
        let tally = Arc::clone(tally);
        async move {
            let mut connection = tally.time("connect", device.connect()).await.ok()?;
            tally.time("heartbeat", device.heartbeat(&mut connection)).await.ok()?;
            Some((device, connection))
        }
    })
    .await;
    let open: Vec<(Device, Connection)> = open.into_iter().flatten().collect();
    let (count, began) = (open.len(), Instant::now());
    let closing = each(open, count, |(device, mut connection)| {
        let tally = Arc::clone(tally);
        async move {
            match timeout(PATIENCE, connection.closed()).await {
                Ok(()) => tally.took("closed after the call", began.elapsed()),
                Err(_late) => tally.violation(format!("{} is still connected", device.name)),
            }
            device
        }
    });
    let revoking = async {
        let revoked = site.admin.revoke_all_of(&plan.tenant).await;
        tally.took("revoke, in one call", began.elapsed());
        revoked
    };
    let (fallen, revoked) = tokio::join!(closing, revoking);
    revoked?;
    each(fallen, plan.at_once, |device| {
        let tally = Arc::clone(tally);
        async move {
            let coming = async {
                let mut connection = device.connect().await?;
                device.heartbeat(&mut connection).await
            };
            match coming.await {
                Ok(_admitted) => tally.violation(format!("{} came in after its revocation", device.name)),
                Err(refused) => tally.refused("come back", &refused),
            }
        }
    })
    .await;
    Ok(())
}
