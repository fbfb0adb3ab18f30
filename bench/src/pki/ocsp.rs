//! Questions about certificates, asked of a running server over plain HTTP.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::{Context as _, ensure};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::arguments::Scale;
use crate::client::read_answer;
use crate::installation::Installation;
use crate::process::find;
use crate::work::Work;

/// How many connections ask at once.
const CONNECTIONS: usize = 64;

/// The serial number in the question that openssl wrote: as long as those on record, and like none of them.
const PLACEHOLDER: &str = "01ffffffffffffffffffffffffffffffffff";

/// What can be asked.
#[derive(Debug)]
pub(crate) struct Questions {
    /// A question about the placeholder.
    template: Vec<u8>,
    /// Where its serial number stands.
    at: usize,
    /// The serial numbers on record.
    serials: Vec<Vec<u8>>,
}

impl Questions {
    /// About the certificates of the device CA with these serial numbers; `None`: no openssl.
    pub(crate) fn read(bundle: &Path, serials: &Path, path: &str) -> anyhow::Result<Option<Self>> {
        let Some(openssl) = find("openssl", path) else { return Ok(None) };
        let issuer = serials.with_extension("issuer.pem");
        fs_err::write(&issuer, device_ca(&openssl, bundle)?).context("keep the device CA")?;
        let question = serials.with_extension("question.der");
        let written = Command::new(openssl)
            // The issuer comes first: a serial number is looked up with the one named last.
            .args(["ocsp", "-sha256", "-no_nonce", "-issuer"])
            .arg(&issuer)
            .args(["-serial", &format!("0x{PLACEHOLDER}"), "-reqout"])
            .arg(&question)
            .output()
            .context("run openssl")?;
        ensure!(written.status.success(), "openssl: {}", String::from_utf8_lossy(&written.stderr));
        let text = fs_err::read_to_string(serials).context("read the serial numbers")?;
        let template = fs_err::read(question).context("read a question")?;
        Self::new(template, text.lines().map(octets).collect::<Option<_>>().context("read a serial number")?)
            .map(Some)
    }

    fn new(template: Vec<u8>, serials: Vec<Vec<u8>>) -> anyhow::Result<Self> {
        let placeholder = octets(PLACEHOLDER).unwrap_or_default();
        let at = template.windows(placeholder.len()).position(|window| window == placeholder);
        let at = at.context("openssl asks about something else")?;
        ensure!(
            serials.iter().all(|serial| serial.len() == placeholder.len()),
            "a serial number of another length"
        );
        ensure!(!serials.is_empty(), "nothing to ask about");
        Ok(Self { template, at, serials })
    }

    /// The question about a certificate, as an HTTP request.
    fn request(&self, serial: &[u8]) -> Vec<u8> {
        let (before, rest) = self.template.split_at(self.at);
        let after = rest.get(serial.len()..).unwrap_or_default();
        let head = format!(
            "POST /pki/ocsp HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/ocsp-request\r\n\
             content-length: {}\r\n\r\n",
            self.template.len()
        );
        [head.as_bytes(), before, serial, after].concat()
    }
}

/// The certificate of the CA that signs devices, out of all of them: the one that may be for clients alone.
fn device_ca(openssl: &Path, bundle: &Path) -> anyhow::Result<String> {
    let end = "-----END CERTIFICATE-----\n";
    let text = fs_err::read_to_string(bundle).context("read the CAs")?;
    let file = bundle.with_extension("one.pem");
    for pem in text.split_inclusive(end) {
        fs_err::write(&file, pem).context("keep a CA")?;
        let said = Command::new(openssl)
            .args(["x509", "-noout", "-ext", "extendedKeyUsage", "-in"])
            .arg(&file)
            .output()
            .context("run openssl")?;
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        if said.contains("Client Authentication") && !said.contains("Server Authentication") {
            return Ok(pem.to_owned());
        }
    }
    anyhow::bail!("no device CA among the CAs")
}

/// Asks about the first `among` certificates, one after the other, in rounds.
pub(crate) async fn ask(
    installation: &Installation,
    questions: &Questions,
    (scale, among): (Scale, usize),
) -> anyhow::Result<Work> {
    let asked = questions.serials.iter().take(among);
    let all: Arc<Vec<_>> =
        Arc::new(asked.map(|serial| (serial.clone(), questions.request(serial))).collect());
    let next = Arc::new(AtomicUsize::new(0));
    let mut work = Work::default();
    for _round in 0..scale.rounds {
        let (cpu, began) = (installation.cpu_time(), Instant::now());
        let mut askers = JoinSet::new();
        for _connection in 0..CONNECTIONS {
            let (all, next, address) = (Arc::clone(&all), Arc::clone(&next), installation.admin_address());
            askers.spawn(async move {
                let mut stream = TcpStream::connect(address).await.context("connect")?;
                stream.set_nodelay(true).context("connect")?;
                let (mut buffer, mut count) = (Vec::new(), 0);
                while began.elapsed() < scale.slice {
                    let asked = all.get(next.fetch_add(1, Ordering::Relaxed) % all.len());
                    let (serial, request) = asked.context("nothing to ask")?;
                    stream.write_all(request).await.context("ask")?;
                    let answer = read_answer(&mut stream, &mut buffer).await?;
                    ensure!(answer.status == 200 && knows(&answer.body, serial), "not the OCSP response");
                    count += 1;
                }
                anyhow::Ok(count)
            });
        }
        let mut count = 0;
        while let Some(done) = askers.join_next().await {
            count += done.context("ask")??;
        }
        work.add(count, installation.cpu_time() - cpu, began.elapsed());
    }
    Ok(work)
}

/// Whether a response is about this certificate, and says `good` or `revoked`.
fn knows(response: &[u8], serial: &[u8]) -> bool {
    /// `good [0] IMPLICIT NULL` and `revoked [1] IMPLICIT RevokedInfo`, RFC 6960 section 4.2.1.
    const STATUS: [u8; 2] = [0x80, 0xa1];
    let at = response.windows(serial.len()).position(|window| window == serial);
    let status = at.and_then(|at| response.get(at + serial.len()));
    status.is_some_and(|status| STATUS.contains(status))
}

fn octets(hex: &str) -> Option<Vec<u8>> {
    let digits = hex.as_bytes().chunks(2);
    digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_about_the_serial_number_that_is_asked_for() {
        let placeholder = octets(PLACEHOLDER).unwrap();
        let template = [&[0x30, 1][..], &placeholder, &[7, 7]].concat();
        let serials = vec![vec![5; placeholder.len()], vec![6; placeholder.len()]];
        let questions = Questions::new(template.clone(), serials.clone()).unwrap();
        let asked = questions.request(&serials[1]);
        assert!(asked.ends_with(&[&[0x30, 1][..], &serials[1], &[7, 7]].concat()));
        assert!(Questions::new(vec![0; 40], serials).is_err(), "a question about something else");
        assert!(Questions::new(template, vec![vec![5]]).is_err(), "another length");
    }

    #[test]
    fn a_response_is_about_what_was_asked_and_says_that_it_is_known() {
        for (status, is_known) in [(0x80, true), (0xa1, true), (0x82, false)] {
            assert_eq!(knows(&[0x30, 9, 1, 2, 3, status, 0], &[1, 2, 3]), is_known, "{status}");
        }
        assert!(!knows(&[0x30, 3, 0x0a, 1, 6], &[1, 2, 3]));
        assert_eq!((octets("01ff"), octets("0x")), (Some(vec![1, 255]), None));
    }
}
