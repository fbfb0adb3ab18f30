//! A running server, on ports of its own.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};

/// `countersign serve` in a folder, with its data in `countersign-data` there; killed with the test.
pub(crate) struct Server {
    process: Child,
    stdout: BufReader<ChildStdout>,
    folder: PathBuf,
    admin: String,
    printed: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _gone = self.process.kill();
        let _ended = self.process.wait();
    }
}

impl Server {
    /// Starts it with these flags besides the ports, and waits until it says that it is ready.
    pub(crate) fn start(folder: &Path, flags: &[&str]) -> Self {
        let log = fs_err::File::create(folder.join("log")).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
        command.args(["serve", "--listen-admin", "127.0.0.1:0", "--listen-http", "127.0.0.1:0"]).args(flags);
        command.env("COUNTERSIGN_MQTT_DOOR_LISTEN", "127.0.0.1:0");
        command.current_dir(folder).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log.into_file());
        let mut process = command.spawn().unwrap();
        let stdout = BufReader::new(process.stdout.take().unwrap());
        let (folder, admin, printed) = (folder.to_owned(), String::new(), String::new());
        let mut server = Self { process, stdout, folder, admin, printed };
        server.wait_until_ready();
        server
    }

    fn wait_until_ready(&mut self) {
        let mut line = String::new();
        while self.stdout.read_line(&mut line).unwrap() > 0 {
            self.printed.push_str(&line);
            if let Some(admin) = line.trim().strip_prefix("admin           http://") {
                admin.clone_into(&mut self.admin);
            }
            if line.trim().starts_with("countersign-agent enroll <key>") {
                return;
            }
            line.clear();
        }
        panic!("it ended: {}", self.log())
    }

    /// The address of the admin listener.
    pub(crate) fn admin(&self) -> &str {
        &self.admin
    }

    /// What it printed when it was ready.
    pub(crate) fn printed(&self) -> &str {
        &self.printed
    }

    /// What it logged so far.
    pub(crate) fn log(&self) -> String {
        fs_err::read_to_string(self.folder.join("log")).unwrap()
    }

    /// Calls the admin API, with a body if there is one, and gives the answer.
    pub(crate) fn call(&self, path: &str, session: &str, body: Option<&str>) -> serde_json::Value {
        let mut curl = Command::new("curl");
        curl.args([
            "-sS",
            "-H",
            "content-type: application/json",
            "-H",
            &format!("authorization: Bearer {session}"),
        ]);
        if let Some(body) = body {
            curl.args(["-d", body]);
        }
        let output = curl.arg(format!("http://{}/api/v1{path}", self.admin)).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Calls what answers without a body.
    pub(crate) fn call_for_nothing(&self, path: &str, body: &str) {
        let mut curl = Command::new("curl");
        curl.args(["-sS", "--fail", "-H", "content-type: application/json", "-d", body]);
        let output = curl.arg(format!("http://{}/api/v1{path}", self.admin)).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(output.stdout.is_empty());
    }

    /// Makes the first owner, and gives the session.
    pub(crate) fn set_up(&self) -> String {
        let token = fs_err::read_to_string(self.folder.join("countersign-data/setup-token")).unwrap();
        let body = format!(
            "{{\"token\":\"{}\",\"email\":\"owner@example.com\",\"password\":\"correct horse battery staple\"}}",
            token.trim()
        );
        let answer = self.call("/setup", "", Some(&body));
        answer["token"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    }

    /// Sends SIGTERM, waits for the end, and gives how it ended and what it printed since it was ready.
    pub(crate) fn terminate(mut self) -> (ExitStatus, String) {
        let id = rustix::process::Pid::from_child(&self.process);
        rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).unwrap();
        (self.process.wait().unwrap(), rest)
    }
}
