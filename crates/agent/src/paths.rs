//! Where the agent keeps its configuration, as in the seeds with Countersign's name.

use std::path::PathBuf;

use crate::config::Environment;

/// The file's name.
pub const FILE_NAME: &str = "agent.yaml";

/// The configuration file of this machine's agent.
///
/// | system | path |
/// |---|---|
/// | Linux and other Unixes | `/etc/countersign/agent.yaml` |
/// | macOS | `/Library/Application Support/Countersign/agent.yaml` |
/// | Windows | `%ProgramData%\Countersign\agent.yaml` |
#[must_use]
pub fn default_config(environment: &Environment) -> PathBuf {
    directory(environment).join(FILE_NAME)
}

#[cfg(windows)]
fn directory(environment: &Environment) -> PathBuf {
    let root = environment.program_data.clone().unwrap_or_else(|| PathBuf::from(r"C:\ProgramData"));
    root.join("Countersign")
}

#[cfg(target_os = "macos")]
fn directory(_environment: &Environment) -> PathBuf {
    PathBuf::from("/Library/Application Support/Countersign")
}

#[cfg(not(any(windows, target_os = "macos")))]
fn directory(_environment: &Environment) -> PathBuf {
    PathBuf::from("/etc/countersign")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn linux_keeps_it_in_etc() {
        let path = default_config(&Environment::default());
        assert_eq!(path, PathBuf::from("/etc/countersign/agent.yaml"));
    }
}
