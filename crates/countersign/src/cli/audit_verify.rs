//! `countersign audit verify`.

use super::arguments::AuditVerifyArguments;
use super::failure::Failure;
use super::run::loaded;

/// Recomputes every chain.
pub(super) fn run(arguments: AuditVerifyArguments) -> Result<(), Failure> {
    let _config = loaded(arguments.config)?.resolved;
    let _json = arguments.json;
    Err(anyhow::anyhow!("waits for the store").into())
}
