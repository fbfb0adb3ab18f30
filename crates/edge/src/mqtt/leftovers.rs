//! What devices that are away left behind the door: sessions with what is queued for them, and retained
//! messages. When such a device falls, it is cleared, as it is for those that are connected.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use countersign_core::snapshot::{DeviceKey, TenantService, TrustSnapshot};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::timeout;
use tracing::{info, warn};

use super::leg::Leg;
use super::party::Party;
use super::session::Context;
use super::terms::Terms;
use super::upstream::{MqttUpstream, UpstreamStream};
use super::wire::{Connect, Encoder, Properties, PropertyWriter, Publish, Qos, Reason, Version};

/// How many sessions of one device are remembered while it is away.
const SESSIONS: usize = 16;

/// How long the broker may take to hear of an end.
const PARTING: Duration = Duration::from_secs(5);

/// The sessions of devices that are away, by the name that the broker knows them by.
#[derive(Debug, Default)]
pub(super) struct Leftovers(Mutex<HashMap<DeviceKey, Vec<String>>>);

impl Leftovers {
    /// A device left a session that outlives its connection.
    pub(super) fn left(&self, device: &DeviceKey, client_id: &str) {
        let mut all = self.0.lock();
        let own = all.entry(device.clone()).or_default();
        own.retain(|known| known != client_id);
        own.push(client_id.to_owned());
        if own.len() > SESSIONS {
            own.remove(0);
        }
    }

    /// It is back: its connection is cleared with it, if it falls.
    pub(super) fn is_back(&self, device: &DeviceKey, client_id: &str) {
        let mut all = self.0.lock();
        let Some(own) = all.get_mut(device) else { return };
        own.retain(|known| known != client_id);
        if own.is_empty() {
            all.remove(device);
        }
    }

    fn devices(&self) -> Vec<DeviceKey> {
        self.0.lock().keys().cloned().collect()
    }

    fn take(&self, device: &DeviceKey) -> Vec<String> {
        self.0.lock().remove(device).unwrap_or_default()
    }
}

/// Clears what devices left that fall while they are away, until nobody tells of trust any more.
pub(super) async fn clear_fallen(
    context: Arc<Context>,
    upstream: MqttUpstream,
    mut snapshots: watch::Receiver<Arc<TrustSnapshot>>,
) {
    while snapshots.changed().await.is_ok() {
        let snapshot = Arc::clone(&snapshots.borrow_and_update());
        let mut away = context.holdings.leftovers.devices();
        away.extend(context.holdings.retained.devices());
        if let MqttUpstream::Hub(hub) = &upstream {
            away.extend(hub.devices());
        }
        away.sort_unstable();
        away.dedup();
        for device in away.into_iter().filter(|device| has_fallen(&snapshot, device)) {
            clear(&context, &upstream, &device).await;
        }
    }
}

/// Whether nobody admits the device, whatever certificate it shows.
fn has_fallen(snapshot: &TrustSnapshot, device: &DeviceKey) -> bool {
    let is_suspended =
        snapshot.tenants.get(&device.0).is_none_or(|trust| trust.service == TenantService::Suspended);
    is_suspended || snapshot.barred.contains_key(device)
}

async fn clear(context: &Context, upstream: &MqttUpstream, device: &DeviceKey) {
    if let MqttUpstream::Hub(hub) = upstream {
        hub.forget(device);
        context.holdings.retained.take(device);
        context.holdings.leftovers.take(device);
        return;
    }
    let retained = context.holdings.retained.take(device);
    let mut clients = context.holdings.leftovers.take(device);
    if clients.is_empty() && !retained.is_empty() {
        // Somebody has to say it.
        clients.push(Party::Device(device.clone()).client_id(""));
    }
    let (party, mut topics) = (Party::Device(device.clone()), retained.as_slice());
    for client_id in &clients {
        let is_done = purge((upstream, &context.terms), &party, client_id, topics).await;
        topics = &[];
        if is_done {
            info!(tenant = %device.0, device = %device.1, client = client_id, "session of a fallen device purged");
        } else {
            warn!(client = client_id, "session of a fallen device not purged at the broker");
        }
    }
}

/// Comes anew in place of a client, at which a broker forgets its session, and takes retained messages away.
/// Whether the broker heard of it.
pub(super) async fn purge(
    (upstream, terms): (&MqttUpstream, &Terms),
    party: &Party,
    client_id: &str,
    retained: &[Box<str>],
) -> bool {
    let credentials = upstream.account().for_party(party);
    let connect = Connect {
        version: Version::V311,
        is_clean: true,
        keep_alive: 10,
        properties: Properties::default(),
        client_id,
        will: None,
        user_name: credentials.name.as_deref(),
        password: credentials.password.as_ref().map(|password| password.reveal().as_bytes()),
    };
    let purged = async {
        let mut leg = Leg::new(upstream.reach(upstream.own_header(), terms.upstream_timeout).await.ok()?);
        Encoder::new(Version::V311, &mut leg.outbox).connect(&connect, &PropertyWriter::new(), None);
        leg.drain().await.ok()?;
        leg.receive(terms.packet_bytes).await.ok()?;
        take_away(&mut leg, Version::V311, retained);
        leave(leg, Version::V311, &PropertyWriter::new()).await
    };
    timeout(PARTING, purged).await.ok().flatten().is_some()
}

/// Says that nothing is retained on these topics any more.
pub(super) fn take_away(upstream: &mut Leg<UpstreamStream>, version: Version, topics: &[Box<str>]) {
    for topic in topics {
        let nothing = Publish {
            is_dup: false,
            qos: Qos::AtMostOnce,
            is_retained: true,
            topic,
            packet_id: None,
            properties: Properties::default(),
            payload: &[],
        };
        Encoder::new(version, &mut upstream.outbox).publish(&nothing, topic, &PropertyWriter::new());
    }
}

/// Tells the broker that a client goes, so that no will is said. `None`: it did not hear of it.
pub(super) async fn leave(
    mut upstream: Leg<UpstreamStream>,
    version: Version,
    properties: &PropertyWriter,
) -> Option<()> {
    Encoder::new(version, &mut upstream.outbox).disconnect(Reason::Success, properties);
    let told = async {
        upstream.drain().await?;
        upstream.shutdown().await
    };
    match timeout(PARTING, told).await {
        Ok(Ok(())) => Some(()),
        Ok(Err(error)) => {
            tracing::debug!(%error, "broker not told of an end");
            None
        }
        Err(_elapsed) => {
            warn!("broker not told of an end in time");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_sessions_are_remembered_until_their_device_is_back() {
        let leftovers = Leftovers::default();
        let device: DeviceKey = ("acme".parse().unwrap(), "d1".parse().unwrap());
        for number in 0..=SESSIONS {
            leftovers.left(&device, &number.to_string());
            leftovers.left(&device, &number.to_string());
        }
        leftovers.is_back(&device, "1");
        assert_eq!(leftovers.devices(), std::slice::from_ref(&device));
        let left = leftovers.take(&device);
        assert_eq!((left.len(), left.first().map(String::as_str)), (SESSIONS - 1, Some("2")));
        assert!(leftovers.devices().is_empty());
        leftovers.left(&device, "a");
        leftovers.is_back(&device, "a");
        assert!(leftovers.devices().is_empty());
    }
}
