//! `countersign-agent unenroll`.

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::sync::Arc;

use anyhow::Context as _;
use countersign_agent::connect::Connect;
use countersign_agent::disk::Disk;
use countersign_agent::unenrol::{Files, Unenrolled, enrolled, forget, unenrol};
use serde::Serialize;

use super::arguments::Json;
use super::output;
use super::start::Context;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
The server decommissions the device and revokes its certificates and its token; then the key, the
certificate and the configuration are removed from this machine. Its name is not given out again.
To enrol the machine once more, ask for a new enrolment key.

Example:
  countersign-agent unenroll --yes")]
pub(crate) struct Arguments {
    /// Do not ask whether that is meant. Needed where there is no terminal to ask at.
    #[arg(long)]
    yes: bool,

    /// Leave the key, the certificate and the configuration where they are.
    #[arg(long, conflicts_with = "offline")]
    keep_files: bool,

    /// Remove the files without telling the server, which goes on knowing the device: an admin has
    /// to decommission it there.
    #[arg(long)]
    offline: bool,

    #[command(flatten)]
    json: Json,
}

#[derive(Serialize)]
struct Report {
    device_name: String,
    device_id: String,
    server_url: String,
    server_told: bool,
    files_removed: bool,
}

pub(crate) async fn unenroll(context: &Context, arguments: &Arguments) -> anyhow::Result<()> {
    let disk: Arc<dyn Disk> = Arc::clone(&context.disk) as Arc<dyn Disk>;
    let device = enrolled(disk.as_ref())?;
    if !arguments.yes {
        ask(&device, arguments)?;
    }
    if arguments.offline {
        forget(disk.as_ref())?;
    } else {
        let files = if arguments.keep_files { Files::Keep } else { Files::Remove };
        let clock = context.clock.as_ref();
        unenrol(&disk, clock, Connect::default(), files).await.map_err(with_a_way_out)?;
    }
    if arguments.json.json {
        return output::json(&Report {
            device_name: device.name.to_string(),
            device_id: device.device.to_string(),
            server_url: device.server.to_string(),
            server_told: !arguments.offline,
            files_removed: !arguments.keep_files,
        });
    }
    output::text(&transcript(&device, arguments, &disk.path().display().to_string()))
}

fn with_a_way_out(error: countersign_agent::unenrol::UnenrolError) -> anyhow::Error {
    anyhow::Error::new(error).context(
        "nothing was removed; if the server has retired the device already, or is gone, use --offline",
    )
}

/// Asks a person whether that is meant.
fn ask(device: &Unenrolled, arguments: &Arguments) -> anyhow::Result<()> {
    anyhow::ensure!(
        std::io::stdin().is_terminal(),
        "this cannot be undone: say --yes if it is meant, there is no terminal to ask at"
    );
    let what = match (arguments.offline, arguments.keep_files) {
        (true, _) => "Removes the key, certificate and configuration of",
        (false, true) => "Ends the enrolment of",
        (false, false) => "Ends the enrolment, and removes the key, certificate and configuration, of",
    };
    let mut stderr = anstream::stderr().lock();
    write!(
        stderr,
        "{what} {} (device {}) at {}.\nType yes to go on: ",
        device.name, device.device, device.server
    )
    .and_then(|()| stderr.flush())
    .context("ask at the terminal")?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer).context("read the answer")?;
    anyhow::ensure!(answer.trim().eq_ignore_ascii_case("yes"), "nothing was done");
    Ok(())
}

fn transcript(device: &Unenrolled, arguments: &Arguments, path: &str) -> String {
    let Unenrolled { name, device, server } = device;
    if arguments.offline {
        return format!(
            "Key, certificate and configuration removed ({path})\n{server} still knows {name} (device {device}): \
             an admin has to decommission it there"
        );
    }
    let mut text = format!(
        "Unenrolled {name} (device {device}) from {server}\nIts certificates and its token are revoked"
    );
    text.push_str(&match arguments.keep_files {
        true => {
            format!("\nKey, certificate and configuration are still in {path}; they open nothing any more")
        }
        false => format!("\nKey, certificate and configuration removed ({path})"),
    });
    text
}
