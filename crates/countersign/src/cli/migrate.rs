//! `countersign migrate`.

use super::arguments::MigrateArguments;
use super::failure::Failure;
use super::run::loaded;

/// Brings the database to this version.
pub(super) fn run(arguments: MigrateArguments) -> Result<(), Failure> {
    let _config = loaded(arguments.config)?.resolved;
    Err(anyhow::anyhow!("waits for the store").into())
}
