//! PostgreSQL as the package sets it up, in a folder of its own, with every commit on disk.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, ensure};

use crate::process::Process;

/// Whom it runs as when the bench runs as root, which it refuses. Debian's package makes it.
const UNPRIVILEGED: &str = "postgres";

/// A running server.
#[derive(Debug)]
pub(crate) struct Postgres {
    process: Process,
    folder: PathBuf,
}

impl Postgres {
    /// Makes a cluster with its own defaults and starts it with these settings besides.
    pub(crate) async fn start(beside: &Path, settings: &[&str]) -> anyhow::Result<Self> {
        let programs = programs().context("PostgreSQL's server is not installed")?;
        let folder = beside.join("postgres");
        fs_err::create_dir_all(&folder).context("make a folder")?;
        let prefix = give(&folder)?;
        let words = |words: &[&str]| -> Vec<String> { words.iter().map(|word| (*word).to_owned()).collect() };
        let (initdb, server) = (programs.join("initdb"), programs.join("postgres"));
        let (initdb, server) = (initdb.display().to_string(), server.display().to_string());
        let made = prefix
            .iter()
            .cloned()
            .chain(words(&[&initdb, "-D", "data", "-U", "postgres", "-A", "trust", "-E", "UTF8"]));
        let made: Vec<String> = made.collect();
        let (program, arguments) = made.split_first().context("start nothing")?;
        let output = Command::new(program)
            .args(arguments)
            .current_dir(&folder)
            .env("LC_ALL", "C.UTF-8")
            .stdin(Stdio::null())
            .output()
            .context("run initdb")?;
        ensure!(output.status.success(), "initdb: {}", String::from_utf8_lossy(&output.stderr));
        let socket = folder.display().to_string();
        let mut line = words(&[&server, "-D", "data", "-k", &socket, "-c", "listen_addresses="]);
        line.extend(settings.iter().flat_map(|setting| words(&["-c", setting])));
        let mut process = Process::start("postgresql", &prefix, &line, &folder)?;
        let socket = folder.join(".s.PGSQL.5432");
        process.until(|| std::os::unix::net::UnixStream::connect(&socket).ok()).await?;
        // It takes connections a moment before it takes work.
        let psql = programs.join("psql");
        let work = || {
            Command::new(&psql)
                .args(["-U", "postgres", "-h"])
                .arg(&folder)
                .args(["-qc", "SELECT 1"])
                .output()
                .ok()
        };
        process.until(|| work().filter(|output| output.status.success())).await?;
        Ok(Self { process, folder })
    }

    /// The URL of its database.
    pub(crate) fn url(&self) -> String {
        format!("postgresql:///postgres?host={}&user=postgres", self.folder.display())
    }

    /// The processor time of all its processes.
    pub(crate) fn cpu_time(&self) -> Duration {
        self.process.cpu_time()
    }
}

/// The version of the newest installed server.
pub(crate) fn version() -> Option<String> {
    let said = crate::process::said(&programs()?.join("postgres"), &["--version"]);
    said.split_ascii_whitespace()
        .find(|word| word.starts_with(|first: char| first.is_ascii_digit()))
        .map(str::to_owned)
}

/// The directory of the newest installed server's programs.
fn programs() -> Option<PathBuf> {
    let versions = fs_err::read_dir("/usr/lib/postgresql").ok()?;
    let folders = versions.filter_map(|entry| Some(entry.ok()?.path().join("bin")));
    let version = |programs: &PathBuf| programs.parent()?.file_name()?.to_str()?.parse::<u32>().ok();
    folders.filter(|folder| folder.join("postgres").is_file()).max_by_key(version)
}

/// Gives the folder to whoever may run PostgreSQL; the words that make a command theirs.
fn give(folder: &Path) -> anyhow::Result<Vec<String>> {
    let is_root = fs_err::metadata("/proc/self").is_ok_and(|process| process.uid() == 0);
    if !is_root {
        return Ok(Vec::new());
    }
    let given = Command::new("chown").arg(UNPRIVILEGED).arg(folder).status().context("give a folder")?;
    ensure!(given.success(), "there is no user {UNPRIVILEGED} to run PostgreSQL");
    for parent in folder.ancestors().skip(1).take_while(|parent| *parent != Path::new("/tmp")) {
        // They must get through to it.
        Command::new("chmod").arg("a+x").arg(parent).status().context("open a folder")?;
    }
    Ok(["setpriv", "--reuid", UNPRIVILEGED, "--regid", UNPRIVILEGED, "--clear-groups"]
        .map(str::to_owned)
        .to_vec())
}
