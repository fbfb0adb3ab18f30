//! `countersign config check`: the same code that `serve` runs first.

use super::arguments::CheckArguments;
use super::failure::Failure;
use super::output::{print, warn};
use super::run::loaded;

/// Reads the configuration and says what it comes to.
pub(super) fn run(arguments: CheckArguments) -> Result<(), Failure> {
    let loaded = loaded(arguments.config)?;
    for notice in &loaded.notices {
        warn(notice);
    }
    let config = &loaded.resolved;
    let (routes, rules) = (config.routes.len(), config.rules.len());
    let text = format!(
        "The configuration is right.\n  admin listener  {}\n  HTTP door       {}\n  data            {}\n  \
         routes          {routes}\n  rules           {rules}\n",
        config.admin.listen,
        config.http_door.listen,
        config.data_dir.display(),
    );
    Ok(print(&text)?)
}
