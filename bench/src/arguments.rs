//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};

/// Measures Countersign beside nginx, HAProxy, Envoy, stunnel, Caddy, Traefik and Mosquitto, on this machine, in one run.
#[derive(Clone, Debug, Parser)]
#[command(name = "countersign-bench")]
pub(crate) struct Arguments {
    /// What to measure; everything when nothing is named
    #[arg(value_enum)]
    pub(crate) measures: Vec<Measure>,
    /// Shorter and with fewer devices: to see that it works, not how fast
    #[arg(long)]
    pub(crate) quick: bool,
    /// Write the tables of what was measured into docs/reference/performance.md, and leave the others
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
    /// How long a round lasts, in seconds
    #[arg(long)]
    pub(crate) seconds: Option<f64>,
    /// How many certificates are on record where OCSP and memory are measured, a tenth of them revoked, and how many
    /// devices where lists are
    #[arg(long)]
    pub(crate) certificates: Option<usize>,
    /// Only Countersign, no peers
    #[arg(long)]
    pub(crate) alone: bool,
    /// Where programs are looked for
    #[arg(long, env = "PATH", hide = true, hide_env_values = true)]
    pub(crate) path: String,
}

/// One part of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Measure {
    /// Certificates and heartbeats a second, on both databases
    Store,
    /// Full and resumed mTLS handshakes
    Handshakes,
    /// Requests over open connections, HTTP/1.1 and HTTP/2
    Requests,
    /// Requests with no rule, ten and a thousand
    Rules,
    /// Bytes through the TCP door
    Tcp,
    /// Memory of idle connections
    Memory,
    /// Messages through the MQTT door to a broker, and sessions there
    Mqtt,
    /// Time from a revocation to the end of the live sessions
    Cut,
    /// Handshakes with a hundred thousand certificates revoked
    Revoked,
    /// Certificates and revocation lists a second, by kind of key, sealed in a file and in a token
    Signing,
    /// OCSP responses a second, and the memory of a server with a million certificates on record
    Million,
    /// A million devices in PostgreSQL: lists, enrolments, heartbeats, what falls, three edges
    Devices,
}

impl Measure {
    /// All of them, in the order of the page.
    pub(crate) const ALL: [Self; 12] = [
        Self::Store,
        Self::Handshakes,
        Self::Requests,
        Self::Rules,
        Self::Tcp,
        Self::Memory,
        Self::Mqtt,
        Self::Cut,
        Self::Revoked,
        Self::Signing,
        Self::Million,
        Self::Devices,
    ];

    /// Its name on the command line.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Store => "store",
            Self::Handshakes => "handshakes",
            Self::Requests => "requests",
            Self::Rules => "rules",
            Self::Tcp => "tcp",
            Self::Memory => "memory",
            Self::Mqtt => "mqtt",
            Self::Cut => "cut",
            Self::Revoked => "revoked",
            Self::Signing => "signing",
            Self::Million => "million",
            Self::Devices => "devices",
        }
    }

    /// Whether it needs devices that enrolled over the door.
    const fn needs_fleet(self) -> bool {
        !matches!(self, Self::Signing | Self::Million | Self::Devices)
    }
}

impl Arguments {
    /// Whether this is to be measured.
    pub(crate) fn wants(&self, measure: Measure) -> bool {
        self.measures.is_empty() || self.measures.contains(&measure)
    }

    /// Whether anything is to be measured that needs devices which enrolled over the door.
    pub(crate) fn wants_fleet(&self) -> bool {
        self.measures.is_empty() || self.measures.iter().any(|measure| measure.needs_fleet())
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
                certificates: 20_000,
            }
        } else {
            Scale {
                devices: 100_000,
                rounds: 5,
                slice: Duration::from_secs(2),
                idle: 5000,
                sessions: 10_000,
                cuts: 200,
                certificates: 1_000_000,
            }
        };
        let devices = self.devices.unwrap_or(scale.devices).max(1000);
        Scale {
            devices,
            rounds: self.rounds.unwrap_or(scale.rounds),
            slice: self.seconds.map_or(scale.slice, Duration::from_secs_f64),
            certificates: self.certificates.unwrap_or(scale.certificates).max(100),
            idle: scale.idle.min(devices / 2),
            sessions: scale.sessions.min(devices / 3),
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
    /// Certificates on record where OCSP and memory are measured, and devices where lists are.
    pub(crate) certificates: usize,
}
