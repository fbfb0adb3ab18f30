//! `countersign cloudflare import-rules`: the zone's custom rules as rules of ours.

use anyhow::Context as _;

use super::cloudflare::{configured, now, refused};
use super::cloudflare_arguments::ImportRulesArguments;
use super::failure::Failure;
use super::rules_import::{Format, show};
use super::run::{block_on, loaded};

const PERMISSION: &str = "the token needs Zone > Zone WAF > Read, on this zone";

/// Prints what can be said here, and says what cannot.
pub(super) fn run(arguments: &ImportRulesArguments) -> Result<(), Failure> {
    let json = match &arguments.file {
        Some(file) => fs_err::read(file).context("read the ruleset")?,
        None => zone_rules(arguments)?,
    };
    show(&json, &[], if arguments.json { Format::Json } else { Format::Toml })
}

fn zone_rules(arguments: &ImportRulesArguments) -> Result<Vec<u8>, Failure> {
    let config = loaded(arguments.config.clone())?.resolved;
    let api = configured(&config)?;
    let ruleset = block_on(async {
        let rules = api.rules(now()).await;
        rules.map_err(|error| refused(error, "read the zone's custom rules", PERMISSION))
    })?;
    Ok(serde_json::to_vec(&ruleset.rules).context("write the rules as JSON")?)
}
