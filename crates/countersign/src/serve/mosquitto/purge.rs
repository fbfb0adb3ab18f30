//! What a device leaves at the broker when it falls: its session with what is queued there, and what it
//! retained.

use countersign_edge::mqtt::wire::Qos;
use countersign_edge::mqtt::{BrokerAccount, BrokerClient, ClientError, EarlierSession};

/// Clears what fallen devices left, one after the other; each by its client identifier, which is its user
/// name, and the prefix of its topics.
pub(super) async fn purge(account: BrokerAccount, fallen: Vec<(String, String)>) {
    for (name, prefix) in fallen {
        match clear(&account, &name, &prefix).await {
            Ok(retained) => {
                tracing::info!(device = name, retained, "nothing of a fallen device is left at the broker")
            }
            Err(error) => {
                let error = format!("{:#}", anyhow::Error::new(error));
                tracing::warn!(device = name, error, "not all of a fallen device is cleared at the broker");
            }
        }
    }
}

/// Comes anew under its client identifier, at which the broker forgets its session, and takes away what is
/// retained below its prefix. How much that was.
async fn clear(account: &BrokerAccount, name: &str, prefix: &str) -> Result<usize, ClientError> {
    let mut client = BrokerClient::connect(account, name, EarlierSession::Forgotten).await?;
    client.subscribe(&format!("{prefix}#"), Qos::AtMostOnce).await?;
    let mut count = 0;
    for message in client.so_far().await?.into_iter().filter(|message| message.is_retained) {
        client.take_away(&message.topic).await?;
        count += 1;
    }
    client.leave().await?;
    Ok(count)
}
