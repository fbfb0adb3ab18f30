//! What the kernel says: processor time and memory of processes, and on which processors they run.

use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use rustix::process::{Resource, Rlimit};
use rustix::thread::CpuSet;

/// How processors are shared out in a measurement.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cores {
    /// The server has one for itself, the load generator another.
    Apart {
        /// The server's.
        server: usize,
        /// The generator's.
        generator: usize,
    },
    /// There is only one, or the kernel does not let us choose.
    Together,
}

impl Cores {
    /// The first two that this process may run on; from now on it runs on the first.
    pub(crate) fn divide() -> Self {
        let Ok(allowed) = rustix::thread::sched_getaffinity(None) else { return Self::Together };
        let mut usable = (0..CpuSet::MAX_CPU).filter(|cpu| allowed.is_set(*cpu));
        let (Some(generator), Some(server)) = (usable.next(), usable.next()) else { return Self::Together };
        Self::Apart { server, generator }
    }

    /// Lets the generator run on its own processor only.
    pub(crate) fn pin_generator(self) {
        if let Self::Apart { generator, .. } = self {
            let mut own = CpuSet::new();
            own.set(generator);
            // Where it is not allowed, rates are still per processor second of the server.
            rustix::thread::sched_setaffinity(None, &own).unwrap_or_default();
        }
    }

    /// The words before a server's command line that keep it on its processor.
    pub(crate) fn server_prefix(self) -> Vec<String> {
        match self {
            Self::Apart { server, .. } => {
                ["taskset", "-c"].map(str::to_owned).into_iter().chain([server.to_string()]).collect()
            }
            Self::Together => Vec::new(),
        }
    }
}

/// A process and all below it.
fn tree(root: u32) -> Vec<u32> {
    let mut all = vec![root];
    let mut next = 0;
    while let Some(&pid) = all.get(next) {
        let threads = fs_err::read_dir(format!("/proc/{pid}/task")).into_iter().flatten();
        for thread in threads.filter_map(Result::ok) {
            let children = fs_err::read_to_string(thread.path().join("children")).unwrap_or_default();
            all.extend(children.split_ascii_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
        }
        next += 1;
    }
    all
}

/// The processor time of a process and all below it, so far.
pub(crate) fn cpu_time(root: u32) -> Duration {
    let ticks: u64 = tree(root).into_iter().filter_map(ticks).sum();
    Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}

/// User and system time of all threads, those that have ended included.
fn ticks(pid: u32) -> Option<u64> {
    let stat = fs_err::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name is in parentheses and may hold anything.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let (user, system) = (fields.next()?, fields.next()?);
    Some(user.parse::<u64>().ok()? + system.parse::<u64>().ok()?)
}

/// The proportional memory (PSS) of a process and all below it, in bytes.
pub(crate) fn memory(root: u32) -> u64 {
    memory_of_kind(root, "Pss:")
}

/// The resident memory (RSS) of a process and all below it, in bytes.
pub(crate) fn resident(root: u32) -> u64 {
    memory_of_kind(root, "Rss:")
}

fn memory_of_kind(root: u32, kind: &str) -> u64 {
    let of = |pid: u32| {
        let text = fs_err::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix(kind))?;
        line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()
    };
    tree(root).into_iter().filter_map(of).sum::<u64>() * 1024
}

/// Allows as many open files as the system lets us; how many.
pub(crate) fn raise_open_files() -> u64 {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    match rustix::process::setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum.unwrap_or(1_000_000),
        Err(_refused) => limit.current.unwrap_or(1024),
    }
}

/// What the machine is, in a line.
pub(crate) fn description() -> String {
    let info = fs_err::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let count = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let name = rustix::system::uname();
    let kernel = name.release().to_string_lossy();
    format!("{count} × {}, Linux {kernel}", model.trim_start_matches([' ', '\t', ':']))
}

/// The processes that want to run, over the last minute.
pub(crate) fn load() -> String {
    let text = fs_err::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_ascii_whitespace().next().unwrap_or("?").to_owned()
}

/// How long an fsync of 4 KiB takes in this folder: the median of fifty.
pub(crate) fn fsync_time(folder: &Path) -> anyhow::Result<Duration> {
    let mut file = fs_err::File::create(folder.join("fsync")).context("make a file")?;
    let mut times = Vec::new();
    for _again in 0..50 {
        let began = Instant::now();
        file.write_all(&[0; 4096]).context("write a file")?;
        file.sync_data().context("sync a file")?;
        times.push(began.elapsed());
    }
    times.sort();
    times.get(times.len() / 2).copied().ok_or_else(|| anyhow!("nothing was measured"))
}
