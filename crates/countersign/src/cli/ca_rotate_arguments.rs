//! The flags of `countersign ca rotate`.

use countersign_core::ids::CaName;

use super::server_flags::ServerFlags;

/// `ca rotate`.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct CaRotateArguments {
    /// Look, or go back.
    #[command(subcommand)]
    pub(super) command: Option<CaRotateCommand>,
    /// The CA's name; once prepared, also the new one's
    #[arg(value_name = "NAME", required = true)]
    pub(super) name: Option<CaName>,
    #[command(flatten)]
    pub(super) server: ServerFlags,
    /// Take this step; the next one when absent
    #[arg(long, value_enum)]
    pub(super) step: Option<RotationStep>,
    /// Prepare with this CA, which waits already, instead of making one: signed where the root is, or
    /// imported
    #[arg(long, value_name = "NAME")]
    pub(super) to: Option<CaName>,
    #[command(flatten)]
    pub(super) canary: CanaryFlags,
    /// How many devices of a hundred must follow before the new CA signs for all: 100 when absent
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    pub(super) adoption: Option<u8>,
    /// Devices that were not seen for longer do not count: 30 when absent
    #[arg(long, value_name = "DAYS")]
    pub(super) seen_within_days: Option<u32>,
    /// Ask devices to renew at once instead of by their own clocks, spread over this time: seconds, or
    /// with m, h or d behind; an hour when none is given
    #[arg(long, value_name = "TIME", num_args = 0..=1, require_equals = true, default_missing_value = "1h",
        value_parser = seconds)]
    pub(super) renew_now: Option<u64>,
    /// Activate whatever was measured: whoever does not follow is refused. Audited
    #[arg(long)]
    pub(super) danger_skip_adoption: bool,
    /// Retire it even though somebody depends on it: they are refused from then on. Audited
    #[arg(long)]
    pub(super) danger_strand_dependents: bool,
}

/// `ca rotate …`.
#[derive(Debug, clap::Subcommand)]
pub(super) enum CaRotateCommand {
    /// Show how far the rotation is, what is missing and who has not moved
    #[command(
        after_help = "A token needs the scope cas:read.\n\nExample:\n  countersign ca rotate status device --token-file owner.token"
    )]
    Status(Box<StatusArguments>),
    /// Take the last step back; a prepared rotation is given up
    #[command(
        after_help = "A token needs the scope cas:write and to be an owner's.\n\nExample:\n  countersign ca rotate rollback device --token-file owner.token"
    )]
    Rollback(Box<RollbackArguments>),
}

/// Which CA, and where.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(super) struct RotateTarget {
    /// The CA's name; once prepared, also the new one's
    #[arg(value_name = "NAME")]
    pub(super) name: CaName,
    #[command(flatten)]
    pub(super) server: ServerFlags,
}

/// Who goes first.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(super) struct CanaryFlags {
    /// Let the devices of this tenant go first
    #[arg(long = "canary-tenant", value_name = "TENANT", conflicts_with_all = ["canary_devices", "canary_percent"])]
    pub(super) tenant: Option<String>,
    /// Let so many devices go first, those that were seen last
    #[arg(
        id = "canary_devices",
        long = "canary-devices",
        value_name = "COUNT",
        conflicts_with = "canary_percent"
    )]
    pub(super) devices: Option<u32>,
    /// Let about so many devices of a hundred go first
    #[arg(id = "canary_percent", long = "canary-percent", value_name = "PERCENT", value_parser = percent)]
    pub(super) percent: Option<u8>,
}

/// `ca rotate status`.
#[derive(Debug, clap::Args)]
pub(super) struct StatusArguments {
    #[command(flatten)]
    pub(super) target: RotateTarget,
    /// How many devices to list
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=500))]
    pub(super) limit: u32,
    /// Where the list before ended
    #[arg(long)]
    pub(super) cursor: Option<String>,
}

/// `ca rotate rollback`.
#[derive(Debug, clap::Args)]
pub(super) struct RollbackArguments {
    #[command(flatten)]
    pub(super) target: RotateTarget,
    /// Ask devices that moved to come back at once, spread over this time: seconds, or with m, h or d
    /// behind; an hour when none is given
    #[arg(long, value_name = "TIME", num_args = 0..=1, require_equals = true, default_missing_value = "1h",
        value_parser = seconds)]
    pub(super) renew_now: Option<u64>,
}

/// A step forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum RotationStep {
    /// Make the new CA; every edge trusts it from then on.
    Prepare,
    /// Let some devices go first.
    Canary,
    /// Let the new CA sign for all.
    Activate,
    /// Trust the old CA no more.
    Retire,
}

impl CanaryFlags {
    /// Whether anybody is to go first.
    pub(super) const fn is_named(&self) -> bool {
        self.tenant.is_some() || self.devices.is_some() || self.percent.is_some()
    }
}

/// A number from 0 to 100, with or without the sign.
fn percent(text: &str) -> Result<u8, String> {
    let number = text.strip_suffix('%').unwrap_or(text).parse::<u8>().ok().filter(|number| *number <= 100);
    number.ok_or_else(|| "must be a whole number from 0 to 100".to_owned())
}

/// `90`, `90s`, `15m`, `1h`, `2d`.
pub(super) fn seconds(text: &str) -> Result<u64, String> {
    let units = [("s", 1), ("m", 60), ("h", 3600), ("d", 86_400)];
    let unit = units.into_iter().find_map(|(sign, length)| Some((text.strip_suffix(sign)?, length)));
    let (number, length) = unit.unwrap_or((text, 1));
    let seconds = number.parse::<u64>().ok().and_then(|number| number.checked_mul(length));
    seconds.ok_or_else(|| "must be a number of seconds, or one with s, m, h or d behind".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_shares_are_read() {
        for (text, wanted) in [("90", 90), ("90s", 90), ("15m", 900), ("1h", 3600), ("2d", 172_800)] {
            assert_eq!(seconds(text), Ok(wanted));
        }
        assert_eq!((percent("99%"), percent("0")), (Ok(99), Ok(0)));
        for text in ["", "h", "-1", "1w", "1.5h", "18446744073709551615d"] {
            assert!(seconds(text).is_err(), "{text}");
        }
        assert!(percent("101").is_err() && percent("%").is_err());
    }
}
