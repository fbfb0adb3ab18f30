//! What falls while others come: one certificate after the other, many at once, all of them.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::{Value, json};
use tokio::time::{MissedTickBehavior, interval};

use crate::arguments::Scale;
use crate::client::{Connection, Profile};
use crate::doors::{Cast, REGULARS};
use crate::fleet::{self, Device};
use crate::installation::{Admin, AdminLine, Installation, text};
use crate::measures::handshakes::{self, Visitors};
use crate::measures::{cut, idle};
use crate::process::Process;
use crate::report::progress;
use crate::site::Site;
use crate::table::{Row, Target, Unit};
use crate::work::{Work, percentile};

/// How many certificates are revoked each second where some are.
const REVOCATIONS: u64 = 10;
/// How many are revoked by one call where all are.
const AT_ONCE: usize = 10_000;

/// Known devices shake hands while certificates of others are revoked.
pub(crate) async fn with_revocations(
    site: &Site,
    door: &Installation,
    cast: &Cast<'_>,
    scale: Scale,
) -> anyhow::Result<Row> {
    progress(&format!("handshakes with {REVOCATIONS} revocations a second"));
    let mut line = AdminLine::open(&door.admin).await?;
    let mut certificates = Vec::new();
    let wanted = scale.rounds as f64 * scale.slice.as_secs_f64() * REVOCATIONS as f64 + 10.0;
    for device in cast.victims().iter().take(wanted as usize) {
        certificates.push(cut::certificate(&mut line, device).await?);
    }
    let revoking = tokio::spawn(async move {
        let mut ticks = interval(Duration::from_secs(1) / u32::try_from(REVOCATIONS)?);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for certificate in certificates {
            ticks.tick().await;
            line.call("POST", &format!("/certificates/{certificate}/revoke"), &json!({})).await?;
        }
        anyhow::Ok(())
    });
    let known = regulars(site, door, cast.regulars(), scale).await?;
    revoking.abort();
    if let Ok(outcome) = revoking.await {
        outcome?;
    }
    let what =
        format!("full handshakes/s per core, known devices, {REVOCATIONS} revocations/s, like for like");
    Ok(Row::alone(&what, Unit::Rate, known.per_core(), None))
}

/// Full handshakes of known devices at the door alone.
async fn regulars(
    site: &Site,
    door: &Installation,
    devices: &[Device],
    scale: Scale,
) -> anyhow::Result<Work> {
    let mut work = Work::default();
    for _round in 0..scale.rounds {
        let server = (door.process(), door.door);
        let visitors = Visitors::Regulars(devices);
        let (round, _) =
            handshakes::measure(site, Profile::LikeForLike, server, visitors, scale.slice).await?;
        work.extend(round);
    }
    Ok(work)
}

/// Sessions that are open while certificates fall: how long each is, and how long all of them are still there.
pub(crate) async fn cut_sessions(
    site: &Site,
    door: &Installation,
    cast: &Cast<'_>,
    scale: Scale,
) -> anyhow::Result<Vec<Row>> {
    progress(&format!("revocations with {} live sessions", scale.sessions));
    let devices = cast.last(scale.sessions);
    let sessions = idle::open(site, Profile::LikeForLike, door.door, devices).await?;
    let sessions = sessions.into_iter().map(Connection::ended).collect();
    let times = cut::measure(door, (devices, sessions), scale.cuts).await?;
    let mut rows = cut_rows("session", devices.len(), times);
    progress("all of them in one call");
    let (count, taken) = cut::all(site, door, cast.before_last(scale.sessions)).await?;
    let what = format!("revoke {count} at once → the last of their sessions closed");
    rows.push(Row::alone(&what, Unit::Milliseconds, taken.as_secs_f64() * 1000.0, None));
    Ok(rows)
}

/// How long sessions of a kind took to end, of so many.
pub(crate) fn cut_rows(kind: &str, sessions: usize, mut times: Vec<Duration>) -> Vec<Row> {
    let mut row = |share, words: &str, target| {
        let time = percentile(&mut times, share).as_secs_f64() * 1000.0;
        let what = format!("revoke → {kind} closed, {sessions} live {kind}s, {words}");
        Row::alone(&what, Unit::Milliseconds, time, target)
    };
    vec![row(0.5, "median", None), row(0.99, "p99", Some(Target::AtMost(1000.0)))]
}

/// The same handshakes before and after all certificates of the fleet are revoked.
pub(crate) async fn with_all_revoked(
    site: &Site,
    door: &Installation,
    cast: &Cast<'_>,
    scale: Scale,
) -> anyhow::Result<Vec<Row>> {
    let (fresh, _) = fleet::enrol_named(site, door, REGULARS, "fresh").await?;
    let before = regulars(site, door, &fresh, scale).await?.per_core();
    progress(&format!("{} certificates are revoked", cast.all.len()));
    let spared: Vec<&str> = fresh.iter().map(|device| &*device.id).collect();
    let began = Instant::now();
    let count = revoke_all(&door.admin, &spared).await?;
    progress(&format!("{count} revoked in {:.1} s", began.elapsed().as_secs_f64()));
    let lists = settled(door.process()).await;
    progress(&format!("what follows took {:.1} s of a processor", lists.as_secs_f64()));
    let after = regulars(site, door, &fresh, scale).await?.per_core();
    let loss = (1.0 - after / before) * 100.0;
    let what = format!("full handshakes/s per core, known devices, {count} revoked, like for like");
    Ok(vec![
        Row::alone(&what, Unit::Rate, after, None),
        Row::alone("loss by it", Unit::Percent, loss, Some(Target::AtMost(2.0))),
    ])
}

/// Waits until a server has nothing more to do by itself, a minute at most: its processor time until then.
/// The signing of revocation lists is no loss of handshakes.
async fn settled(process: &Process) -> Duration {
    let began = process.cpu_time();
    let mut last = began;
    let mut ticks = interval(Duration::from_secs(1));
    // The first one comes at once.
    ticks.tick().await;
    for _second in 0..60 {
        ticks.tick().await;
        let now = process.cpu_time();
        if now.saturating_sub(last) < Duration::from_millis(30) {
            break;
        }
        last = now;
    }
    last.saturating_sub(began)
}

/// Revokes every active certificate but those of the spared devices; how many.
async fn revoke_all(admin: &Admin, spared: &[&str]) -> anyhow::Result<usize> {
    let mut certificates = Vec::new();
    let mut line = AdminLine::open(admin).await?;
    let mut cursor = String::new();
    loop {
        let page = line.call("GET", &format!("/devices?limit=200{cursor}"), &Value::Null).await?;
        let devices = page.get("devices").and_then(Value::as_array).context("a list without devices")?;
        for device in devices.iter().filter(|device| text(device, "id").is_ok_and(|id| !spared.contains(&id)))
        {
            let Some(certificate) = device.get("certificate").filter(|certificate| !certificate.is_null())
            else {
                continue;
            };
            if text(certificate, "state")? == "active" {
                certificates.push(text(certificate, "id")?.to_owned());
            }
        }
        match page.get("nextCursor").and_then(Value::as_str) {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    for group in certificates.chunks(AT_ONCE) {
        line.call("POST", "/certificates/revoke", &json!({"certificateIds": group})).await?;
    }
    Ok(certificates.len())
}
