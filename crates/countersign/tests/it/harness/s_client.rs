//! `openssl s_client`, with and without a session of before.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use super::device::Device;
use super::installation::Installation;
use super::openssl::openssl;

const REQUEST: &str = "GET /required/x HTTP/1.1\r\nHost: localhost\r\n";

/// Which session a connection begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Session {
    /// None; what the door gives is kept.
    New,
    /// The one that is kept.
    Kept,
}

/// What a connection came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Visit {
    pub(crate) is_resumed: bool,
    /// The code of the refusal; empty: it was served.
    pub(crate) code: String,
}

impl Visit {
    pub(crate) fn of(is_resumed: bool, code: &str) -> Self {
        Self { is_resumed, code: code.to_owned() }
    }
}

/// `openssl s_client`, which keeps its session in a file.
#[derive(Clone)]
pub(crate) struct SClient {
    pub(crate) at: String,
    pub(crate) identity: Option<PathBuf>,
    pub(crate) session: PathBuf,
    pub(crate) version: &'static str,
    pub(crate) server_name: &'static str,
}

impl SClient {
    /// The versions of TLS that it is asked for.
    pub(crate) const VERSIONS: [&str; 2] = ["-tls1_2", "-tls1_3"];

    /// One that shows a device's certificate, with a session of its own under `name`.
    pub(crate) fn of(
        installation: &Installation,
        device: &Device,
        version: &'static str,
        name: &str,
    ) -> Self {
        let identity = installation.folder().join(format!("{}{version}.pem", device.name));
        fs_err::write(&identity, device.identity_pem()).unwrap();
        Self { identity: Some(identity), ..Self::anonymous(installation, version, name) }
    }

    /// One that shows none.
    pub(crate) fn anonymous(installation: &Installation, version: &'static str, name: &str) -> Self {
        Self {
            at: installation.door().to_string(),
            identity: None,
            session: installation.folder().join(format!("{name}{version}.session")),
            version,
            server_name: "localhost",
        }
    }

    fn arguments(&self, session: Session) -> Vec<&str> {
        let mut arguments =
            vec!["s_client", "-connect", &self.at, "-servername", self.server_name, self.version, "-ign_eof"];
        let kept = self.session.to_str().unwrap();
        match session {
            Session::New => arguments.extend(["-sess_out", kept]),
            Session::Kept => arguments.extend(["-sess_in", kept]),
        }
        if let Some(identity) = self.identity.as_ref().map(|path| path.to_str().unwrap()) {
            arguments.extend(["-cert", identity, "-key", identity, "-cert_chain", identity]);
        }
        arguments
    }

    /// Asks once over a connection that ends with it.
    pub(crate) fn visit(&self, session: Session) -> Visit {
        let request = format!("{REQUEST}Connection: close\r\n\r\n");
        let ran = openssl(&self.arguments(session), request.as_bytes());
        let is_resumed = ran.stdout.contains("\nReused, TLSv1");
        assert!(is_resumed || ran.stdout.contains("\nNew, TLSv1"), "{}{}", ran.stdout, ran.stderr);
        if ran.stdout.contains("HTTP/1.1 200") {
            return Visit::of(is_resumed, "");
        }
        assert!(ran.stdout.contains("HTTP/1.1 403"), "{}{}", ran.stdout, ran.stderr);
        let (_, rest) = ran.stdout.split_once("\"code\":\"").unwrap();
        Visit::of(is_resumed, rest.split('"').next().unwrap())
    }

    /// A connection that stays open, once it has been served over it. It ends when the connection does.
    ///
    /// What it prints itself waits in a buffer and what it received does not, so that one is in the midst of
    /// the other: it is told to print what it received alone.
    pub(crate) fn live(&self, session: Session) -> Child {
        let mut process = Command::new("openssl")
            .args(self.arguments(session))
            .arg("-quiet")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        process.stdin.as_mut().unwrap().write_all(format!("{REQUEST}\r\n").as_bytes()).unwrap();
        let mut first = String::new();
        let mut printed = BufReader::new(process.stdout.take().unwrap());
        printed.read_line(&mut first).unwrap();
        assert!(first.starts_with("HTTP/1.1 200"), "{first:?}");
        // What it prints later goes nowhere, but its pipe stays open as long as it lives.
        std::thread::spawn(move || std::io::copy(&mut printed, &mut std::io::sink()));
        process
    }
}
