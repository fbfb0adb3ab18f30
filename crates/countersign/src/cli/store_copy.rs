//! `countersign store copy`: moves the records from an SQLite file to PostgreSQL.

use anyhow::Context as _;
use countersign_store::{CopyProgress, CopyReport, StoreUrl, copy};
use serde_json::{Value, json};

use super::arguments::StoreCopyArguments;
use super::failure::Failure;
use super::output::{note, print, print_json};
use super::run::block_on;

/// Copies everything, or nothing.
pub(super) fn run(arguments: &StoreCopyArguments) -> Result<(), Failure> {
    let from = url(&arguments.from, "--from")?;
    let to = url(&arguments.to, "--to")?;
    let mut shown = Shown::default();
    let report = block_on(async {
        let copied = copy(&from, &to, |step| shown.step(step)).await;
        Ok(copied.with_context(|| format!("copy {from} to {to}"))?)
    });
    let report = report.map_err(|failure| failure.hint("nothing was copied; the source is as it was"))?;
    let printed = if arguments.json { print_json(&as_json(&report)) } else { print(&text(&report)) };
    Ok(printed?)
}

/// Read here and not by the command line's parser, which would print it, password and all.
fn url(text: &str, flag: &'static str) -> Result<StoreUrl, Failure> {
    text.parse()
        .map_err(|error| Failure::bad_usage(anyhow::Error::new(error).context(format!("read {flag}"))))
}

/// Says on stderr how far the copy is: a line for each table and for each tenth of the whole.
#[derive(Default)]
struct Shown {
    table: String,
    tenths: u64,
}

impl Shown {
    fn step(&mut self, CopyProgress { table, done, total }: CopyProgress<'_>) {
        let tenths = done.saturating_mul(10).checked_div(total).unwrap_or(10);
        if self.table != table || self.tenths != tenths {
            self.tenths = tenths;
            table.clone_into(&mut self.table);
            note(&format!("copying {table}: {done} of {total} rows done"));
        }
    }
}

fn text(report: &CopyReport) -> String {
    let lines: String =
        report.tables.iter().map(|table| format!("{}: {} rows\n", table.name, table.rows)).collect();
    let (rows, chains) = (rows_of(report), report.chains.len());
    format!("{lines}Copied {rows} rows; {chains} audit chains recomputed, intact.\n")
}

fn as_json(report: &CopyReport) -> Value {
    let tables: Vec<Value> =
        report.tables.iter().map(|table| json!({ "name": table.name, "rows": table.rows })).collect();
    let chains: Vec<Value> = report
        .chains
        .iter()
        .map(|chain| json!({ "tenant": chain.tenant, "entries": chain.entries, "head": hex::encode(chain.head) }))
        .collect();
    json!({ "rows": rows_of(report), "tables": tables, "chains": chains })
}

fn rows_of(report: &CopyReport) -> u64 {
    report.tables.iter().map(|table| table.rows).sum()
}
