//! A TLS server of OpenSSL's, which shows one certificate.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::openssl::openssl;

/// Makes a certificate that signed itself, `NAME.pem`, which is good for so many days from now in the real
/// time, and its key, `NAME.key`; with the key of another if that is named.
pub(crate) fn self_signed(folder: &Path, name: &str, days: u32, key_of: Option<&str>) {
    let path = |name: &str, ending: &str| folder.join(format!("{name}.{ending}")).display().to_string();
    let (days, subject) = (days.to_string(), format!("/CN={name}.example.com"));
    let (certificate, key) = (path(name, "pem"), path(name, "key"));
    let mut arguments = vec!["req", "-x509", "-days", &days, "-subj", &subject, "-out", &certificate];
    let other = key_of.map(|other| path(other, "key"));
    match &other {
        Some(other) => {
            fs_err::copy(other, &key).unwrap();
            arguments.extend(["-key", &key]);
        }
        None => arguments.extend([
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-keyout",
            &key,
        ]),
    }
    let ran = openssl(&arguments, b"");
    assert_eq!(ran.code, 0, "{}", ran.stderr);
}

/// A running server; it ends with this.
pub(crate) struct ShowingServer {
    process: Child,
    port: u16,
}

impl ShowingServer {
    /// Shows `NAME.pem`, on this port; 0: on one that is free.
    pub(crate) fn start(folder: &Path, name: &str, port: u16) -> Self {
        let mut process = Command::new("openssl")
            .args(["s_server", "-www", "-accept", &format!("127.0.0.1:{port}")])
            .args(["-cert", &format!("{name}.pem"), "-key", &format!("{name}.key")])
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let address = lines.find_map(|line| line.unwrap().strip_prefix("ACCEPT").map(str::to_owned));
        // What it prints later goes nowhere, but its pipe stays open as long as it lives.
        std::thread::spawn(move || lines.for_each(drop));
        // It names its address only when it chose the port.
        let chosen = address.unwrap().rsplit_once(':').map(|(_, port)| port.parse().unwrap());
        let port = chosen.unwrap_or(port);
        Self { process, port }
    }

    /// Its port.
    pub(crate) const fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for ShowingServer {
    fn drop(&mut self) {
        let _gone = self.process.kill();
        let _ended = self.process.wait();
    }
}
