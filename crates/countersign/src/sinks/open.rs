//! The ways to the sinks, as the configuration has them.

use std::path::Path;

use anyhow::Context as _;
use countersign_edge::mqtt::BrokerAccount;
use countersign_tls::{ClientTls, ServerTrust};
use http::uri::Scheme;
use zeroize::Zeroizing;

use super::mqtt::MqttTopic;
use super::nats::NatsSubject;
use super::queue::SinkQueue;
use super::webhook::Webhook;
use crate::config::{IngestSink, SinkKind};
use crate::doors::{self, password_in};
use crate::system_roots::roots;

/// Starts them; must be called on the runtime that their work is to be done on.
///
/// # Errors
/// When a file cannot be read. Whether a sink is there turns out when there is a message.
pub(crate) fn open(sinks: &[IngestSink], own_roots: &str) -> anyhow::Result<Vec<SinkQueue>> {
    let open =
        |sink: &IngestSink| queue(sink, own_roots).with_context(|| format!("prepare the sink {}", sink.name));
    sinks.iter().map(open).collect()
}

fn queue(sink: &IngestSink, own_roots: &str) -> anyhow::Result<SinkQueue> {
    let at_once = sink.at_once.get();
    Ok(match &sink.kind {
        SinkKind::Webhook { url, secret, ca_file } => {
            let url = url.uri().clone();
            let is_tls = url.scheme() == Some(&Scheme::HTTPS);
            let tls = is_tls.then(|| {
                let trust = ServerTrust::Roots(roots(ca_file.as_deref(), "ingest_sink.ca_file")?);
                ClientTls::new(&trust, None).context("set up TLS")
            });
            let host = url.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
            let place = (host.to_owned(), url.port_u16().unwrap_or(if is_tls { 443 } else { 80 }));
            let secret = text_in(secret).context("read the secret")?;
            anyhow::ensure!(secret.len() >= 16, "the secret is shorter than 16 characters");
            SinkQueue::start(
                &sink.name,
                at_once,
                Webhook::new(url, place, tls.transpose()?, secret.as_bytes()),
            )
        }
        SinkKind::Mqtt { server, topic, login } => {
            let login = login.as_ref().map(|(user, file)| {
                anyhow::Ok((user.clone(), password_in(file).context("read the password")?))
            });
            let account =
                BrokerAccount { server: doors::server(server, own_roots)?, login: login.transpose()? };
            SinkQueue::start(&sink.name, at_once, MqttTopic::new(account, topic.clone()))
        }
        SinkKind::Nats { server, subject, login } => {
            let login = login
                .as_ref()
                .map(|(user, file)| anyhow::Ok((user.clone(), text_in(file).context("read the password")?)));
            let server = doors::server(server, own_roots)?;
            let subject = NatsSubject::new(server, login.transpose()?, subject.clone());
            SinkQueue::start(&sink.name, at_once, subject)
        }
    })
}

/// What is in a file, without the end of its line.
fn text_in(path: &Path) -> anyhow::Result<Zeroizing<String>> {
    let text = Zeroizing::new(fs_err::read_to_string(path)?);
    Ok(Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned()))
}
