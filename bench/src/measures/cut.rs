//! How long after a revocation was asked for the device's live session is closed.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::idle;
use crate::client::Profile;
use crate::fleet::Device;
use crate::installation::{AdminLine, Installation, text};
use crate::site::Site;

/// How long one may take before it counts as not closed at all.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two revocations.
const PACE: Duration = Duration::from_millis(50);

/// Revokes the certificates of the first `victims` one by one, and gives the time from each call to the end of
/// the session at the device. `sessions` wait for their ends, in the order of the devices.
pub(crate) async fn measure<S: Future<Output = ()> + Send + 'static>(
    installation: &Installation,
    (devices, sessions): (&[Device], Vec<S>),
    victims: usize,
) -> anyhow::Result<Vec<Duration>> {
    let mut certificates = Vec::with_capacity(victims);
    let mut line = AdminLine::open(&installation.admin).await?;
    for device in devices.iter().take(victims) {
        certificates.push(certificate(&mut line, device).await?);
    }
    let (ends, mut ended) = mpsc::unbounded_channel();
    let mut bystanders = Vec::new();
    for (number, session) in sessions.into_iter().enumerate() {
        if number >= victims {
            bystanders.push(session);
            continue;
        }
        let ends = ends.clone();
        tokio::spawn(async move {
            session.await;
            // Nobody listens any more: the measurement has failed and says so.
            ends.send((number, Instant::now())).unwrap_or_default();
        });
    }
    let mut ticks = interval(PACE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut times = Vec::with_capacity(victims);
    for (number, certificate) in certificates.iter().enumerate() {
        ticks.tick().await;
        let asked = Instant::now();
        line.call("POST", &format!("/certificates/{certificate}/revoke"), &json!({})).await?;
        let end = loop {
            let end = timeout(PATIENCE, ended.recv()).await.context("a session that was not closed")?;
            let (which, at) = end.context("nobody watches")?;
            if which == number {
                break at;
            }
        };
        times.push(end.saturating_duration_since(asked));
    }
    drop(bystanders);
    Ok(times)
}

/// Opens a session for each device, revokes all their certificates in one call, and gives how many there were
/// and the time from the call to the end of the last session.
pub(crate) async fn all(
    site: &Site,
    installation: &Installation,
    devices: &[Device],
) -> anyhow::Result<(usize, Duration)> {
    let connections = idle::open(site, Profile::LikeForLike, installation.door, devices).await?;
    let mut line = AdminLine::open(&installation.admin).await?;
    let chosen: Vec<&str> = devices.iter().map(|device| &*device.id).collect();
    let shown = line.call("POST", "/certificates/revoke/preview", &json!({"deviceIds": chosen})).await?;
    let selection = json!({"selectionId": text(&shown, "selectionId")?});
    let mut sessions = JoinSet::new();
    for connection in connections {
        sessions.spawn(async move {
            connection.ended().await;
            Instant::now()
        });
    }
    let asked = Instant::now();
    line.call("POST", "/certificates/revoke/execute", &selection).await?;
    let mut last = asked;
    while let Some(end) =
        timeout(PATIENCE, sessions.join_next()).await.context("a session that was not closed")?
    {
        last = last.max(end.context("wait for an end")?);
    }
    Ok((devices.len(), last.saturating_duration_since(asked)))
}

/// The id of a device's certificate.
pub(crate) async fn certificate(line: &mut AdminLine, device: &Device) -> anyhow::Result<String> {
    let body = line.call("GET", &format!("/devices/{}", device.id), &Value::Null).await?;
    let certificate = body.get("certificate").context("a device without a certificate")?;
    text(certificate, "id").map(str::to_owned)
}
