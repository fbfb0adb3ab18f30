//! `countersign config check`: the same code that `serve` runs first.

use std::collections::BTreeSet;

use countersign_core::guest::GuestOf;

use super::arguments::CheckArguments;
use super::failure::Failure;
use super::output::{print, warn};
use super::run::loaded;
use crate::config::Resolved;

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
    Ok(print(&(text + &guests(config)))?)
}

/// Whose guests are admitted. A trust is a record of the authority's, which this command does not ask.
fn guests(config: &Resolved) -> String {
    let http = config.routes.iter().filter_map(|route| route.audience.as_deref());
    let tcp = config.tcp_doors.iter().filter_map(|door| door.audience.as_deref());
    let trusts: BTreeSet<String> = http
        .chain(tcp)
        .flat_map(|audience| &audience.guests)
        .filter(|guest| matches!(guest, GuestOf::Trust(_)))
        .map(ToString::to_string)
        .collect();
    if trusts.is_empty() {
        return String::new();
    }
    let names: Vec<&str> = trusts.iter().map(String::as_str).collect();
    format!("  admits guests   {}; `countersign trust list` says which exist\n", names.join(", "))
}
