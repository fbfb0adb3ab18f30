//! What the machine says of itself.

use crate::config::Environment;

/// The agent's version.
pub const AGENT_VERSION: &str = env!("CARGO_PKG_VERSION");

/// Facts that an enrolment reports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Host {
    /// The host name.
    pub name: String,
    /// `windows`, `macos` or `linux`; other Unixes count as `linux`.
    pub os_type: &'static str,
    /// The operating system's version; empty when it is not known.
    pub os_version: String,
    /// The processor's architecture.
    pub architecture: &'static str,
    /// The hardware's serial number, when the system shows it to this user.
    pub hardware_serial: Option<String>,
}

impl Host {
    /// This machine. What cannot be found out is left empty.
    #[must_use]
    pub fn this(environment: &Environment) -> Self {
        let name = host_name(environment);
        Self {
            name: if name.is_empty() { "device".to_owned() } else { name },
            os_type: match std::env::consts::OS {
                "windows" => "windows",
                "macos" => "macos",
                _ => "linux",
            },
            os_version: os_version(),
            architecture: std::env::consts::ARCH,
            hardware_serial: hardware_serial(),
        }
    }
}

#[cfg(unix)]
fn host_name(_environment: &Environment) -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

#[cfg(not(unix))]
fn host_name(environment: &Environment) -> String {
    environment.computer_name.clone().unwrap_or_default()
}

#[cfg(unix)]
fn os_version() -> String {
    let release = fs_err::read_to_string("/etc/os-release").unwrap_or_default();
    pretty_name(&release).unwrap_or_else(|| rustix::system::uname().release().to_string_lossy().into_owned())
}

#[cfg(not(unix))]
fn os_version() -> String {
    String::new()
}

/// `PRETTY_NAME` of os-release(5).
#[cfg(unix)]
fn pretty_name(release: &str) -> Option<String> {
    let value = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
    let name = value.trim().trim_matches(['"', '\'']).to_owned();
    (!name.is_empty()).then_some(name)
}

fn hardware_serial() -> Option<String> {
    let text = fs_err::read_to_string("/sys/class/dmi/id/product_serial").ok()?;
    let serial = text.trim();
    (!serial.is_empty()).then(|| serial.chars().take(255).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_always_has_a_name_and_a_system() {
        let host = Host::this(&Environment::default());
        assert!(!host.name.is_empty());
        assert!(["windows", "macos", "linux"].contains(&host.os_type));
    }

    #[cfg(unix)]
    #[test]
    fn reads_the_name_of_the_system() {
        assert_eq!(pretty_name("ID=x\nPRETTY_NAME=\"Debian 13\"\n").as_deref(), Some("Debian 13"));
        assert_eq!(pretty_name("ID=x\n"), None);
    }
}
