//! The whole run: what is measured, in which order, and on which processors.

use std::fmt::Write as _;

use anyhow::{Context as _, anyhow};
use tokio::runtime::Builder;

use crate::arguments::Arguments;
use crate::machine::{self, Cores};
use crate::peers::Peer;
use crate::report::{Place, print, progress, record};
use crate::site::Site;
use crate::{doors, pki, postgres, program, store, table, upstream};

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
    // A connection is two files of ours at most, the upstream's end included.
    let most = usize::try_from(open_files).unwrap_or(usize::MAX).saturating_sub(500) / 2;
    (scale.idle, scale.sessions) = (scale.idle.min(most), scale.sessions.min(most));

    let cores = Cores::divide();
    let site = Site::prepare(folder.path(), cores, upstream::start(cores)?, &arguments.path)?;
    let fsync = machine::fsync_time(folder.path())?;
    let (mut rows, mut pki_rows) = (Vec::new(), Vec::new());

    // The stores and their load share all processors.
    let fleet = Builder::new_multi_thread().worker_threads(2).enable_all().build().context("start")?;
    fleet.block_on(pki::measure(&site, &program, (arguments, scale), &mut pki_rows))?;
    let stocked = if arguments.wants_fleet() {
        Some(fleet.block_on(store::measure(&site, &program, (arguments, scale), &mut rows))?)
    } else {
        None
    };
    drop(fleet);

    // The doors: a processor for the server, another for everything on this side.
    let measured = std::thread::scope(|scope| {
        let Some(stocked) = stocked else { return Ok(()) };
        let (site, rows) = (&site, &mut rows);
        let doors = scope.spawn(move || {
            cores.pin_generator();
            let runtime = Builder::new_current_thread().enable_all().build().context("start")?;
            runtime.block_on(doors::measure(site, stocked, (arguments, scale), rows))
        });
        doors.join().map_err(|_panic| anyhow!("the measurement panicked"))?
    });
    let surroundings = surroundings(arguments, cores, fsync)?;
    let installed = Peer::ALL.map(|peer| !arguments.alone && peer.program(&arguments.path).is_some());
    let mut tables = Vec::new();
    for (place, rows) in [(Place::Doors, rows), (Place::Pki, pki_rows)] {
        if !rows.is_empty() {
            tables.push((place, format!("{surroundings}\n{}", table::markdown(&rows, &installed))));
        }
    }
    print(&tables.iter().map(|(_, text)| text.as_str()).collect::<Vec<_>>().join("\n"))?;
    // What was measured before something failed is worth seeing, not recording.
    measured?;
    if arguments.record {
        tables.iter().try_for_each(|(place, text)| record(*place, text))?;
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
