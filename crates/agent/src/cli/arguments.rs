//! What can be said on the command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};

use super::{documents, enroll, forward, run, unenroll};

/// Keeps this device's certificate: enrols it, sends heartbeats, carries out commands, renews in time.
#[derive(Debug, Parser)]
#[command(
    name = "countersign-agent",
    version,
    max_term_width = 100,
    after_help = "\
Example:
  countersign-agent enroll KEY --server https://cs.example.com:8443 --ca-fingerprint SHA256
  countersign-agent run

Environment:
  COUNTERSIGN_AGENT_CONFIG  the configuration file, when --config does not name it
  COUNTERSIGN_LOG           what to log, when --log does not say so"
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,

    /// The configuration file [default: /etc/countersign/agent.yaml, on macOS
    /// /Library/Application Support/Countersign/agent.yaml, on Windows
    /// %ProgramData%\Countersign\agent.yaml].
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// What to log, such as `info` or `countersign_agent=debug` [default: info for run, else warn].
    #[arg(long, global = true, value_name = "FILTER")]
    pub(crate) log: Option<String>,

    /// How log lines look.
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text)]
    pub(crate) log_format: LogFormat,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Enrol this device with an enrolment key.
    Enroll(enroll::Arguments),
    /// Send heartbeats, carry out commands and renew the certificate until stopped.
    Run(run::Arguments),
    /// Give local programs that know nothing of certificates the device's identity.
    Forward(forward::Arguments),
    /// Say who this device is, how good its certificate is, and how the agent gets on.
    #[command(after_help = "Example:\n  countersign-agent status --json")]
    Status(Json),
    /// Renew the certificate now, or finish a renewal that was interrupted.
    #[command(after_help = "Example:\n  countersign-agent renew")]
    Renew(Json),
    /// End this device's enrolment: at the server, and here.
    Unenroll(unenroll::Arguments),
    /// Print what a shell needs to complete commands and flags.
    #[command(
        after_help = "Example:\n  countersign-agent completions bash > /etc/bash_completion.d/countersign-agent"
    )]
    Completions(documents::CompletionsArguments),
    /// Print the man page, or write one for every command.
    #[command(after_help = "Example:\n  countersign-agent man --out /usr/local/share/man/man1")]
    Man(documents::ManArguments),
}

/// How the result looks.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Json {
    /// Print one JSON object instead of text.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Reads a length of time: a number with `ms`, `s`, `m` or `h`; seconds without.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no length of time above zero such as 500ms, 30s, 5m or 1h");
    let unit_at = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let number: u64 = number.parse().map_err(|_not_a_number| wrong())?;
    let millis = match unit {
        "ms" => Some(number),
        "" | "s" => number.checked_mul(1000),
        "m" => number.checked_mul(60_000),
        "h" => number.checked_mul(3_600_000),
        _ => None,
    };
    // A year and a bit: longer waits are a slip of the finger.
    match millis {
        Some(millis @ 1..=32_000_000_000) => Ok(Duration::from_millis(millis)),
        Some(_) | None => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_sound_and_every_command_shows_an_example() {
        let mut command = Arguments::command();
        command.clone().debug_assert();
        command.build();
        for command in command.get_subcommands_mut() {
            if command.get_name() != "help" {
                let help = command.render_long_help().to_string();
                assert!(help.contains("Example:\n  countersign-agent "), "{help}");
            }
        }
    }

    #[test]
    fn reads_lengths_of_time() {
        assert_eq!(duration("200ms"), Ok(Duration::from_millis(200)));
        assert_eq!(duration("5m"), Ok(Duration::from_secs(300)));
        assert_eq!(duration("30"), Ok(Duration::from_secs(30)));
        for text in ["", "s", "0", "0ms", "-1s", "1d", "1.5s", "99999999999999999999s", "999999h"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
