//! A server with many certificates on record: how long it takes to start, its memory, its OCSP responder.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, ensure};

use crate::arguments::Scale;
use crate::installation::{Database, Installation, Room};
use crate::machine;
use crate::pki::ocsp::{self, Questions};
use crate::program::build_example;
use crate::report::progress;
use crate::site::Site;
use crate::store::pair;
use crate::table::{Row, Target, Unit};

/// How many certificates are asked about again and again.
const FEW: usize = 1000;

/// Measures it on SQLite.
pub(crate) async fn measure(
    site: &Site,
    program: &Path,
    (profile, scale): (&str, Scale),
    rows: &mut Vec<Row>,
) -> anyhow::Result<()> {
    let fill = build_example(profile, "countersign-store", "fill")?;
    let folder = site.folder.join("countersign-million");
    let count = scale.certificates;
    let made = (Database::Sqlite, Room::AllCores);
    let installation = Installation::start_in(folder.clone(), site, program, made).await?;
    let empty = machine::resident(installation.process().id());
    progress(&format!("{count} certificates are put on record"));
    let serials = folder.join("serials");
    let mut began = Instant::now();
    let filled = installation.start_after(site, Room::AllCores, |folder| {
        let done = Command::new(fill)
            .arg(format!("sqlite:{}", folder.join("data/countersign.db").display()))
            .args([count, count / 10].map(|number| number.to_string()))
            .arg(&serials)
            .stdin(Stdio::null())
            .status();
        ensure!(done.context("fill the database")?.success(), "the database was not filled");
        began = Instant::now();
        Ok(())
    });
    let installation = filled.await?;
    let started = began.elapsed();
    let resident = || machine::resident(installation.process().id());
    let on_record = format!("{count} certificates on record, a tenth revoked, SQLite");
    let megabytes = |octets: u64| octets as f64 / 1_000_000.0;
    let mut row = |what: &str, unit, own| rows.push(Row::alone(what, unit, own, None));
    row("resident memory of a server with nothing on record", Unit::Megabytes, megabytes(empty));
    row(&format!("resident memory, {on_record}: started"), Unit::Megabytes, megabytes(resident()));
    row(&format!("start to ready, {on_record}"), Unit::Milliseconds, started.as_secs_f64() * 1000.0);

    let questions = Questions::read(&installation.bundle(), &serials, &site.path)?;
    let Some(questions) = questions else {
        progress("openssl is not installed: OCSP is not measured");
        return Ok(());
    };
    progress("OCSP, each certificate once, then few again and again");
    let each = ocsp::ask(&installation, &questions, (scale, usize::MAX)).await?;
    let few = ocsp::ask(&installation, &questions, (scale, FEW)).await?;
    rows.extend(pair(
        &format!("OCSP responses/s over HTTP, each of {count} certificates once"),
        &each,
        5000.0,
    ));
    let asked = format!("OCSP responses/s over HTTP, {FEW} certificates again and again");
    rows.extend(pair(&asked, &few, 5000.0));
    let what = format!("resident memory, {on_record}: after OCSP");
    rows.push(Row::alone(&what, Unit::Megabytes, megabytes(resident()), None::<Target>));
    Ok(())
}
