//! A PostgreSQL server of one test's own, which the test may stop, freeze and kill, and give a standby.

use std::io::{self, BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;

use tempfile::TempDir;

use crate::postgres::{MISSING, UNPRIVILEGED, as_unprivileged, is_root, programs, psql};
use crate::vacancy::vacant_address;

/// What the database is called.
const DATABASE: &str = "countersign";

/// Waits until a standby has what is committed here.
const UNTIL_FOLLOWED: &str = "DO $$ BEGIN
    WHILE NOT EXISTS (SELECT 1 FROM pg_stat_get_wal_senders() WHERE sync_state = 'sync') LOOP
        PERFORM pg_sleep(0.05);
    END LOOP;
END $$";

/// A server on an address of its own, with one database. It ends with this, or with the thread that started it.
#[derive(Debug)]
pub struct PostgresMachine {
    folder: TempDir,
    programs: PathBuf,
    address: SocketAddr,
    process: Option<Child>,
}

impl PostgresMachine {
    /// A server with an empty database.
    ///
    /// # Panics
    /// When PostgreSQL is not installed or does not start.
    #[must_use]
    pub fn start() -> Self {
        let mut machine = Self::unmade();
        machine.make("initdb", &["-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"]);
        machine.start_again();
        machine.ask("postgres", &format!("CREATE DATABASE {DATABASE}"));
        machine
    }

    /// A standby of this server, which from now on acknowledges no commit that the standby does not have.
    ///
    /// # Panics
    /// When it cannot be made.
    #[must_use]
    pub fn standby(&self) -> Self {
        let mut standby = Self::unmade();
        let (host, port) = (self.address.ip().to_string(), self.address.port().to_string());
        let from =
            ["-h", &host, "-p", &port, "-U", "postgres", "-R", "-X", "stream", "-c", "fast", "--no-sync"];
        standby.make("pg_basebackup", &from);
        standby.start_again();
        self.query("ALTER SYSTEM SET synchronous_standby_names = '*'");
        self.query("SELECT pg_reload_conf()");
        self.query(UNTIL_FOLLOWED);
        standby
    }

    fn unmade() -> Self {
        let programs = programs().expect(MISSING);
        let folder = tempfile::Builder::new().prefix("cs-pg-").tempdir().expect("make a directory");
        Self { folder, programs, address: vacant_address(), process: None }
    }

    /// Makes the data directory by one of PostgreSQL's programs.
    fn make(&self, program: &str, arguments: &[&str]) {
        let mut command = as_unprivileged(self.folder.path());
        command.arg(self.programs.join(program)).arg("-D").arg(self.data()).args(arguments);
        let made = command.env("LC_ALL", "C.UTF-8").stdin(Stdio::null()).output().expect("run it");
        assert!(made.status.success(), "{program}: {}", String::from_utf8_lossy(&made.stderr));
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Starts it, which must not run, and waits until it answers.
    ///
    /// # Panics
    /// When it does not start, with what it said.
    pub fn start_again(&mut self) {
        assert!(self.process.is_none(), "it runs");
        let mut command = Command::new("setpriv");
        if is_root() {
            command.args(["--reuid", UNPRIVILEGED, "--regid", UNPRIVILEGED, "--init-groups"]);
        }
        command.args(["--pdeathsig", "QUIT"]).arg(self.programs.join("postgres")).arg("-D").arg(self.data());
        let settings = [
            format!("listen_addresses={}", self.address.ip()),
            format!("port={}", self.address.port()),
            "unix_socket_directories=".to_owned(),
            "lc_messages=C".to_owned(),
            // What is killed is a process and not the machine: what was written is there.
            "fsync=off".to_owned(),
            "full_page_writes=off".to_owned(),
        ];
        for setting in settings {
            command.args(["-c", &setting]);
        }
        command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut process = command.spawn().expect("start PostgreSQL");
        let mut said = BufReader::new(process.stderr.take().expect("its standard error"));
        self.process = Some(process);
        let mut log = String::new();
        while !log.contains("ready to accept") {
            let read = said.read_line(&mut log).expect("read what it says");
            assert_ne!(read, 0, "PostgreSQL did not start: {log}");
        }
        // What it says from now on is of no interest, and must not fill the pipe.
        thread::spawn(move || io::copy(&mut said, &mut io::sink()));
    }

    /// Ends it at once, as `pg_ctl stop -m immediate` does: whoever is connected is cut off.
    ///
    /// # Panics
    /// When it does not run.
    pub fn stop(&mut self) {
        Self::signal("QUIT", &[self.id()]);
        self.ended();
    }

    /// Kills each of its processes, as a power cut would.
    ///
    /// # Panics
    /// When it does not run.
    pub fn kill(&mut self) {
        let processes = self.freeze();
        Self::signal("KILL", &processes);
        self.ended();
    }

    /// Stops each of its processes where it is: connections stay open and silent. Gives their ids.
    ///
    /// # Panics
    /// When it does not run.
    pub fn freeze(&self) -> Vec<u32> {
        // The first, so that it makes no more.
        Self::signal("STOP", &[self.id()]);
        let mut processes = children_of(self.id());
        Self::signal("STOP", &processes);
        processes.push(self.id());
        processes
    }

    /// Lets them go on.
    ///
    /// # Panics
    /// When it does not run.
    pub fn thaw(&self) {
        let mut processes = children_of(self.id());
        processes.push(self.id());
        Self::signal("CONT", &processes);
    }

    /// Makes a primary of a standby, and waits until it is one.
    ///
    /// # Panics
    /// When it is none.
    pub fn promote(&self) {
        assert_eq!(self.query("SELECT pg_promote(true, 60)"), "t", "it is promoted");
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL of its database.
    #[must_use]
    pub fn url(&self) -> String {
        Self::url_by_way_of(self.address)
    }

    /// The same by way of another address.
    #[must_use]
    pub fn url_by_way_of(address: SocketAddr) -> String {
        format!("postgresql://postgres@{address}/{DATABASE}")
    }

    /// What `psql` answers in its database: rows by line, columns by `|`.
    ///
    /// # Panics
    /// When the statement fails.
    pub fn query(&self, statement: &str) -> String {
        self.ask(DATABASE, statement)
    }

    fn ask(&self, database: &str, statement: &str) -> String {
        let port = self.address.port().to_string();
        psql(&self.programs, &["-h", &self.address.ip().to_string(), "-p", &port, database], statement)
    }

    fn id(&self) -> u32 {
        self.process.as_ref().expect("it runs").id()
    }

    fn signal(signal: &str, processes: &[u32]) {
        let ids = processes.iter().map(u32::to_string);
        // One that has just ended is none that matters.
        drop(Command::new("kill").arg("-s").arg(signal).args(ids).stderr(Stdio::null()).status());
    }

    fn ended(&mut self) {
        let mut process = self.process.take().expect("it runs");
        process.wait().expect("wait for its end");
    }
}

impl Drop for PostgresMachine {
    fn drop(&mut self) {
        if self.process.is_some() {
            self.kill();
        }
    }
}

/// The processes that this one has started.
fn children_of(parent: u32) -> Vec<u32> {
    let list = fs_err::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap_or_default();
    list.split_whitespace().filter_map(|id| id.parse().ok()).collect()
}
