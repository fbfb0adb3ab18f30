//! A topic of a stock broker, at QoS 1.

use std::time::Duration;

use countersign_core::ids::RequestId;
use countersign_edge::mqtt::{BrokerAccount, BrokerClient, EarlierSession};
use tokio::time::Instant;

use super::queue::{Deliver, Delivering};
use super::record::Record;

/// A connection that was not used for so long is not trusted any more.
const FRESH: Duration = Duration::from_secs(10);

/// A topic of a broker.
pub(super) struct MqttTopic {
    account: BrokerAccount,
    /// With `{tenant}` and `{device}`.
    topic: String,
    /// What this process calls itself there.
    client_id: String,
    connection: Option<(BrokerClient, Instant)>,
}

impl MqttTopic {
    pub(super) fn new(account: BrokerAccount, topic: String) -> Self {
        let client_id = format!("countersign-{}", RequestId::random());
        Self { account, topic, client_id, connection: None }
    }

    async fn publish(&mut self, batch: &[Record]) -> anyhow::Result<()> {
        let fresh = self.connection.take().filter(|(_, used)| used.elapsed() < FRESH);
        let mut client = match fresh {
            Some((client, _used)) => client,
            None => BrokerClient::connect(&self.account, &self.client_id, EarlierSession::Forgotten).await?,
        };
        let topics: Vec<String> = batch.iter().map(|record| record.fill(&self.topic, '/')).collect();
        let mut messages = Vec::with_capacity(batch.len());
        for (topic, record) in topics.iter().zip(batch) {
            messages.push((topic.as_str(), record.json.as_bytes()));
        }
        client.publish(messages).await?;
        self.connection = Some((client, Instant::now()));
        Ok(())
    }
}

impl Deliver<Record> for MqttTopic {
    fn deliver<'a>(&'a mut self, batch: &'a [Record]) -> Delivering<'a> {
        Box::pin(self.publish(batch))
    }
}
