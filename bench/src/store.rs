//! The control plane behind the door: enrolments and heartbeats, on both databases.

use std::path::Path;
use std::sync::Arc;

use serde_json::json;

use crate::arguments::{Arguments, Measure, Scale};
use crate::fleet::{self, Beats, Device};
use crate::installation::{Database, Installation, Room};
use crate::postgres;
use crate::report::progress;
use crate::run::Tables;
use crate::site::Site;
use crate::table::{Row, Target, Unit};
use crate::work::Work;

/// An installation with its devices.
#[derive(Debug)]
pub(crate) struct Stocked {
    pub(crate) installation: Installation,
    pub(crate) devices: Arc<Vec<Device>>,
}

/// Fills an installation with devices, and measures that, if it is wanted, on both databases. Gives the
/// one on SQLite.
pub(crate) async fn measure(
    site: &Site,
    program: &Path,
    (arguments, scale): (&Arguments, Scale),
    tables: &mut Tables,
) -> anyhow::Result<Stocked> {
    let rows = tables.of(Measure::Store);
    let is_wanted = arguments.wants(Measure::Store);
    if is_wanted && postgres::version().is_some() {
        stock(site, program, (Database::Postgres, scale), Some(rows)).await?;
    }
    let stocked = stock(site, program, (Database::Sqlite, scale), is_wanted.then_some(rows)).await?;
    fs_err::copy(stocked.installation.bundle(), site.device_cas())?;
    Ok(stocked)
}

async fn stock(
    site: &Site,
    program: &Path,
    (database, scale): (Database, Scale),
    rows: Option<&mut Vec<Row>>,
) -> anyhow::Result<Stocked> {
    let installation = Installation::start(site, program, database, Room::AllCores).await?;
    progress(&format!("{} devices enrol on {}", scale.devices, database.name()));
    let (devices, enrolled) = fleet::enrol(site, &installation, scale.devices).await?;
    let devices = Arc::new(devices);
    let Some(rows) = rows else { return Ok(Stocked { installation, devices }) };
    installation
        .admin
        .call("PATCH", "/agents/org/default/settings/mtls", &json!({"enforcement": "off"}))
        .await?;
    progress(&format!("their heartbeats on {}", database.name()));
    let first = fleet::heartbeats(site, &installation, &devices, Beats::First).await?;
    let mut beats = Work::default();
    for _round in 0..scale.rounds {
        beats.extend(fleet::heartbeats(site, &installation, &devices, Beats::For(scale.slice)).await?);
    }
    installation
        .admin
        .call("PATCH", "/agents/org/default/settings/mtls", &json!({"enforcement": "observe"}))
        .await?;
    let what = |what: &str| format!("{what}, {}", database.name());
    rows.extend(pair(&what("certificates/s over HTTP"), &enrolled, 4000.0));
    let of = format!("heartbeats/s of {} devices", devices.len());
    let coming = format!("{}: in 2 processor seconds", what(&format!("first {of}, each comes online")));
    rows.push(Row::alone(&coming, Unit::Rate, 2.0 * first.per_core(), None));
    rows.extend(pair(&what(&of), &beats, 20_000.0));
    Ok(Stocked { installation, devices })
}

/// What the server does in two processor seconds, which is what a machine of two processors does when
/// its load comes from elsewhere; and what was seen on the wall here.
pub(crate) fn pair(what: &str, work: &Work, least: f64) -> [Row; 2] {
    let target = Some(Target::AtLeast(least));
    [
        Row::alone(&format!("{what}: in 2 processor seconds"), Unit::Rate, 2.0 * work.per_core(), target),
        Row::alone(
            &format!("{what}: on the wall, load on the same processors"),
            Unit::Rate,
            work.per_second(),
            None,
        ),
    ]
}
