//! Proves that the units in deploy/ are sound and closed, and that `serve` tells the service manager
//! when it serves, that it lives, and when it ends.

use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use crate::program::repository;

const UNITS: [&str; 5] =
    ["countersign.service", "countersign-agent.service", "countersign-edge.service", MOSQUITTO, ENROLMENT];

/// What enrols a device at its first start.
const ENROLMENT: &str = "countersign-agent-enroll.service";

/// What holds the sockets of services.
const SOCKETS: [&str; 2] = ["countersign.socket", "countersign-edge.socket"];

/// What gives the control plane its secrets, where it is put.
const CREDENTIALS: [&str; 2] = ["countersign-credentials.conf", "countersign.service.d/credentials.conf"];

/// What keeps Mosquitto's side up to date.
const MOSQUITTO: &str = "countersign-mosquitto.service";

/// What `systemd-analyze security` may find open at most, in tenths: files of the host are readable,
/// and the network is what both are for.
const EXPOSURE: &str = "15";

/// What renews certificates, and what starts it.
const ROTATION: [&str; 2] = ["countersign-cert-rotate.service", "countersign-cert-rotate.timer"];

/// The units with programs that exist on this machine.
fn units() -> (tempfile::TempDir, Vec<PathBuf>) {
    of_names(&UNITS)
}

fn of_names(names: &[&str]) -> (tempfile::TempDir, Vec<PathBuf>) {
    let folder = tempfile::tempdir().unwrap();
    let program = env!("CARGO_BIN_EXE_countersign");
    let mut units = Vec::new();
    for name in names {
        let text = fs_err::read_to_string(repository().join("deploy/systemd").join(name)).unwrap();
        let lines: Vec<String> = text
            .lines()
            .map(|line| match line.strip_prefix("ExecStart=/usr/bin/") {
                Some(rest) => format!("ExecStart={program} {}", rest.split_once(' ').unwrap().1),
                None => line.to_owned(),
            })
            .collect();
        let path = folder.path().join(name);
        fs_err::write(&path, lines.join("\n")).unwrap();
        units.push(path);
    }
    (folder, units)
}

fn analyze(arguments: &[&str], units: &[PathBuf]) -> Output {
    Command::new("systemd-analyze").args(arguments).args(units).output().unwrap()
}

#[track_caller]
fn assert_fine(output: &Output) {
    let said = [&output.stdout[..], &output.stderr[..]].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
}

#[test]
fn systemd_understands_every_line_of_the_units() {
    let (_folder, units) = units();
    let output = analyze(&["verify"], &units);
    assert_fine(&output);
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "nothing is ignored");
}

#[test]
fn systemd_understands_sockets_and_credentials() {
    let (folder, units) = of_names(&[&SOCKETS[..], &UNITS].concat());
    let (from, to) =
        (repository().join("deploy/systemd").join(CREDENTIALS[0]), folder.path().join(CREDENTIALS[1]));
    fs_err::create_dir(to.parent().unwrap()).unwrap();
    fs_err::copy(from, to).unwrap();
    let output = analyze(&["verify"], &units);
    assert_fine(&output);
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "nothing is ignored");
}

#[test]
fn systemd_makes_the_users_of_the_units() {
    let files = ["countersign.sysusers", "countersign-agent.sysusers"];
    let files = files.map(|name| repository().join("deploy/systemd").join(name));
    let nobody = tempfile::tempdir().unwrap();
    let mut command = Command::new("systemd-sysusers");
    command.arg("--dry-run").arg(format!("--root={}", nobody.path().display())).args(files);
    let output = command.output().unwrap();
    assert_fine(&output);
    let said = [&output.stdout[..], &output.stderr[..]].concat();
    for user in ["'countersign'", "'countersign-agent'"] {
        assert!(String::from_utf8_lossy(&said).contains(&format!("Creating user {user} ")), "{user}");
    }
}

#[test]
fn systemd_understands_the_timer_that_renews_certificates() {
    let (_folder, units) = of_names(&ROTATION);
    let output = analyze(&["verify"], &units);
    assert_fine(&output);
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "nothing is ignored");
    // With a directory in which there is nothing.
    let folder = tempfile::tempdir().unwrap();
    let values = [("${ROTATE_DIR}", "."), ("${ROTATE_GRACE}", "30d"), ("${ROTATE_RELOAD}", "false")];
    let words = started(ROTATION[0], &values);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let ran = crate::program::run(folder.path(), &[], &words);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!(ran.stdout, "no certificate with its key below .\n");
}

