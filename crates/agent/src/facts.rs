//! What the agent tells about the machine while it works: small, and nothing secret.

use std::net::IpAddr;

use countersign_core::time::Timestamp;
use serde::Serialize;

use crate::config::Enrolment;
use crate::host::{AGENT_VERSION, Host};

/// The most addresses that are told.
const MOST_ADDRESSES: usize = 16;

/// The answer to `collect_facts`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Facts {
    /// The host name.
    pub hostname: String,
    /// `windows`, `macos` or `linux`.
    pub os_type: &'static str,
    /// The operating system's version.
    pub os_version: String,
    /// The processor's architecture.
    pub architecture: &'static str,
    /// The agent's version.
    pub agent_version: &'static str,
    /// How long the machine has been up, where the system says so.
    pub uptime_seconds: Option<u64>,
    /// Its addresses, loopback and link-local ones aside.
    pub ip_addresses: Vec<String>,
    /// The certificate's end, as it is saved.
    pub certificate_expires_at: Option<String>,
    /// The machine's clock.
    pub collected_at: Timestamp,
}

impl Facts {
    /// The facts at this moment.
    #[must_use]
    pub fn of(host: &Host, enrolment: &Enrolment, now: Timestamp) -> Self {
        Self {
            hostname: host.name.clone(),
            os_type: host.os_type,
            os_version: host.os_version.clone(),
            architecture: host.architecture,
            agent_version: AGENT_VERSION,
            uptime_seconds: load().map(|load| load.uptime_seconds),
            ip_addresses: addresses(),
            certificate_expires_at: enrolment.current.as_ref().map(|held| held.certificate.expires.clone()),
            collected_at: now.floor_to_second(),
        }
    }
}

/// How busy the machine is: the `metrics` of a heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Load {
    /// How long the machine has been up.
    pub uptime_seconds: u64,
    /// How many processes were ready to run, on average over the last minute.
    pub load_average_1m: f64,
    /// The memory it has.
    pub memory_total_bytes: u64,
    /// The memory that programs can still get.
    pub memory_available_bytes: u64,
}

/// How busy the machine is; `None` where the system does not say it in a way known here.
#[cfg(target_os = "linux")]
#[must_use]
pub fn load() -> Option<Load> {
    let read = |name: &str| fs_err::read_to_string(format!("/proc/{name}")).ok();
    let memory = read("meminfo")?;
    Some(Load {
        uptime_seconds: read("uptime")?.split(['.', ' ']).next()?.parse().ok()?,
        load_average_1m: read("loadavg")?.split(' ').next()?.parse().ok()?,
        memory_total_bytes: bytes_of(&memory, "MemTotal:")?,
        memory_available_bytes: bytes_of(&memory, "MemAvailable:")?,
    })
}

/// How busy the machine is; `None` where the system does not say it in a way known here.
#[cfg(not(target_os = "linux"))]
#[must_use]
pub const fn load() -> Option<Load> {
    None
}

/// A line of proc(5)'s meminfo, in bytes.
#[cfg(target_os = "linux")]
fn bytes_of(memory: &str, name: &str) -> Option<u64> {
    let value = memory.lines().find_map(|line| line.strip_prefix(name))?;
    let kibibytes: u64 = value.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

/// The machine's addresses, in the system's order, loopback and link-local ones aside.
#[must_use]
pub fn addresses() -> Vec<String> {
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    let addresses = interfaces.iter().map(if_addrs::Interface::ip).filter(is_reachable);
    addresses.take(MOST_ADDRESSES).map(|address| address.to_string()).collect()
}

fn is_reachable(address: &IpAddr) -> bool {
    let is_local = match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    !is_local && !address.is_loopback() && !address.is_unspecified()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn a_linux_machine_knows_how_busy_it_is() {
        let load = load().unwrap();
        assert!(load.uptime_seconds > 0 && load.load_average_1m >= 0.0);
        assert!(load.memory_available_bytes > 0 && load.memory_available_bytes <= load.memory_total_bytes);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn reads_the_available_memory() {
        let name = "MemAvailable:";
        assert_eq!(bytes_of("MemFree:  1 kB\nMemAvailable:   12 kB\n", name), Some(12_288));
        assert_eq!(bytes_of("MemAvailable: many\n", name), None);
    }

    #[test]
    fn addresses_that_lead_nowhere_are_not_told() {
        for text in ["127.0.0.1", "::1", "169.254.1.1", "fe80::1", "0.0.0.0"] {
            assert!(!is_reachable(&text.parse().unwrap()), "{text}");
        }
        assert!(is_reachable(&"10.0.0.1".parse().unwrap()) && is_reachable(&"2001:db8::1".parse().unwrap()));
    }
}
