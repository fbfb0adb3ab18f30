//! `countersign cloudflare push-rules`: the rules of the configuration at Cloudflare's edge.

use countersign_ca::upstream::{Ruleset, merged};
use serde_json::{Value, json};

use super::cloudflare::{configured, now, refused};
use super::cloudflare_arguments::PushRulesArguments;
use super::failure::Failure;
use super::output::{print, print_json, warn};
use super::run::{block_on, loaded};

const PERMISSION: &str = "the token needs Zone > Zone WAF > Edit, on this zone";

/// Puts ours in the place of those that were ours; the others stay where they are.
pub(super) fn run(arguments: PushRulesArguments) -> Result<(), Failure> {
    let loaded = loaded(arguments.config)?;
    for notice in &loaded.notices {
        warn(notice);
    }
    let config = loaded.resolved;
    let api = configured(&config)?;
    let (there, wanted) = block_on(async {
        let there = api.rules(now()).await;
        let there = there.map_err(|error| refused(error, "read the zone's custom rules", PERMISSION))?;
        let wanted = merged(&there.rules, &config.rules);
        if !arguments.dry_run && !is_same(&there, &wanted) {
            let set = api.set_rules(&wanted, now()).await;
            set.map_err(|error| refused(error, "replace the zone's custom rules", PERMISSION))?;
        }
        Ok((there, wanted))
    })?;
    let others = wanted.len() - config.rules.len();
    let outcome = match (is_same(&there, &wanted), arguments.dry_run) {
        (true, _) => "Nothing to change",
        (false, true) => "Would be changed",
        (false, false) => "Changed",
    };
    let printed = if arguments.json {
        let changed = !is_same(&there, &wanted);
        print_json(&json!({ "changed": changed, "dryRun": arguments.dry_run, "ours": config.rules.len(),
            "others": others, "rules": wanted }))
    } else {
        let names: String = config.rules.iter().map(|rule| format!("  {}\n", rule.name)).collect();
        print(&format!("{outcome}: {} rules of ours, {others} of others.\n{names}", config.rules.len()))
    };
    Ok(printed?)
}

/// Whether the zone has these rules, what the API adds aside.
fn is_same(there: &Ruleset, wanted: &[Value]) -> bool {
    let says = |rule: &Value, said: &Value| {
        let keys = ["ref", "description", "expression", "action", "action_parameters", "enabled"];
        keys.iter().all(|key| rule.get(key) == said.get(key))
    };
    there.rules.len() == wanted.len()
        && there.rules.iter().zip(wanted).all(|(rule, said)| says(&Value::Object(rule.clone()), said))
}
