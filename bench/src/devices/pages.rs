//! How long what people look at takes, one request after the other.

use std::time::Instant;

use crate::installation::{Admin, AdminLine};
use crate::table::{Row, Target, Unit};
use crate::work::percentile;

/// How many times each is asked for.
const TIMES: usize = 200;

/// What is asked for, and what may be its p99 in milliseconds.
const ASKED: [(&str, &str, f64); 12] = [
    ("devices, the first page", "/api/v1/devices?limit=50", 200.0),
    ("devices, a part of every name", "/api/v1/devices?q=host&limit=50", 200.0),
    ("devices, a part of a thousand names", "/api/v1/devices?q=host-0123&limit=50", 200.0),
    ("devices, one name", "/api/v1/devices?q=host-0777777&limit=50", 200.0),
    ("devices, a part of no name", "/api/v1/devices?q=nothing&limit=50", 200.0),
    ("devices, a tenant's that are offline", "/api/v1/devices?tenant=acme&status=offline&limit=50", 200.0),
    ("devices, in quarantine", "/api/v1/devices?status=quarantined&limit=50", 200.0),
    ("the quarantine list", "/api/v1/agents/quarantined", 200.0),
    ("console: overview", "/console/", 300.0),
    ("console: devices", "/console/devices", 300.0),
    ("console: quarantine", "/console/quarantine", 300.0),
    ("console: rollout", "/console/rollout", 300.0),
];

/// A row for each.
pub(super) async fn measure(admin: &Admin) -> anyhow::Result<Vec<Row>> {
    let mut line = AdminLine::open(admin).await?;
    let mut rows = Vec::with_capacity(ASKED.len());
    for (what, path, most) in ASKED {
        let mut times = Vec::with_capacity(TIMES);
        for _time in 0..TIMES {
            let began = Instant::now();
            line.look(path).await?;
            times.push(began.elapsed());
        }
        let p99 = percentile(&mut times, 0.99).as_secs_f64() * 1000.0;
        rows.push(Row::alone(&format!("{what}: p99"), Unit::Milliseconds, p99, Some(Target::AtMost(most))));
    }
    Ok(rows)
}
