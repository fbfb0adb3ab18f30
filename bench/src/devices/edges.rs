//! Edges elsewhere, as processes of their own.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use serde_json::{Value, json};
use tokio::time::{MissedTickBehavior, interval};

use crate::installation::{Admin, AdminLine, Installation, text};
use crate::process::Process;

/// How long edges may take for anything.
const PATIENCE: Duration = Duration::from_secs(120);

/// An edge; its process ends with this.
#[derive(Debug)]
pub(crate) struct Edge {
    name: String,
    folder: PathBuf,
    process: Option<Process>,
}

impl Edge {
    /// Adds one, starts it, and waits until it serves.
    pub(super) async fn start(
        installation: &Installation,
        program: &Path,
        name: &str,
    ) -> anyhow::Result<Self> {
        let wanted = json!({"name": name, "publicNames": ["localhost"]});
        let added = installation.admin.call("POST", "/edges", &wanted).await?;
        let folder = installation.folder().join(name);
        fs_err::create_dir_all(&folder).context("make a folder")?;
        fs_err::write(folder.join("token"), text(&added, "token")?).context("keep an edge's token")?;
        let configuration = "data_dir = \"data\"\nports_file = \"ports.json\"\n\n[http_door]\n\
             listen = \"127.0.0.1:0\"\n\n[mqtt_door]\nenabled = false\n";
        fs_err::write(folder.join("edge.toml"), configuration).context("write a configuration")?;
        let mut edge = Self { name: name.to_owned(), folder, process: None };
        edge.start_again(installation, program).await?;
        Ok(edge)
    }

    /// Starts one again that was stopped, and waits until it serves.
    pub(super) async fn start_again(
        &mut self,
        installation: &Installation,
        program: &Path,
    ) -> anyhow::Result<()> {
        let file = self.folder.join("ports.json");
        if file.exists() {
            fs_err::remove_file(&file).context("remove what an edge said before")?;
        }
        let authority = format!("https://localhost:{}", installation.door.port());
        let fingerprint = installation.fingerprint()?;
        let program = program.display().to_string();
        let words = [&program, "edge", "run", "--config", "edge.toml", "--token-file", "token"];
        let reached = ["--authority", &authority, "--ca-fingerprint", &fingerprint];
        let line: Vec<String> = words.into_iter().chain(reached).map(str::to_owned).collect();
        let mut process = Process::start("edge", &[], &line, &self.folder)?;
        process.until(|| file.exists().then_some(())).await?;
        self.process = Some(process);
        Ok(())
    }

    /// Stops it as a machine that is switched off: it goes on counting.
    pub(super) fn stop(&mut self) {
        self.process = None;
    }

    /// Its memory.
    pub(super) fn memory(&self) -> u64 {
        self.process.as_ref().map(Process::memory).unwrap_or_default()
    }
}

/// The epoch that each edge enforces, in the order of these.
async fn epochs(line: &mut AdminLine, edges: &[Edge]) -> anyhow::Result<Vec<u64>> {
    let list = line.call("GET", "/edges", &Value::Null).await?;
    let list = list.get("edges").and_then(Value::as_array).context("a list without edges")?;
    let epoch = |edge: &Edge| {
        let is_it = |listed: &&Value| listed.get("name").and_then(Value::as_str) == Some(&edge.name);
        list.iter().find(is_it)?.get("appliedEpoch")?.as_u64()
    };
    edges.iter().map(|edge| epoch(edge).context("an edge that is not listed")).collect()
}

/// The highest epoch that one of them enforces.
pub(super) async fn newest(admin: &Admin, edges: &[Edge]) -> anyhow::Result<u64> {
    let mut line = AdminLine::open(admin).await?;
    Ok(epochs(&mut line, edges).await?.into_iter().max().unwrap_or_default())
}

/// Waits until all of them enforce what is later than this, and all the same.
pub(super) async fn until_beyond(admin: &Admin, edges: &[Edge], epoch: u64) -> anyhow::Result<u64> {
    let (mut line, end) = (AdminLine::open(admin).await?, Instant::now() + PATIENCE);
    let mut ticks = interval(Duration::from_millis(20));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let epochs = epochs(&mut line, edges).await?;
        if let Some(first) = epochs.first().filter(|first| **first > epoch)
            && epochs.iter().all(|one| one == first)
        {
            return Ok(*first);
        }
        if Instant::now() > end {
            bail!("the edges are at {epochs:?} and not beyond {epoch}");
        }
    }
}
