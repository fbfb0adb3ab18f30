//! At every instant: files 0600, the directory 0700, whatever the umask.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::thread::JoinHandle;

use crate::agent_process::{command, enroll, output, text};
use crate::control_plane::ControlPlane;
use crate::device::Device;

/// Looks at the modes under a directory as often as it can.
struct Watcher {
    stop: Arc<AtomicBool>,
    others: Arc<AtomicU32>,
    looks: Arc<AtomicUsize>,
    thread: JoinHandle<()>,
}

impl Watcher {
    fn of(directory: &Path) -> Self {
        let (stop, others, looks) =
            (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)), Arc::new(AtomicUsize::new(0)));
        let (directory, flags) = (directory.to_owned(), (stop.clone(), others.clone(), looks.clone()));
        let thread = std::thread::spawn(move || {
            let (stop, others, looks) = flags;
            while !stop.load(Ordering::SeqCst) {
                let mut seen = modes(&directory);
                for entry in std::fs::read_dir(&directory).into_iter().flatten().flatten() {
                    seen |= modes(&entry.path());
                    looks.fetch_add(1, Ordering::SeqCst);
                }
                others.fetch_or(seen & 0o077, Ordering::SeqCst);
                std::thread::yield_now();
            }
        });
        Self { stop, others, looks, thread }
    }

    /// What others could ever do, and how many files were looked at.
    fn finish(self) -> (u32, usize) {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.join().unwrap();
        (self.others.load(Ordering::SeqCst), self.looks.load(Ordering::SeqCst))
    }
}

fn modes(path: &Path) -> u32 {
    std::fs::metadata(path).map_or(0, |found| found.permissions().mode())
}

/// The same command under a umask that takes nothing away.
fn without_umask(command: &Command) -> Command {
    let mut shell = Command::new("/bin/sh");
    shell.env_clear().args(["-c", "umask 000; exec \"$0\" \"$@\""]).arg(command.get_program());
    shell.args(command.get_args());
    shell
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_else_can_read_anything_at_any_moment() {
    let plane = ControlPlane::start().await;
    let device = Device::new();
    let config = device.config_path();
    let watcher = Watcher::of(config.parent().unwrap());
    let enrolled = output(without_umask(&enroll(&config, &plane, "key"))).await;
    assert!(enrolled.status.success(), "{}", text(&enrolled.stderr));
    for _ in 0..5 {
        let mut renew = command(&config);
        renew.arg("renew");
        let renewed = output(without_umask(&renew)).await;
        assert!(renewed.status.success(), "{}", text(&renewed.stderr));
    }
    let (others, looks) = watcher.finish();
    assert_eq!(others, 0, "others had {others:03o}");
    assert!(looks > 100, "only {looks} looks");
    let names: Vec<_> = std::fs::read_dir(config.parent().unwrap())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names.len(), 2, "nothing but the configuration and its lock stays: {names:?}");
}
