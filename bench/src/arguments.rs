//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};

/// Measures Countersign beside nginx, HAProxy and Envoy, on this machine, in one run.
#[derive(Clone, Debug, Parser)]
#[command(name = "countersign-bench")]
pub(crate) struct Arguments {
    /// What to measure; everything when nothing is named
    #[arg(value_enum)]
    pub(crate) measures: Vec<Measure>,
    /// Shorter and with fewer devices: to see that it works, not how fast
    #[arg(long)]
    pub(crate) quick: bool,
    /// Write the table into docs/reference/performance.md
    #[arg(long)]
    pub(crate) record: bool,
    /// The program to measure, instead of building it
    #[arg(long, value_name = "FILE")]
    pub(crate) program: Option<PathBuf>,
    /// Cargo profile to build the program with
    #[arg(long, default_value = "release")]
    pub(crate) profile: String,
    /// How many devices enrol on each database
    #[arg(long)]
    pub(crate) devices: Option<usize>,
    /// Rounds of each measurement
    #[arg(long)]
    pub(crate) rounds: Option<usize>,
    /// Only Countersign, no peers
    #[arg(long)]
    pub(crate) alone: bool,
    /// Where programs are looked for
    #[arg(long, env = "PATH", hide = true, hide_env_values = true)]
    pub(crate) path: String,
}

/// One part of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Measure {
    /// Certificates and heartbeats a second, on both databases
    Store,
    /// Full and resumed mTLS handshakes
    Handshakes,
    /// Requests over open connections
    Requests,
    /// Memory of idle connections
    Memory,
    /// Time from a revocation to the end of the live session
    Cut,
    /// Handshakes with a hundred thousand certificates revoked
    Revoked,
}

impl Arguments {
    /// Whether this is to be measured.
    pub(crate) fn wants(&self, measure: Measure) -> bool {
        self.measures.is_empty() || self.measures.contains(&measure)
    }

    /// How much of everything.
    pub(crate) fn scale(&self) -> Scale {
        let scale = if self.quick {
            Scale {
                devices: 1500,
                rounds: 1,
                slice: Duration::from_millis(500),
                idle: 500,
                sessions: 500,
                cuts: 20,
            }
        } else {
            Scale {
                devices: 100_000,
                rounds: 5,
                slice: Duration::from_secs(2),
                idle: 5000,
                sessions: 9000,
                cuts: 200,
            }
        };
        let devices = self.devices.unwrap_or(scale.devices).max(1000);
        Scale {
            devices,
            rounds: self.rounds.unwrap_or(scale.rounds),
            idle: scale.idle.min(devices / 2),
            sessions: scale.sessions.min(devices / 2),
            ..scale
        }
    }
}

/// How much of everything.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    /// Devices enrolled.
    pub(crate) devices: usize,
    /// Rounds of each measurement, in turns with the peers.
    pub(crate) rounds: usize,
    /// How long a round lasts.
    pub(crate) slice: Duration,
    /// Idle connections.
    pub(crate) idle: usize,
    /// Live sessions while some are cut.
    pub(crate) sessions: usize,
    /// How many are cut.
    pub(crate) cuts: usize,
}
