//! A webhook: batches over HTTP, each signed.

use std::time::Duration;

use anyhow::Context as _;
use aws_lc_rs::hmac;
use countersign_core::ids::RequestId;
use countersign_core::time::{Clock as _, SystemClock};
use countersign_tls::ClientTls;
use http::{Method, Request, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::queue::{Deliver, Delivering};
use super::record::Record;

/// How long the way there may take, and the answer.
const PATIENCE: Duration = Duration::from_secs(15);

/// The header with the moment and the signature over it and the body.
const SIGNATURE: &str = "countersign-signature";

/// The header with the batch's name: what is sent again has the same.
const BATCH: &str = "countersign-batch";

/// A webhook.
pub(super) struct Webhook {
    pub(super) url: http::Uri,
    pub(super) host: String,
    pub(super) port: u16,
    /// `None`: it is on this machine, without TLS.
    pub(super) tls: Option<ClientTls>,
    pub(super) secret: hmac::Key,
    connection: Option<http1::SendRequest<Full<Bytes>>>,
    /// The first message of the batch that is tried, and what the batch is called.
    batch: Option<(RequestId, RequestId)>,
}

impl Webhook {
    pub(super) fn new(url: http::Uri, place: (String, u16), tls: Option<ClientTls>, secret: &[u8]) -> Self {
        let secret = hmac::Key::new(hmac::HMAC_SHA256, secret);
        Self { url, host: place.0, port: place.1, tls, secret, connection: None, batch: None }
    }

    async fn open(&self) -> anyhow::Result<http1::SendRequest<Full<Bytes>>> {
        let place = format!("connect to {}:{}", self.host, self.port);
        if let Some(tls) = &self.tls {
            let stream = tls.connect(&self.host, self.port).await.with_context(|| place)?;
            let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
            tokio::spawn(connection);
            return Ok(sender);
        }
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await.with_context(|| place)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(sender)
    }

    /// The same batch keeps its name however often it is sent.
    fn name_of(&mut self, batch: &[Record]) -> RequestId {
        let first = batch.first().map(|record| record.id);
        match (&self.batch, first) {
            (Some((of, name)), Some(first)) if *of == first => *name,
            (_, first) => {
                let name = RequestId::random();
                self.batch = first.map(|first| (first, name));
                name
            }
        }
    }

    async fn post(&mut self, batch: &[Record]) -> anyhow::Result<()> {
        let lines: Vec<&str> = batch.iter().map(|record| &*record.json).collect();
        let body = format!("{{\"messages\":[{}]}}", lines.join(","));
        let moment = SystemClock.now().secs();
        let name = self.name_of(batch);
        let request = Request::builder()
            .method(Method::POST)
            .uri(self.url.path_and_query().map_or("/", |path| path.as_str()))
            .header(header::HOST, self.url.authority().map_or("", |authority| authority.as_str()))
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::USER_AGENT, concat!("countersign/", env!("CARGO_PKG_VERSION")))
            .header(SIGNATURE, signature(&self.secret, moment, body.as_bytes()))
            .header(BATCH, name.to_string())
            .body(Full::from(body))?;
        let mut sender = match self.connection.take().filter(|sender| !sender.is_closed()) {
            Some(sender) => sender,
            None => self.open().await?,
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

impl Deliver for Webhook {
    fn deliver<'a>(&'a mut self, batch: &'a [Record]) -> Delivering<'a> {
        Box::pin(async move { timeout(PATIENCE, self.post(batch)).await.context("wait for the webhook")? })
    }
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

    #[test]
    fn a_batch_that_is_sent_again_has_the_same_name() {
        let url: http::Uri = "http://127.0.0.1/x".parse().unwrap();
        let mut webhook = Webhook::new(url, ("127.0.0.1".to_owned(), 80), None, b"secret");
        let batch = [Record::example("d1"), Record::example("d2")];
        let name = webhook.name_of(&batch);
        assert_eq!(webhook.name_of(&batch), name);
        assert_ne!(webhook.name_of(&[Record::example("d1")]), name);
    }
}