/// The words that a unit starts our program with, with these values for what is in its environment.
fn started(unit: &str, values: &[(&str, &str)]) -> Vec<String> {
    let text = fs_err::read_to_string(repository().join("deploy/systemd").join(unit)).unwrap();
    let command = text.lines().find_map(|line| line.strip_prefix("ExecStart=/usr/bin/countersign ")).unwrap();
    let value = |word: &str| values.iter().find(|(name, _)| *name == word).map(|(_, value)| *value);
    command.split(' ').flat_map(|word| value(word).unwrap_or(word).split(' ')).map(str::to_owned).collect()
}

#[test]
fn the_words_that_keep_mosquittos_side_are_understood() {
    let folder = tempfile::tempdir().unwrap();
    let address = countersign_testkit::vacant_address().to_string();
    let options = format!("--dns mqtt.example.com --service ingest --listen-admin {address}");
    let values = [
        ("${MOSQUITTO_DIR}", "mosquitto"),
        ("${MOSQUITTO_PID_FILE}", "mosquitto.pid"),
        ("${CREDENTIALS_DIRECTORY}/token", "token"),
        ("$MOSQUITTO_OPTIONS", &options),
    ];
    let words = started(MOSQUITTO, &values);
    assert!(words.contains(&"--watch".to_owned()), "{words:?}");
    // Once, and nobody is there: it says so, and goes no further.
    let words: Vec<&str> = words.iter().map(String::as_str).filter(|word| *word != "--watch").collect();
    let ran = crate::program::run(folder.path(), &[], &words);
    assert!(ran.code != 0 && ran.stderr.contains(&address), "{} {}", ran.code, ran.stderr);
}

#[test]
fn the_units_leave_little_open() {
    let (_folder, units) = units();
    for unit in units {
        let threshold = format!("--threshold={EXPOSURE}");
        assert_fine(&analyze(&["security", "--offline=true", "--no-pager", &threshold], &[unit]));
    }
}

#[test]
fn the_units_let_a_server_close_itself_in() {
    for name in ["countersign.service", "countersign-edge.service"] {
        let text = fs_err::read_to_string(repository().join("deploy/systemd").join(name)).unwrap();
        let allowed = text.lines().find_map(|line| line.strip_prefix("SystemCallFilter=")).unwrap();
        for call in ["landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self"] {
            assert!(allowed.split(' ').any(|word| word == call), "{name} refuses {call}");
        }
    }
}

#[test]
fn the_units_start_what_is_shipped() {
    for (name, program) in UNITS.iter().zip(["countersign serve", "countersign-agent run"]) {
        let text = fs_err::read_to_string(repository().join("deploy/systemd").join(name)).unwrap();
        assert!(text.contains(&format!("\nExecStart=/usr/bin/{program}\n")), "{name}");
        assert!(text.contains("\nType=notify\n") && text.contains("\nWatchdogSec="), "{name}");
    }
}

/// Ends with the test.
struct Serving(Child);

impl Drop for Serving {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _ended = self.0.wait();
    }
}

/// Waits for a message that begins so.
#[track_caller]
fn hear(socket: &UnixDatagram, start: &str) {
    loop {
        let mut buffer = [0; 1024];
        let length = socket.recv(&mut buffer).unwrap_or_else(|error| panic!("{start}: {error}"));
        if buffer[..length].starts_with(start.as_bytes()) {
            return;
        }
    }
}

#[test]
fn the_service_manager_hears_how_serve_gets_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
    command
        .args(["serve", "--listen-admin", "127.0.0.1:0", "--listen-http", "127.0.0.1:0"])
        .env_clear()
        .env("NOTIFY_SOCKET", &path)
        .env("WATCHDOG_USEC", "300000")
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut serving = Serving(command.spawn().unwrap());
    hear(&socket, "READY=1");
    hear(&socket, "WATCHDOG=1");
    hear(&socket, "WATCHDOG=1");
    let pid = rustix::process::Pid::from_child(&serving.0);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    hear(&socket, "STOPPING=1");
    assert!(serving.0.wait().unwrap().success());
}
