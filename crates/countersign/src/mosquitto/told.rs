//! Telling Mosquitto to read its files again.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process};

/// The name of the only program that is sent a signal.
const PROGRAM: &str = "mosquitto";

/// How it is told.
#[derive(Clone, Debug)]
pub(crate) enum Told {
    /// SIGHUP to the process whose id is in this file.
    PidFile(PathBuf),
    /// A command, run by `/bin/sh`.
    Command(String),
}

/// Tells it.
///
/// # Errors
/// When it cannot be told. Fails closed: a process that is not called mosquitto gets no signal.
pub(crate) fn tell(told: &Told) -> anyhow::Result<()> {
    match told {
        Told::PidFile(path) => {
            let text = fs_err::read_to_string(path).context("find Mosquitto's process")?;
            let number = text.trim().parse().ok().and_then(Pid::from_raw);
            let process = number.with_context(|| format!("{} holds no process id", path.display()))?;
            let name = fs_err::read_to_string(format!("/proc/{}/comm", process.as_raw_nonzero()));
            let name = name.context("look at Mosquitto's process")?;
            anyhow::ensure!(
                name.trim_end() == PROGRAM,
                "the process in {} is {}, not Mosquitto",
                path.display(),
                name.trim_end()
            );
            kill_process(process, Signal::HUP).context("send SIGHUP to Mosquitto")
        }
        Told::Command(command) => {
            let mut shell = Command::new("/bin/sh");
            shell.args(["-c", command]).stdin(Stdio::null()).stdout(Stdio::from(std::io::stderr()));
            let status = shell.status().context("run the reload command")?;
            anyhow::ensure!(status.success(), "the reload command failed: {status}");
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_other_process_gets_a_signal() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pid");
        fs_err::write(&file, format!("{}\n", std::process::id())).unwrap();
        let error = tell(&Told::PidFile(file.clone())).unwrap_err();
        assert!(format!("{error:#}").contains("not Mosquitto"), "{error:#}");
        fs_err::write(&file, "no number").unwrap();
        assert!(tell(&Told::PidFile(file)).is_err());
        tell(&Told::Command("true".to_owned())).unwrap();
        assert!(tell(&Told::Command("exit 3".to_owned())).is_err());
    }
}
