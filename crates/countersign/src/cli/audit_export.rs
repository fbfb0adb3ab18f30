//! `countersign audit export`: copies entries to a file, also beside a running server.

use anyhow::Context as _;
use countersign_authority::audit::{AuditFilter, ChainScope};
use countersign_authority::audit_export::{AuditExport, ExportFormat};
use countersign_store::Store;

use super::arguments::{AuditExportArguments, AuditExportFormat};
use super::failure::Failure;
use super::output::print;
use super::run::{block_on, loaded};
use crate::audit_file;

/// Copies what matches; the file appears when it is whole.
pub(super) fn run(arguments: AuditExportArguments) -> Result<(), Failure> {
    let config = loaded(arguments.config)?.resolved;
    let filter = AuditFilter {
        scope: arguments.tenant.map_or(ChainScope::All, ChainScope::Tenant),
        since: arguments.from,
        until: arguments.to,
        ..AuditFilter::default()
    };
    let format = match arguments.format {
        AuditExportFormat::Jsonl => ExportFormat::JsonLines,
        AuditExportFormat::Csv => ExportFormat::Csv,
    };
    block_on(async {
        let store = Store::open_for_reading(&config.database).await.context("open the database")?;
        let export = AuditExport::begin(store, filter, format).await.context("read the audit")?;
        match &arguments.output {
            Some(path) => Ok(audit_file::write(vec![export], path).await?),
            None => Ok(to_stdout(export).await?),
        }
    })
}

async fn to_stdout(mut export: AuditExport) -> anyhow::Result<()> {
    while let Some(piece) = export.next_piece().await.context("read the audit")? {
        print(&piece)?;
    }
    Ok(())
}
