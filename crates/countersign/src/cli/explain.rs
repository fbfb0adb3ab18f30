//! `countersign explain`.

use super::arguments::ExplainArguments;
use super::failure::Failure;
use super::run::loaded;

/// Shows the facts behind a refused request.
pub(super) fn run(arguments: ExplainArguments) -> Result<(), Failure> {
    let _config = loaded(arguments.config)?.resolved;
    let _request = (arguments.request, arguments.json);
    Err(anyhow::anyhow!("waits for the store").into())
}
