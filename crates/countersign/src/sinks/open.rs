//! The ways to the sinks, as the configuration has them.

use anyhow::Context as _;
use countersign_edge::mqtt::BrokerAccount;

use super::mqtt::MqttTopic;
use super::nats::NatsSubject;
use super::queue::SinkQueue;
use super::webhook::Webhook;
use crate::config::{IngestSink, SinkKind};
use crate::doors::{self, password_in};
use crate::hook::{Hook, text_in};

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
            let hook = Hook::new(url, secret, (ca_file.as_deref(), "ingest_sink.ca_file"))?;
            SinkQueue::start(&sink.name, at_once, Webhook::new(hook))
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
