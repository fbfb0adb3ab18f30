//! A PostgreSQL server for the tests of one process: started at first use, on a socket in a directory of
//! its own, and gone with the process, however that ends.

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// Whom PostgreSQL runs as when the tests run as root, which it refuses. Debian's package makes it.
pub(crate) const UNPRIVILEGED: &str = "postgres";

/// What is to be done where there is none.
pub(crate) const MISSING: &str =
    "PostgreSQL's server is needed and not here: apt-get install postgresql (scripts/test does it)";

/// Makes a server, says so, waits until its standard input ends, which is when the test process does, and
/// removes the server again. Nothing is synced: it need not survive the machine.
const GUARD: &str = r#"
set -e
cd "$1"
LC_ALL=C.UTF-8 "$2/initdb" -D data -U postgres -A trust -E UTF8 --no-sync >initdb.log 2>&1
options="-k $1 -c listen_addresses= -c max_connections=200 -c fsync=off -c full_page_writes=off"
"$2/pg_ctl" start -D data -l server.log -w -t 60 -o "$options" >start.log 2>&1
echo ready
cat >/dev/null || true
"$2/pg_ctl" stop -D data -m immediate -w -t 60 >stop.log 2>&1
cd /
rm -rf "$1"
"#;

/// The server of this process.
#[derive(Debug)]
pub struct PostgresServer {
    directory: PathBuf,
    programs: PathBuf,
    databases: AtomicU32,
    // Its standard input is closed by the kernel when this process ends.
    _guard: Child,
}

impl PostgresServer {
    /// The one server of this process, started if need be.
    ///
    /// # Panics
    /// When PostgreSQL is not installed or does not start, saying what to do.
    pub fn shared() -> &'static Self {
        static SERVER: OnceLock<PostgresServer> = OnceLock::new();
        SERVER.get_or_init(Self::start)
    }

    fn start() -> Self {
        let programs = programs().expect(MISSING);
        let directory = tempfile::Builder::new().prefix("cs-pg-").tempdir().expect("make a directory").keep();
        let mut command = as_unprivileged(&directory);
        command.args(["sh", "-c", GUARD, "sh"]).arg(&directory).arg(&programs);
        // In a group of its own: what interrupts the tests leaves it to clean up.
        command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut guard = command.spawn().expect("start the guard of PostgreSQL");
        let mut said = String::new();
        let output = guard.stdout.take().expect("its standard output");
        BufReader::new(output).read_line(&mut said).expect("read what it says");
        assert_eq!(said, "ready\n", "PostgreSQL did not start: see the logs in {}", directory.display());
        Self { directory, programs, databases: AtomicU32::new(0), _guard: guard }
    }

    /// A new, empty database; its URL.
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn create_database(&self) -> String {
        self.url(&self.create(""))
    }

    /// A new, empty database that is gone with what is returned: for tests of which there are many.
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn passing_database(&'static self) -> PostgresDatabase {
        PostgresDatabase { server: self, name: self.create("") }
    }

    /// Makes a database and gives its name.
    fn create(&self, options: &str) -> String {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.psql("postgres", &format!("CREATE DATABASE {name} {options}"));
        name
    }

    fn url(&self, database: &str) -> String {
        format!("postgresql:///{database}?host={}&user=postgres", self.directory.display())
    }

    /// What `psql` answers in the database with this URL: rows by line, columns by `|`.
    ///
    /// # Panics
    /// When the statement fails.
    pub fn query(&self, url: &str, statement: &str) -> String {
        self.psql(url, statement)
    }

    fn psql(&self, database: &str, statement: &str) -> String {
        let host = self.directory.to_string_lossy();
        psql(&self.programs, &["-h", &host, database], statement)
    }
}

/// A database that is gone with this, whoever is connected to it.
#[derive(Debug)]
pub struct PostgresDatabase {
    server: &'static PostgresServer,
    name: String,
}

impl PostgresDatabase {
    /// Its URL.
    pub fn url(&self) -> String {
        self.server.url(&self.name)
    }

    /// Another one with all that is in this one, to which nobody may be connected.
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn copy(&self) -> Self {
        Self { server: self.server, name: self.server.create(&format!("TEMPLATE {}", self.name)) }
    }
}

impl Drop for PostgresDatabase {
    fn drop(&mut self) {
        self.server.psql("postgres", &format!("DROP DATABASE {} WITH (FORCE)", self.name));
    }
}

/// What `psql` answers at a server and in a database, which its arguments name: rows by line, columns by `|`.
pub(crate) fn psql(programs: &Path, place: &[&str], statement: &str) -> String {
    let mut command = Command::new(programs.join("psql"));
    command.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-c", statement]);
    let done = command.args(place).stdin(Stdio::null()).output().expect("run psql");
    assert!(done.status.success(), "{statement}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8_lossy(&done.stdout).trim_end().to_owned()
}

/// The directory of the newest installed server's programs.
pub(crate) fn programs() -> Option<PathBuf> {
    let versions = fs_err::read_dir("/usr/lib/postgresql").ok()?;
    let folders = versions.filter_map(|entry| Some(entry.ok()?.path().join("bin")));
    folders.filter(|folder| folder.join("initdb").is_file()).max_by_key(|folder| version_of(folder))
}

fn version_of(programs: &Path) -> Option<u32> {
    programs.parent()?.file_name()?.to_str()?.parse().ok()
}

/// Whether the tests run as root.
pub(crate) fn is_root() -> bool {
    fs_err::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

/// A command run as whoever may run PostgreSQL, to whom the directory is given.
pub(crate) fn as_unprivileged(directory: &Path) -> Command {
    if !is_root() {
        return Command::new("env");
    }
    let given = Command::new("chown").arg(UNPRIVILEGED).arg(directory).status();
    assert!(given.is_ok_and(|status| status.success()), "there is no user {UNPRIVILEGED} to run PostgreSQL");
    let mut command = Command::new("runuser");
    command.args(["-u", UNPRIVILEGED, "--"]);
    command
}
