//! The whole of it, in the order in which an installation grows and is attacked.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use crate::arguments::Scale;
use crate::client::Clients;
use crate::devices::edges::{Edge, newest, until_beyond};
use crate::devices::pages;
use crate::fleet::{self, Beats, Device};
use crate::installation::{AdminLine, Database, Installation, Room, text};
use crate::measures::cut;
use crate::program::build_example;
use crate::report::progress;
use crate::site::Site;
use crate::store::pair;
use crate::table::{Row, Target, Unit};
use crate::work::Work;

/// The tenant that falls, with a tenth of all devices.
const FALLING: &str = "acme";

/// One of so many of the others is in quarantine.
const QUARANTINED: usize = 100;

/// How many edges there are.
const EDGES: usize = 3;

/// Measures it.
pub(crate) async fn measure(
    site: &Site,
    program: &Path,
    (profile, scale): (&str, Scale),
    rows: &mut Vec<Row>,
) -> anyhow::Result<()> {
    let folder = site.folder.join("devices");
    fs_err::create_dir_all(&folder).context("make a folder")?;
    // Its door shows a certificate of its own CA, which edges ask for.
    let site =
        Site { folder: folder.clone(), path: site.path.clone(), clients: site.clients.clone(), ..*site };
    let made = (Database::TunedPostgres, Room::AllCores);
    let installation = Installation::start_in(folder, &site, program, made).await?;
    let site = Site { clients: Clients::of_pem(&fs_err::read(installation.bundle())?)?, ..site };
    let (installation, started) = filled(installation, &site, profile, scale.certificates).await?;
    let of = format!("{} devices", scale.certificates);
    let least = |most| Some(Target::AtMost(most));
    rows.push(Row::alone(
        &format!("start to ready, {of}"),
        Unit::Milliseconds,
        millis(started),
        least(5000.0),
    ));
    progress("pages and lists");
    rows.extend(pages::measure(&installation.admin).await?);

    progress("devices enrol and say that they are there");
    let (devices, enrolled) = fleet::enrol(&site, &installation, scale.devices.min(20_000)).await?;
    rows.extend(pair(&format!("enrolments/s over HTTP, {of}"), &enrolled, 500.0));
    let devices = Arc::new(devices);
    let mut beats = Work::default();
    fleet::heartbeats(&site, &installation, &devices, Beats::First).await?;
    for _round in 0..scale.rounds {
        beats.extend(fleet::heartbeats(&site, &installation, &devices, Beats::For(scale.slice)).await?);
    }
    rows.extend(pair(&format!("heartbeats/s over HTTP, {of}"), &beats, 5000.0));
    falls(&installation, program, &devices, rows).await
}

/// Puts the devices on record while no process uses them; how long the server took to start then.
async fn filled(
    installation: Installation,
    site: &Site,
    profile: &str,
    count: usize,
) -> anyhow::Result<(Installation, Duration)> {
    let fill = build_example(profile, "countersign-store", "fill")?;
    let tenant = json!({"slug": FALLING, "name": "Acme"});
    installation.admin.call("POST", "/tenants", &tenant).await?;
    progress(&format!("{count} devices are put on record"));
    let (url, mut began) = (installation.database_url().context("no PostgreSQL")?, Instant::now());
    let installation = installation.start_after(site, Room::AllCores, |folder| {
        let some = count / 10;
        for (tenant, devices, fallen) in [("default", count - some, count / QUARANTINED), (FALLING, some, 0)]
        {
            let done = Command::new(&fill)
                .args([&url, &devices.to_string(), &fallen.to_string()])
                .arg(folder.join("serials"))
                .arg(tenant)
                .stdin(Stdio::null())
                .status();
            ensure!(done.context("fill the database")?.success(), "the database was not filled");
        }
        began = Instant::now();
        Ok(())
    });
    Ok((installation.await?, began.elapsed()))
}

/// What falls, and how edges take it.
async fn falls(
    installation: &Installation,
    program: &Path,
    devices: &[Device],
    rows: &mut Vec<Row>,
) -> anyhow::Result<()> {
    progress(&format!("{EDGES} edges attach"));
    let mut edges = Vec::with_capacity(EDGES);
    for number in 1..=EDGES {
        edges.push(Edge::start(installation, program, &format!("edge-{number}")).await?);
    }
    let admin = &installation.admin;
    let before = until_beyond(admin, &edges, 0).await?;
    let empty: Vec<u64> = edges.iter().map(Edge::memory).collect();
    let mut line = AdminLine::open(admin).await?;
    let shown = line.call("POST", "/certificates/revoke/preview", &json!({"tenant": FALLING})).await?;
    let count = shown.get("count").and_then(Value::as_u64).context("a preview without a count")?;
    progress(&format!("{count} certificates are revoked in one call"));
    let selection = json!({"selectionId": text(&shown, "selectionId")?});
    let began = Instant::now();
    line.call("POST", "/certificates/revoke/execute", &selection).await?;
    let answered = began.elapsed();
    until_beyond(admin, &edges, before).await?;
    let applied = began.elapsed();
    let least = |most| Some(Target::AtMost(most));
    let what = format!("{count} revoked in one call: answered");
    rows.push(Row::alone(&what, Unit::Milliseconds, millis(answered), least(10_000.0)));
    let what = format!("{count} revoked in one call: enforced by {EDGES} edges elsewhere");
    rows.push(Row::alone(&what, Unit::Milliseconds, millis(applied), least(10_000.0)));
    let grown = edges.iter().zip(&empty).map(|(edge, empty)| edge.memory().saturating_sub(*empty));
    let each = grown.sum::<u64>() as f64 / EDGES as f64 / count as f64;
    rows.push(Row::alone("memory of an edge for each of them, told as a change", Unit::Octets, each, None));

    let Some(last) = edges.last_mut() else { return Ok(()) };
    last.stop();
    progress("an edge is away while certificates are revoked one by one");
    let changes = devices.len().min(10_000);
    for device in devices.iter().take(changes) {
        let certificate = cut::certificate(&mut line, device).await?;
        line.call("POST", &format!("/certificates/{certificate}/revoke"), &json!({})).await?;
    }
    let there = newest(admin, &edges).await?;
    let began = Instant::now();
    if let Some(last) = edges.last_mut() {
        last.start_again(installation, program).await?;
    }
    until_beyond(admin, &edges, there - 1).await?;
    let what = format!("an edge that missed {changes} changes: from its start until it enforces them");
    rows.push(Row::alone(&what, Unit::Milliseconds, millis(began.elapsed()), least(5000.0)));
    let grown = edges.last().map(Edge::memory).unwrap_or_default();
    let grown = grown.saturating_sub(empty.last().copied().unwrap_or_default());
    let each = grown as f64 / (count as f64 + changes as f64);
    let what = "memory of an edge for each certificate, told whole: key and quarantined device included";
    rows.push(Row::alone(what, Unit::Octets, each, least(100.0)));
    Ok(())
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
