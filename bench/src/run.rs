//! The whole run: what is measured, in which order, and on which processors.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::{Context as _, anyhow};
use tokio::runtime::Builder;

use crate::arguments::{Arguments, Measure};
use crate::machine::{self, Cores};
use crate::peers::Peer;
use crate::report::{draw, print, progress, record};
use crate::site::Site;
use crate::table::Row;
use crate::{devices, doors, pki, postgres, program, store, table, upstream};

/// The rows of each measure, in the order of the page.
#[derive(Debug, Default)]
pub(crate) struct Tables(BTreeMap<Measure, Vec<Row>>);

impl Tables {
    /// Those of one measure, to be added to.
    pub(crate) fn of(&mut self, measure: Measure) -> &mut Vec<Row> {
        self.0.entry(measure).or_default()
    }
}

/// Measures what was asked for, and prints the table.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let program = match &arguments.program {
        Some(program) => fs_err::canonicalize(program).context("find the program")?,
        None => program::build(&arguments.profile)?,
    };
    let open_files = machine::raise_open_files();
    progress(&format!("{} open files, load {}", open_files, machine::load()));
    let folder = tempfile::Builder::new().prefix("countersign-bench-").tempdir().context("make a folder")?;
    let mut scale = arguments.scale();
    // A connection is two files of ours at most, the upstream's end included; the door's upstream ends are few.
    let most = usize::try_from(open_files).unwrap_or(usize::MAX).saturating_sub(500);
    (scale.idle, scale.sessions) = (scale.idle.min(most / 2), scale.sessions.min(most));

    let cores = Cores::divide();
    let (upstreams, sockets) = upstream::listen()?;
    let site = Site::prepare(folder.path(), cores, upstreams, &arguments.path)?;
    let fsync = machine::fsync_time(folder.path())?;
    let mut tables = Tables::default();

    // The stores and their load share all processors.
    let fleet = Builder::new_multi_thread().worker_threads(2).enable_all().build().context("start")?;
    fleet.block_on(pki::measure(&site, &program, (arguments, scale), &mut tables))?;
    if arguments.wants(Measure::Devices) && postgres::version().is_some() {
        let rows = tables.of(Measure::Devices);
        fleet.block_on(devices::measure(&site, &program, (&arguments.profile, scale), rows))?;
    }
    let stocked = if arguments.wants_fleet() {
        Some(fleet.block_on(store::measure(&site, &program, (arguments, scale), &mut tables))?)
    } else {
        None
    };
    drop(fleet);

    // The doors: a processor for the server, another for everything on this side.
    let measured = std::thread::scope(|scope| {
        let Some(stocked) = stocked else { return Ok(()) };
        let (site, tables) = (&site, &mut tables);
        let doors = scope.spawn(move || {
            cores.pin_generator();
            let runtime = Builder::new_current_thread().enable_all().build().context("start")?;
            runtime.block_on(async {
                upstream::serve_both(sockets);
                doors::measure(site, stocked, (arguments, scale), tables).await
            })
        });
        doors.join().map_err(|_panic| anyhow!("the measurement panicked"))?
    });
    let surroundings = surroundings(arguments, cores, fsync)?;
    let texts: Vec<(Measure, String)> = tables
        .0
        .iter()
        .filter(|(_measure, rows)| !rows.is_empty())
        .map(|(measure, rows)| (*measure, format!("{surroundings}\n{}", table::markdown(rows))))
        .collect();
    print(&texts.iter().map(|(_, text)| text.as_str()).collect::<Vec<_>>().join("\n"))?;
    // What was measured before something failed is worth seeing, not recording.
    measured?;
    if arguments.record {
        texts.iter().try_for_each(|(measure, text)| record(*measure, text))?;
        draw()?;
    }
    Ok(())
}

/// Where and beside what it was measured.
fn surroundings(arguments: &Arguments, cores: Cores, fsync: std::time::Duration) -> anyhow::Result<String> {
    let mut text = String::new();
    let placed = match cores {
        Cores::Apart { .. } => "server and load generator on a processor each",
        Cores::Together => "server and load generator on one processor",
    };
    writeln!(text, "Machine: {}; {placed}; load {} at the end.", machine::description(), machine::load())?;
    writeln!(text, "Disk: {:.2} ms for an fsync of 4 KiB.", fsync.as_secs_f64() * 1000.0)?;
    let peers = Peer::ALL.map(|peer| match peer.version(&arguments.path) {
        Some(version) => format!("{} {version}", peer.name()),
        None => format!("{} not installed", peer.name()),
    });
    let postgres = postgres::version().unwrap_or_else(|| "not installed".to_owned());
    writeln!(text, "Peers: {}. PostgreSQL {postgres}. Profile `{}`.", peers.join(", "), arguments.profile)?;
    Ok(text)
}
