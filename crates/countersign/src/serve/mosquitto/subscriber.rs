//! Takes what devices say at Mosquitto, as a subscriber hears it: by the topic alone. Which certificate a
//! message was sent with, and that a device sent it and not a service that may write there, nobody says.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use countersign_authority::Authority;
use countersign_core::identity::Identity;
use countersign_core::ids::{CertificateRef, SerialNumber};
use countersign_edge::mqtt::wire::Qos;
use countersign_edge::mqtt::{BrokerClient, Delivered, EarlierSession, Message, Sink};
use tokio::time::{Instant, sleep_until};

use super::driver::Broker;

/// What the subscriber calls itself: the broker keeps for it what comes while it is away.
const CLIENT_ID: &str = "countersign-ingest";

/// How long after a failure it begins anew.
const AGAIN: Duration = Duration::from_secs(1);

/// Takes messages, for ever.
pub(crate) async fn subscribe(authority: Arc<Authority>, broker: Broker, sink: Arc<dyn Sink>) {
    loop {
        let Err(error) = take_all(&authority, &broker, &*sink).await;
        let error = format!("{error:#}");
        tracing::error!(
            broker = %broker.account.server,
            error,
            "messages of devices at the broker not taken"
        );
        sleep_until(Instant::now() + AGAIN).await;
    }
}

async fn take_all(
    authority: &Authority,
    broker: &Broker,
    sink: &dyn Sink,
) -> anyhow::Result<std::convert::Infallible> {
    let mut client = BrokerClient::connect(&broker.account, CLIENT_ID, EarlierSession::Resumed).await?;
    client.subscribe(&broker.layout.all(), Qos::AtLeastOnce).await?;
    tracing::info!(broker = %broker.account.server, "messages of devices at the broker are taken");
    loop {
        let delivered = client.next().await?;
        if let Some(message) = message(authority, broker, &delivered).await? {
            sink.take(message).await.context("keep a message")?;
        }
        // Only now: what is not acknowledged comes again.
        client.took(&delivered).await?;
    }
}

/// What a device said. `None`: devices may not write there, or it was said before this subscriber came.
async fn message(
    authority: &Authority,
    broker: &Broker,
    delivered: &Delivered,
) -> anyhow::Result<Option<Message>> {
    let Some(((tenant, device), suffix)) = broker.layout.owner_of(&delivered.topic) else { return Ok(None) };
    let is_written = broker.layout.write().iter().any(|filter| filter.matches(suffix));
    if !is_written || delivered.is_retained {
        return Ok(None);
    }
    let identity = Identity::new(authority.trust_domain().clone(), tenant, device);
    let certificate = authority.last_certificate_of(identity.clone()).await?;
    let certificate = match certificate {
        Some(certificate) => certificate,
        None => unknown()?,
    };
    Ok(Some(Message {
        identity,
        certificate,
        topic: delivered.topic.clone(),
        suffix: suffix.to_owned(),
        qos: delivered.qos,
        is_dup: delivered.is_dup,
        received_at: authority.now(),
        payload: delivered.payload.clone(),
    }))
}

/// In the place of a certificate where none is on record: the message is set aside all the same.
fn unknown() -> anyhow::Result<CertificateRef> {
    let serial: SerialNumber = "01".parse().context("name no certificate")?;
    Ok(CertificateRef { issuer: [0; 32].into(), serial })
}
