//! `countersign monitor check`: one look at a certificate, as a running server takes it.

use std::path::Path;

use anyhow::anyhow;
use countersign_authority::monitors::WatchPlace;
use countersign_core::time::{Clock as _, SystemClock};
use serde_json::json;

use super::cert_inspect::{as_json, described, text};
use super::failure::Failure;
use super::monitor_arguments::MonitorCheckArguments;
use super::output::{print, print_json};
use super::run::block_on;
use crate::config::ServerAddress;
use crate::look::look_at;

/// Looks, prints what was there, and holds it against the pin.
pub(super) fn run(arguments: &MonitorCheckArguments) -> Result<(), Failure> {
    let place = place(arguments)?;
    let shown = block_on(async { Ok(look_at(&place).await) })?;
    let chain = shown.map_err(|unreachable| {
        let failure = Failure::from(anyhow!("{place} ({}): {}", unreachable.reason, unreachable.problem));
        match unreachable.reason {
            "tls" => failure.hint("it takes TLS from the first byte; STARTTLS is not spoken"),
            _ => failure,
        }
    })?;
    let at = SystemClock.now();
    let descriptions = described(&chain, at, &place)?;
    let pin = descriptions.first().map(|leaf| leaf.spki);
    let is_pinned = arguments.pin.map(|wanted| Some(wanted) == pin);
    if arguments.json {
        let certificates: Vec<_> = descriptions.iter().map(|one| as_json(one, at)).collect();
        let place = place.to_string();
        print_json(&json!({
            "at": at, "place": place, "pin": pin, "isPinned": is_pinned, "certificates": certificates,
        }))?;
    } else {
        let mut texts: Vec<_> = descriptions.iter().map(|one| text(one, at)).collect();
        if let (Some(leaf), Some(pin)) = (texts.first_mut(), pin) {
            leaf.push_str(&format!("{:7}  {pin}\n", "pin"));
        }
        print(&texts.join("\n"))?;
    }
    match (arguments.pin, pin) {
        (Some(wanted), Some(pin)) if wanted != pin => {
            let failure = Failure::bad_answer(format!("{place} has the key {pin}, not {wanted}"));
            Err(failure.hint("somebody else's server, or a renewal with a new key: look at the issuer"))
        }
        _ => Ok(()),
    }
}

fn place(arguments: &MonitorCheckArguments) -> Result<WatchPlace, Failure> {
    let file = Path::new(&arguments.place);
    if file.exists() {
        return Ok(WatchPlace::File(file.to_owned()));
    }
    let address = arguments.place.parse::<ServerAddress>().map_err(|_neither| {
        let error = anyhow!("there is no file {0}, and {0:?} is no host and port", arguments.place);
        Failure::bad_usage(error).hint("countersign monitor check www.example.com:443, or a file's path")
    })?;
    Ok(address.place(arguments.server_name.as_ref()))
}
