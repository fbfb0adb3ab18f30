//! How conversations end on both sides: what the device is told, and what is left at the broker.

use std::sync::Arc;
use std::time::Duration;

use countersign_core::snapshot::CertificateClaim;
use countersign_tls::ServerStream;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{debug, info, warn};
use uuid::Uuid;

use super::leg::Leg;
use super::pump::Pump;
use super::serve::Arrival;
use super::session::{Context, End, Greeting};
use super::upstream::{MqttUpstream, UpstreamStream};
use super::wire::{Connect, Encoder, Properties, PropertyId, PropertyWriter, Publish, Qos, Reason, Version};
use crate::registry::{Ending, Registration};

/// How long a last word may take to get out.
const LAST_WORD: Duration = Duration::from_millis(250);

/// How long the broker may take to hear of an end.
const PARTING: Duration = Duration::from_secs(5);

/// Within which time devices come back that lost the door together.
const JITTER: u64 = 1000;

/// What is known at the end.
pub(super) struct Farewell<'a> {
    pub(super) upstream: &'a MqttUpstream,
    pub(super) context: &'a Context,
    pub(super) greeting: &'a Greeting,
}

type Ended = Pump<ServerStream<TcpStream>, UpstreamStream>;

impl Farewell<'_> {
    /// Waits a moment of its own, unless the connection is to end at once: thousands that end together do not
    /// come back together.
    pub(super) async fn jitter(live: &Registration) {
        let random = u64::from_le_bytes(Uuid::new_v4().as_u64_pair().0.to_le_bytes()) % JITTER;
        let until = Instant::now() + Duration::from_millis(random);
        tokio::select! {
            biased;
            () = live.told(Ending::Kill) => {}
            () = sleep_until(until) => {}
        }
    }

    /// Lets out what was said last, and closes.
    pub(super) async fn say_last<S: AsyncRead + AsyncWrite + Unpin>(device: &mut Leg<S>) {
        let said = async {
            device.drain().await?;
            device.shutdown().await
        };
        if let Ok(Err(error)) = timeout(LAST_WORD, said).await {
            debug!(%error, "last word not said");
        }
    }

    /// Ends both sides. The device's comes first: it is gone from the list of live connections before the
    /// broker is cleared of what it left.
    pub(super) async fn part(
        self,
        end: End,
        pump: Ended,
        arrival: &Arrival,
        (claim, live): (&CertificateClaim, Arc<Registration>),
    ) {
        let Pump { mut device, upstream, state, .. } = pump;
        let version = state.version();
        if end == End::UpstreamLost {
            Self::jitter(&live).await;
        }
        if let Some(code) = code_of(end).filter(|_code| version == Version::V5) {
            // DISCONNECT with a reason and no properties.
            device.outbox.extend([0xe0, 0x02, code, 0x00]);
        }
        Self::say_last(&mut device).await;
        drop((device, live));
        info!(
            request = %arrival.id, tenant = %claim.identity.tenant(), device = %claim.identity.device(),
            serial = %claim.reference.serial, peer = %arrival.address, ?end, "session ended"
        );
        match end {
            End::Cut => self.clear(upstream, state.device()).await,
            End::Lapsed | End::Drained => self.leave(upstream, &PropertyWriter::new()).await,
            // The broker sees a client that is gone, and says its will.
            End::Goodbye | End::Vanished | End::Refused(_) | End::Dismissed(_) | End::UpstreamLost => {}
        }
    }

    /// Tells the broker that the client goes, so that no will is said.
    async fn leave(&self, mut upstream: Leg<UpstreamStream>, properties: &PropertyWriter) {
        Encoder::new(self.greeting.version, &mut upstream.outbox).disconnect(Reason::Success, properties);
        let told = async {
            upstream.drain().await?;
            upstream.shutdown().await
        };
        match timeout(PARTING, told).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => debug!(%error, "broker not told of an end"),
            Err(_elapsed) => warn!("broker not told of an end in time"),
        }
    }

    /// Takes away what a fallen device left: its will, its retained messages, and what waits for it.
    async fn clear(&self, mut upstream: Leg<UpstreamStream>, device: &countersign_core::snapshot::DeviceKey) {
        let version = self.greeting.version;
        for topic in self.context.retained.take(device) {
            let nothing = Publish {
                is_dup: false,
                qos: Qos::AtMostOnce,
                is_retained: true,
                topic: &topic,
                packet_id: None,
                properties: Properties::default(),
                payload: &[],
            };
            Encoder::new(version, &mut upstream.outbox).publish(&nothing, &topic, &PropertyWriter::new());
        }
        let mut properties = PropertyWriter::new();
        if version == Version::V5 && self.greeting.is_persistent {
            properties.four(PropertyId::SessionExpiry, 0);
        }
        self.leave(upstream, &properties).await;
        if let MqttUpstream::Hub(hub) = self.upstream {
            hub.forget(device);
        } else if version == Version::V311 && self.greeting.is_persistent {
            self.purge(device).await;
        }
    }

    /// MQTT 3.1.1 forgets a session only when its client comes anew.
    async fn purge(&self, device: &countersign_core::snapshot::DeviceKey) {
        let credentials = self.upstream.account().for_device(device);
        let connect = Connect {
            version: Version::V311,
            is_clean: true,
            keep_alive: 10,
            properties: Properties::default(),
            client_id: &self.greeting.client_id,
            will: None,
            user_name: credentials.name.as_deref(),
            password: credentials.password.as_ref().map(|password| password.as_bytes()),
        };
        let purged = async {
            let upstream = self.upstream.reach(self.context.terms.upstream_timeout).await.ok()?;
            let mut upstream = Leg::new(upstream);
            Encoder::new(Version::V311, &mut upstream.outbox).connect(&connect, &PropertyWriter::new(), None);
            upstream.drain().await.ok()?;
            upstream.receive(self.context.terms.packet_bytes).await.ok()?;
            self.leave(upstream, &PropertyWriter::new()).await;
            Some(())
        };
        if timeout(PARTING, purged).await.ok().flatten().is_none() {
            warn!(client = self.greeting.client_id, "session of a fallen device not purged at the broker");
        }
    }
}

/// What the device is told, in MQTT 5.
const fn code_of(end: End) -> Option<u8> {
    match end {
        End::Goodbye | End::Vanished => None,
        End::Refused(reason) => Some(reason.code()),
        End::Dismissed(code) => Some(code),
        End::UpstreamLost | End::Drained => Some(Reason::ServerShuttingDown.code()),
        End::Cut => Some(Reason::AdministrativeAction.code()),
        End::Lapsed => Some(Reason::NotAuthorized.code()),
    }
}
