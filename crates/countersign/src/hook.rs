//! A signed webhook: bodies that are POSTed over one connection, each with a name and signed.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use aws_lc_rs::hmac;
use countersign_core::time::{Clock as _, SystemClock};
use countersign_tls::{ClientTls, ServerTrust};
use http::{Method, header};
use http_body_util::{BodyExt as _, Full};
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::config::HttpUrl;
use crate::http_client::{Sender, open, request};
use crate::system_roots::roots;

/// How long the way there may take, and the answer.
const PATIENCE: Duration = Duration::from_secs(15);

/// The header with the moment and the signature over it and the body.
const SIGNATURE: &str = "countersign-signature";

/// The header with the name of what is sent: what is sent again has the same.
const BATCH: &str = "countersign-batch";

/// The shortest secret, in characters.
const SHORTEST_SECRET: usize = 16;

/// A signed webhook.
pub(crate) struct Hook {
    url: HttpUrl,
    /// `None`: it is on this machine, without TLS.
    tls: Option<ClientTls>,
    secret: hmac::Key,
    connection: Option<Sender>,
}

impl Hook {
    /// A webhook with the secret in a file; `roots_key` is the setting that names its roots.
    ///
    /// # Errors
    /// When a file cannot be read, and when the secret is too short.
    pub(crate) fn new(
        url: &HttpUrl,
        secret: &Path,
        (ca_file, roots_key): (Option<&Path>, &str),
    ) -> anyhow::Result<Self> {
        let secret = text_in(secret).context("read the secret")?;
        anyhow::ensure!(
            secret.len() >= SHORTEST_SECRET,
            "the secret is shorter than {SHORTEST_SECRET} characters"
        );
        let tls = url.is_tls().then(|| {
            let trust = ServerTrust::Roots(roots(ca_file, roots_key)?);
            ClientTls::new(&trust, None).context("set up TLS")
        });
        Ok(Self {
            url: url.clone(),
            tls: tls.transpose()?,
            secret: hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()),
            connection: None,
        })
    }

    /// Sends a body of this kind under this name; it has arrived when this returns.
    ///
    /// # Errors
    /// When it has not, or nobody can tell.
    pub(crate) async fn send(&mut self, name: &str, kind: &'static str, body: String) -> anyhow::Result<()> {
        timeout(PATIENCE, self.post(name, kind, body)).await.context("wait for the webhook")?
    }

    async fn post(&mut self, name: &str, kind: &'static str, body: String) -> anyhow::Result<()> {
        let moment = SystemClock.now().secs();
        let request = request(&self.url, Method::POST, self.url.path())
            .header(header::CONTENT_TYPE, kind)
            .header(SIGNATURE, signature(&self.secret, moment, body.as_bytes()))
            .header(BATCH, name)
            .body(Full::from(body))?;
        let mut sender = match self.connection.take().filter(|sender| !sender.is_closed()) {
            Some(sender) => sender,
            None => open(&self.url, self.tls.as_ref()).await?,
        };
        sender.ready().await.context("use the connection")?;
        let response = sender.send_request(request).await.context("send the batch")?;
        let status = response.status();
        // What it says is not looked at, and read so that the connection can be used again.
        response.into_body().collect().await.context("read the answer")?;
        anyhow::ensure!(status.is_success(), "the webhook answers {status}");
        self.connection = Some(sender);
        Ok(())
    }
}

/// `t=SECONDS,v1=HEX`: HMAC-SHA256 over the seconds, a dot and the body.
fn signature(secret: &hmac::Key, moment: i64, body: &[u8]) -> String {
    let mut context = hmac::Context::with_key(secret);
    context.update(moment.to_string().as_bytes());
    context.update(b".");
    context.update(body);
    format!("t={moment},v1={}", hex::encode(context.sign()))
}

/// What is in a file, without the end of its line.
pub(crate) fn text_in(path: &Path) -> anyhow::Result<Zeroizing<String>> {
    let text = Zeroizing::new(fs_err::read_to_string(path)?);
    Ok(Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_what_another_library_makes_of_it() {
        // python3: hmac.new(b'secret', b'1800000000.{}', 'sha256').hexdigest()
        let secret = hmac::Key::new(hmac::HMAC_SHA256, b"secret");
        assert_eq!(
            signature(&secret, 1_800_000_000, b"{}"),
            "t=1800000000,v1=bb7079132825ac793cea8c013c1dd24d926b9b02132245b10588d9e5c0df70d7"
        );
    }
}
