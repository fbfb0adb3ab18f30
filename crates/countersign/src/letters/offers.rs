//! Offering devices what there is for them: once it is there, and again whenever a device begins to listen, until
//! the device says what came of it.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use countersign_api::wire::edge_devices::DEVICES_AT_ONCE;
use countersign_authority::errands::Errand;
use countersign_core::snapshot::DeviceKey;
use countersign_edge::mqtt::{Layout, Letter, Listeners, MqttUpstream, PostError, Posted};
use tokio::time::{Instant, MissedTickBehavior};

/// How long the broker may take to take what there is for one device.
const PATIENCE: Duration = Duration::from_secs(5);

/// After how long it is tried again where a broker or whoever knows failed.
const AGAIN: Duration = Duration::from_secs(5);

/// Knows what there is for devices.
pub(crate) trait Source: Send + Sync + 'static {
    /// Word of something.
    type News: Send;

    /// Waits for word that there is something for devices; nothing is lost if nobody waits any more.
    fn news(&self) -> impl Future<Output = Self::News> + Send;

    /// For whom that is.
    fn whom(&self, news: Self::News) -> impl Future<Output = Whom> + Send;

    /// What there is for each of these devices, of which there are at most [`DEVICES_AT_ONCE`].
    fn errands(&self, devices: &[DeviceKey])
    -> impl Future<Output = anyhow::Result<Vec<Vec<Errand>>>> + Send;
}

/// For whom there is something.
#[derive(Debug)]
pub(crate) enum Whom {
    /// For these, wherever they are.
    These(Vec<DeviceKey>),
    /// For these, as far as they listen here.
    OfThoseHere(BTreeSet<DeviceKey>),
    /// Perhaps for any of those that listen here.
    AllHere,
}

/// Offers for ever.
pub(super) async fn offer(
    source: impl Source,
    (upstream, layout): (MqttUpstream, Layout),
    listeners: Arc<Listeners>,
) {
    let mut offers =
        Offers { source, upstream, layout, listeners, offered: HashMap::new(), failed: BTreeSet::new() };
    let mut again = tokio::time::interval_at(Instant::now() + AGAIN, AGAIN);
    again.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            news = offers.source.news() => {
                let devices = offers.whom(news).await;
                offers.offer(devices).await;
            }
            device = offers.listeners.next() => {
                offers.offered.insert(device.clone(), HashSet::new());
                offers.offer(vec![device]).await;
            }
            _tick = again.tick() => {
                let devices = std::mem::take(&mut offers.failed);
                offers.offer(devices.into_iter().collect()).await;
            }
        }
    }
}

struct Offers<S> {
    source: S,
    upstream: MqttUpstream,
    layout: Layout,
    listeners: Arc<Listeners>,
    /// What devices were offered since they began to listen, by what it is about.
    offered: HashMap<DeviceKey, HashSet<String>>,
    /// Devices at which it failed.
    failed: BTreeSet<DeviceKey>,
}

impl<S: Source> Offers<S> {
    async fn whom(&self, news: S::News) -> Vec<DeviceKey> {
        match self.source.whom(news).await {
            Whom::These(devices) => devices,
            Whom::OfThoseHere(devices) => {
                devices.into_iter().filter(|device| self.offered.contains_key(device)).collect()
            }
            Whom::AllHere => self.offered.keys().cloned().collect(),
        }
    }

    async fn offer(&mut self, devices: Vec<DeviceKey>) {
        for some in devices.chunks(DEVICES_AT_ONCE) {
            let errands = match self.source.errands(some).await {
                Ok(errands) => errands,
                Err(error) => {
                    let error = format!("{error:#}");
                    tracing::error!(devices = some.len(), error, "not known what there is for devices");
                    self.failed.extend(some.iter().cloned());
                    continue;
                }
            };
            for (device, errands) in some.iter().zip(errands) {
                if let Err(error) = self.post(device, errands).await {
                    let reason = std::error::Error::source(&error).map(tracing::field::display);
                    tracing::error!(tenant = %device.0, device = %device.1, %error, reason, "device not told over MQTT");
                    self.failed.insert(device.clone());
                }
            }
        }
    }

    async fn post(&mut self, device: &DeviceKey, errands: Vec<Errand>) -> Result<(), PostError> {
        // Whoever has just begun to listen is told all there is when its turn comes, and not some of it twice.
        if self.listeners.is_new(device) {
            return Ok(());
        }
        let known = self.offered.entry(device.clone()).or_default();
        known.retain(|about| errands.iter().any(|errand| errand.about == *about));
        let fresh: Vec<Errand> =
            errands.into_iter().filter(|errand| !known.contains(&errand.about)).collect();
        let prefix = self.layout.prefix_of(device);
        let letters: Vec<Letter> = fresh.iter().map(|errand| letter(&prefix, errand)).collect();
        let posted = self.upstream.post(device, &letters, PATIENCE).await?;
        let taken = fresh.into_iter().zip(posted).filter(|(_errand, posted)| *posted == Posted::Taken);
        known.extend(taken.map(|(errand, _posted)| errand.about));
        Ok(())
    }
}

fn letter(prefix: &str, errand: &Errand) -> Letter {
    let topic = format!("{prefix}{}", errand.topic);
    Letter { topic, payload: errand.payload.to_string().into_bytes(), life: errand.life }
}
