//! The one place that reads the process's environment.

use std::path::PathBuf;

/// The variables that the agent looks at.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// `COUNTERSIGN_AGENT_CONFIG`: the configuration file, when no flag names it.
    pub config: Option<PathBuf>,
    /// `COUNTERSIGN_LOG`: which log lines to write, when no flag says so.
    pub log: Option<String>,
    /// `ProgramData`: where Windows keeps what belongs to the machine.
    pub program_data: Option<PathBuf>,
    /// `COMPUTERNAME`: what a Windows machine calls itself.
    pub computer_name: Option<String>,
}

impl Environment {
    /// Those of this process; an empty variable counts as not set.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the environment")]
    pub fn of_process() -> Self {
        let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let text = |name: &str| variable(name).map(|value| value.to_string_lossy().into_owned());
        Self {
            config: variable("COUNTERSIGN_AGENT_CONFIG").map(PathBuf::from),
            log: text("COUNTERSIGN_LOG"),
            program_data: variable("ProgramData").map(PathBuf::from),
            computer_name: text("COMPUTERNAME"),
        }
    }
}
