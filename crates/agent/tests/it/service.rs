//! The agent as a service: what it tells the service manager, and what it writes to the journal.

use std::os::unix::net::UnixDatagram;
use std::process::Stdio;
use std::time::Duration;

use crate::agent_process::{Running, command, enrolled};
use crate::control_plane::ControlPlane;
use crate::device::Device;

/// The socket on which systemd listens.
struct Manager {
    socket: UnixDatagram,
    path: std::path::PathBuf,
    _folder: tempfile::TempDir,
}

impl Manager {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        Self { socket, path, _folder: folder }
    }

    /// Waits for a message that begins so.
    async fn hears(&self, start: &'static str) -> String {
        let socket = self.socket.try_clone().unwrap();
        tokio::task::spawn_blocking(move || {
            loop {
                let mut buffer = [0; 1024];
                let length = socket.recv(&mut buffer).unwrap_or_else(|error| panic!("{start}: {error}"));
                let message = String::from_utf8_lossy(&buffer[..length]).into_owned();
                if message.starts_with(start) {
                    return message;
                }
            }
        })
        .await
        .unwrap()
    }
}

#[tokio::test]
async fn the_service_manager_hears_how_it_goes() {
    let plane = ControlPlane::start().await;
    let device = Device::new();
    enrolled(&device.config_path(), &plane).await;
    let manager = Manager::new();
    let mut run = command(&device.config_path());
    run.env("NOTIFY_SOCKET", &manager.path).env("WATCHDOG_USEC", "600000");
    run.args(["run", "--heartbeat-interval", "10s"]);
    let running = Running::start(run);
    manager.hears("READY=1").await;
    manager.hears("STATUS=Connected by heartbeats").await;
    // Between heartbeats it lives, and says so in time.
    for _ in 0..3 {
        manager.hears("WATCHDOG=1").await;
    }
    let (ended, stopping) = tokio::join!(running.terminate(), manager.hears("STOPPING=1"));
    assert!(ended.0.success(), "{}", ended.1);
    assert_eq!(stopping, "STOPPING=1");
}

#[tokio::test]
async fn a_control_plane_that_is_out_of_reach_does_not_keep_it_from_starting() {
    let plane = ControlPlane::start().await;
    let device = Device::enrolled(&plane).await;
    let mut config = device.config();
    config.server = "https://127.0.0.1:9".parse().unwrap();
    device.disk.save(&config).unwrap();
    let manager = Manager::new();
    let mut run = command(&device.config_path());
    run.env("NOTIFY_SOCKET", &manager.path).arg("run");
    let _running = Running::start(run);
    manager.hears("READY=1").await;
    manager.hears("STATUS=Trying to reach the control plane").await;
}

#[tokio::test]
async fn the_journal_gets_priorities_and_neither_times_nor_colours() {
    use std::os::linux::fs::MetadataExt as _;
    let plane = ControlPlane::start().await;
    let device = Device::new();
    enrolled(&device.config_path(), &plane).await;
    plane.change(|state| state.is_enrolled = false);
    let folder = tempfile::tempdir().unwrap();
    let log = std::fs::File::create(folder.path().join("log")).unwrap();
    let found = log.metadata().unwrap();
    let mut run = command(&device.config_path());
    run.env("JOURNAL_STREAM", format!("{}:{}", found.st_dev(), found.st_ino()));
    run.args(["run", "--heartbeat-interval", "100ms", "--retry-base", "100ms"]);
    let running = Running::of(run.stdout(Stdio::null()).stderr(log).spawn().unwrap());
    plane.until("it is refused", |state| state.count("/heartbeat") >= 2).await;
    running.kill();
    let log = std::fs::read_to_string(folder.path().join("log")).unwrap();
    assert!(log.contains("<6>countersign_agent::run::agent: agent started"), "{log}");
    assert!(log.contains("<3>countersign_agent::run::heartbeat: the control plane does not admit"), "{log}");
    for line in log.lines() {
        assert!(line.starts_with('<') && line.chars().nth(2) == Some('>'), "{line}");
        assert!(!line.contains('\u{1b}'), "{line}");
    }
}
