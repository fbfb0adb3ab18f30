//! `countersign serve`.

use std::sync::Arc;

use anyhow::Context as _;
use countersign_supervisor::{Sockets, Supervisor, Variables};

use super::arguments::ServeArguments;
use super::failure::Failure;
use super::run::loaded;
use crate::serve::make_private_directory;
use crate::{files_limit, logging, sandbox};

/// Reads the configuration, raises the file-descriptor limit and serves until told to stop.
pub(super) fn run(arguments: ServeArguments) -> Result<(), Failure> {
    let flags = arguments.config.clone();
    let read_again = Arc::new(move || loaded(flags.clone()));
    let loaded = loaded(arguments.config)?;
    let supervision = Variables::of_process();
    logging::start(loaded.resolved.log_format, &loaded.resolved.log_filter, &supervision);
    for notice in &loaded.notices {
        tracing::warn!(notice, "configuration notice");
    }
    files_limit::raise();
    let sockets = Sockets::of_process(&supervision).context("take over sockets")?;
    make_private_directory(&loaded.resolved.data_dir)?;
    // Before there is a second thread: it holds for what this one starts.
    sandbox::enter(&loaded.resolved, &supervision)?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("start the runtime")?;
    let supervisor = Supervisor::new(&supervision);
    Ok(runtime.block_on(crate::serve::run(loaded.resolved, supervisor, sockets, read_again))?)
}
